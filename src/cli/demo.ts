import type { Command } from 'commander';

export function registerDemo(program: Command): void {
  program.command('demo').description('play an incident from end to end on real databases');
}
