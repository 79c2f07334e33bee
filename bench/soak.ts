import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { startSite, WORK } from '../test/fixtures/gateway.ts';
import { servers } from '../test/fixtures/postgres.ts';
import { pgbench, pointReadRate } from './pgbench.ts';
import type { Report } from './report.ts';

/** Longer by `SOAK_SECONDS=3600 npm run bench -- soak`. */
const SECONDS = Number(process.env['SOAK_SECONDS'] ?? 60);
/** Caches fill and code is compiled before memory says anything. */
const WARM_UP_SECONDS = 45;

/** What a gateway's memory does under a steady load of reads, and of clients that come and go. */
export async function soak(report: Report): Promise<void> {
  const [first] = servers;
  report.section(`memory under a steady load, ${SECONDS} s`, '');
  if (first === undefined || pgbench === undefined) return report.tell('all', 'skipped: no server or no pgbench');
  const site = await startSite(first.binaries, { scale: 0.02 });
  try {
    const served = await site.serve();
    const { postgres } = await site.openTask(WORK);
    const seconds = WARM_UP_SECONDS + SECONDS;
    const load = { mode: 'extended', seconds, directory: site.directory };
    let over = false;
    const loads = Promise.all([
      pointReadRate(postgres, { ...load, clients: 8 }, '-R', '1000'),
      pointReadRate(postgres, { ...load, clients: 2 }, '-C', '-R', '10'),
    ]).finally(() => {
      over = true;
    });
    await sleep(WARM_UP_SECONDS * 1000);
    const samples: { readonly hours: number; readonly megabytes: number }[] = [];
    const startedMs = performance.now();
    while (!over) {
      const megabytes = residentBytes(served.process.pid) / 2 ** 20;
      samples.push({ hours: (performance.now() - startedMs) / 3_600_000, megabytes });
      await sleep(1000);
    }
    await loads;
    const all = samples.map(({ megabytes }) => megabytes);
    report.tell('resident, lowest and highest', `${Math.min(...all).toFixed(0)} to ${Math.max(...all).toFixed(0)} MB`);
    const lowest = slope(lowestOfEach(samples, 10));
    report.tell('slope of the lowest of each 10 s', `${lowest.toFixed(0)} MB an hour`);
  } finally {
    await site.remove();
  }
}

function residentBytes(pid: number | undefined): number {
  return Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024;
}

/** Garbage that is about to be collected is no growth. */
function lowestOfEach<Sample extends { readonly megabytes: number }>(
  samples: readonly Sample[],
  count: number,
): Sample[] {
  const lowest: Sample[] = [];
  for (let at = 0; at < samples.length; at += count) {
    const [least] = samples.slice(at, at + count).sort((a, b) => a.megabytes - b.megabytes);
    if (least !== undefined) lowest.push(least);
  }
  return lowest;
}

/** Of the line with the least squares. */
function slope(samples: readonly { readonly hours: number; readonly megabytes: number }[]): number {
  const mean = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const hours = mean(samples.map((sample) => sample.hours));
  const megabytes = mean(samples.map((sample) => sample.megabytes));
  const covariance = samples.reduce((sum, s) => sum + (s.hours - hours) * (s.megabytes - megabytes), 0);
  return covariance / samples.reduce((sum, s) => sum + (s.hours - hours) ** 2, 0);
}
