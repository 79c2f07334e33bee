import { existsSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { ATTACK_CLASSES } from '../../src/config/scenario-schema.ts';
import { loadScenarios, SHIPPED_SCENARIOS } from '../../src/redteam/scenario.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** The lines of the table in docs/threat-model.md: class, both locks, scenarios, tests. */
const lines = readFileSync(`${root}docs/threat-model.md`, 'utf8')
  .split('\n')
  .filter((line) => line.startsWith('| '))
  .slice(1)
  .map((line) => line.slice(2, -2).split(' | '));

function quoted(cell: string | undefined): readonly string[] {
  return [...(cell ?? '').matchAll(/`([^`]+)`/g)].map(([, name = '']) => name);
}

describe('docs/threat-model.md', () => {
  it('names both locks and a test that exists for each class', () => {
    expect(lines.length).toBeGreaterThan(20);
    for (const [name, first, second, scenarios, tests, ...more] of lines) {
      expect([first, second, scenarios].every(Boolean) && more.length === 0, name).toBe(true);
      expect(quoted(tests), name).not.toHaveLength(0);
      for (const test of quoted(tests))
        expect(existsSync(`${root}test/${test}.test.ts`), `${name}: ${test}`).toBe(true);
    }
  });

  it('names each scenario that is shipped, and none that isn’t', async () => {
    const shipped = await loadScenarios([SHIPPED_SCENARIOS]);
    const named = new Set(lines.flatMap(([, , , scenarios]) => quoted(scenarios)));
    expect([...named].sort()).toEqual(shipped.map(({ id }) => id).sort());
    expect(new Set(shipped.map((scenario) => scenario.class))).toEqual(new Set(Object.keys(ATTACK_CLASSES)));
  });
});
