import { writeFileSync } from 'node:fs';

/** Of two processes of which one has to go, Linux lets the one with more of this go first (`proc_pid_oom_score_adj(5)`). */
const GIVES_WAY = '500';

/** What a gateway began by itself ends with it, and gives way to it: it must never be what takes the gateway down. */
export function besideGateway(): void {
  process.once('disconnect', () => {
    // With all that it has begun.
    process.kill(-process.pid, 'SIGTERM');
  });
  process.channel?.unref();
  if (process.platform === 'linux') writeFileSync('/proc/self/oom_score_adj', GIVES_WAY);
}
