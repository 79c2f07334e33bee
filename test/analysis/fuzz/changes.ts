import { expression, type Pen, type Visible } from './expressions.ts';
import type { ModelRelation } from './model.ts';
import { query } from './queries.ts';

/** INSERT, UPDATE, DELETE, MERGE, TRUNCATE, also hidden in WITH. */
export function change(pen: Pen, depth: number): string {
  const { random, model } = pen;
  const relation = random.pick(model.relations);
  const visible: Visible = { alias: 'd', columns: relation.columns };
  return random.among<string>([
    [4, () => insert(pen, relation, depth)],
    [
      4,
      () =>
        `UPDATE ${random.pick(['', 'ONLY '])}${relation.name} AS d SET ${assignment(pen, relation, visible, depth)}${condition(pen, [visible], depth)}${returning(pen)}`,
    ],
    [
      3,
      () =>
        `DELETE FROM ${relation.name} AS d${random.chance(0.2) ? ' USING public.owner AS u' : ''}${condition(pen, [visible], depth)}${returning(pen)}`,
    ],
    [2, () => merge(pen, relation, depth)],
    [
      1,
      () =>
        `TRUNCATE ${relation.name}${random.pick(['', ' CASCADE', ' RESTART IDENTITY', ' CONTINUE IDENTITY RESTRICT'])}`,
    ],
    [2, () => `WITH gone AS (${changeNoWith(pen, relation, visible, depth)} RETURNING *) SELECT count(*) FROM gone`],
    [
      1,
      () =>
        `WITH a AS (SELECT 1 AS id), b AS (${changeNoWith(pen, relation, visible, depth)}) ${query(pen, [], depth - 1)}`,
    ],
    [
      1,
      () =>
        `${query(pen, [], depth - 1)} FOR ${random.pick(['UPDATE', 'SHARE', 'NO KEY UPDATE', 'KEY SHARE'])} ${random.pick(['', 'NOWAIT', 'SKIP LOCKED'])}`,
    ],
    [1, () => `SELECT nextval('public.plain_seq'), ${expression(pen, 'int', [], depth)}`],
    [1, () => `INSERT INTO ${relation.name} ${query(pen, [], depth)}`],
  ]);
}

function changeNoWith(pen: Pen, relation: ModelRelation, visible: Visible, depth: number): string {
  return pen.random.pick([
    `DELETE FROM ${relation.name} AS d${condition(pen, [visible], depth)}`,
    `UPDATE ${relation.name} AS d SET ${assignment(pen, relation, visible, depth)}${condition(pen, [visible], depth)}`,
  ]);
}

function insert(pen: Pen, relation: ModelRelation, depth: number): string {
  const { random } = pen;
  const columns = relation.columns.filter(({ name }) => name !== 'twice' && (name === 'id' || random.chance(0.6)));
  const values = () =>
    columns
      .map(({ name, type }) => (name === 'id' ? `${1 + random.below(40)}` : expression(pen, type, [], depth - 1)))
      .join(', ');
  const set = columns.find(({ name }) => name !== 'id');
  const conflict = random.among<string>([
    [3, () => ''],
    [1, () => ' ON CONFLICT DO NOTHING'],
    [
      set === undefined ? 0 : 1,
      () =>
        ` ON CONFLICT (id) DO UPDATE SET ${set?.name} = excluded.${set?.name} WHERE ${expression(pen, 'boolean', [{ alias: 'excluded', columns: relation.columns }], 1)}`,
    ],
  ]);
  return `INSERT INTO ${relation.name} (${columns.map(({ name }) => name).join(', ')}) VALUES (${values()})${random.chance(0.2) ? `, (${values()})` : ''}${conflict}${returning(pen)}`;
}

function assignment(pen: Pen, relation: ModelRelation, visible: Visible, depth: number): string {
  const column = pen.random.pick(relation.columns.filter(({ name }) => name !== 'twice'));
  const value = expression(pen, column.type, [visible], depth - 1);
  return pen.random.chance(0.15) ? `(${column.name}) = ROW (${value})` : `${column.name} = ${value}`;
}

function condition(pen: Pen, scope: readonly Visible[], depth: number): string {
  return pen.random.chance(0.7) ? ` WHERE ${expression(pen, 'boolean', scope, depth - 1)}` : '';
}

function returning({ random }: Pen): string {
  return random.pick(['', '', '', ' RETURNING *', ' RETURNING id', ' RETURNING WITH (OLD AS o, NEW AS n) o.id, n.id']);
}

function merge(pen: Pen, relation: ModelRelation, depth: number): string {
  const { random } = pen;
  const visible: Visible = { alias: 'd', columns: relation.columns };
  const matched = random.among<string>([
    [
      1,
      () =>
        `WHEN MATCHED AND ${expression(pen, 'boolean', [visible], depth - 1)} THEN UPDATE SET ${assignment(pen, relation, visible, depth - 1)}`,
    ],
    [1, () => 'WHEN MATCHED THEN DELETE'],
    [1, () => 'WHEN MATCHED THEN DO NOTHING'],
    [1, () => 'WHEN NOT MATCHED BY SOURCE THEN DELETE'],
  ]);
  const missing = random.pick([
    '',
    ' WHEN NOT MATCHED THEN INSERT (id) VALUES (s.id + 1000)',
    ' WHEN NOT MATCHED THEN DO NOTHING',
  ]);
  return `MERGE INTO ${relation.name} AS d USING public.owner AS s ON d.id = s.id ${matched}${missing}${random.pick(['', '', ' RETURNING merge_action(), d.id'])}`;
}
