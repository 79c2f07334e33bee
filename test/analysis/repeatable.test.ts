import { beforeAll, describe, expect, it } from 'vitest';
import { analyse } from '../../src/analysis/analyse.ts';
import { isRepeatable } from '../../src/analysis/repeatable.ts';
import type { Catalogue } from '../../src/engines/catalogue.ts';
import { trappedCatalogue } from '../fixtures/catalogue.ts';

let catalogue: Catalogue;
beforeAll(async () => {
  catalogue = await trappedCatalogue();
}, 60_000);

function repeatable(text: string, value?: string): boolean {
  const analysis = analyse(text, catalogue, ['public']);
  if (!('class' in analysis)) throw new Error(`${text}: ${analysis.message}`);
  const parameters = value === undefined ? [] : [{ type: 'text', value }];
  return isRepeatable({ text, parameters }, analysis, catalogue);
}

describe('one dry run says all of', () => {
  it.each([
    'UPDATE public.customers SET loyalty_points = loyalty_points + 1',
    "UPDATE customers SET full_name = upper(full_name) || '!' WHERE id IN (SELECT customer_id FROM reservations)",
    'DELETE FROM public.telemetry WHERE vehicle_id = 1',
    'TRUNCATE public.telemetry',
  ])('%s', (text) => expect(repeatable(text)).toBe(true));
});

describe('values may differ from run to run in', () => {
  it.each([
    ['a clock', 'UPDATE customers SET full_name = now()::text WHERE id = 1'],
    ['a clock without a call', 'UPDATE reservations SET ends_on = CURRENT_DATE'],
    ['a clock in a constant', "UPDATE reservations SET ends_on = 'TODAY'"],
    ['a clock in a condition', 'DELETE FROM telemetry WHERE at < clock_timestamp()'],
    ['chance', 'UPDATE customers SET loyalty_points = random() * 10'],
    ['a sample', 'DELETE FROM telemetry WHERE vehicle_id IN (SELECT id FROM vehicles TABLESAMPLE SYSTEM (10))'],
    ['a default', 'UPDATE customers SET loyalty_points = DEFAULT'],
    ['a new row', "INSERT INTO schema_migrations (version) VALUES ('1')"],
    [
      'a new row beside',
      "WITH n AS (INSERT INTO schema_migrations (version) VALUES ('1') RETURNING 1) DELETE FROM telemetry",
    ],
    ['a trigger that a cascade runs', 'DELETE FROM customers WHERE id = 1'],
    ['a function of users', 'UPDATE customers SET loyalty_points = public.honest(1)'],
    ['an operator of users', "DELETE FROM customers WHERE full_name OPERATOR(public.=~) 'x'"],
    ['a view', 'DELETE FROM telemetry WHERE vehicle_id IN (SELECT bite FROM public.trapped)'],
    ['a rule', 'UPDATE notes SET note = NULL'],
    ['what was prepared', 'PREPARE p AS DELETE FROM telemetry'],
  ])('%s: %s', (_, text) => expect(repeatable(text)).toBe(false));

  it('a value that was bound', () => {
    const text = 'UPDATE vehicles SET model = $1 WHERE id = 1';
    expect(repeatable(text, '2026-01-01')).toBe(true);
    expect(repeatable(text, 'now')).toBe(false);
  });
});
