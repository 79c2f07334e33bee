import type { Analysis } from '../domain/effect.ts';

/** Commands that take things away and do nothing else, so that what they take can be moved out of the way instead. */
const DROPS: ReadonlySet<string> = new Set(
  [
    'TABLE',
    'VIEW',
    'MATERIALIZED VIEW',
    'FOREIGN_TABLE',
    'SCHEMA',
    'SEQUENCE',
    'TYPE',
    'DOMAIN',
    'FUNCTION',
    'PROCEDURE',
    'ROUTINE',
    'AGGREGATE',
  ].map((what) => `DROP ${what}`),
);

/** Whether statements only drop what can be kept in quarantine. One of another kind among them could build on what is gone. */
export function onlyDrops(analyses: readonly Analysis[]): boolean {
  return analyses.length > 0 && analyses.every(({ command }) => DROPS.has(command));
}
