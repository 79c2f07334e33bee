import type { Parameter } from '../domain/intent.ts';
import type { Bind } from '../engines/postgres/wire-messages.ts';
import type { BoundValue, EngineSession } from '../engines/session.ts';

/**
 * Bound values as plans show and keep them: in the database's own text form, with their types' names. Only the server
 * knows how a binary value reads, so it is asked.
 *
 * @param types oids; 0 or missing where the actor left the type to the server.
 */
export async function decodeParameters(
  connection: EngineSession,
  bind: Bind,
  types: readonly number[],
): Promise<readonly Parameter[]> {
  const values = bind.values.map((value, index): BoundValue => {
    const code = bind.formats.length === 1 ? bind.formats[0] : bind.formats[index];
    return { type: types[index] ?? 0, format: code === 1 ? 'binary' : 'text', value };
  });
  const names = await typeNames(connection, [...new Set(values.map((value) => value.type))]);
  const binary = values.flatMap((value, index) => (value.format === 'binary' && value.value !== null ? [index] : []));
  const texts = new Map<number, string | null>();
  if (binary.length > 0) {
    const columns = binary.map((_, position) => `$${position + 1}`).join(', ');
    const bound = binary.flatMap((index) => values[index] ?? []);
    const { rows } = await connection.ownBound(`SELECT ${columns}`, bound);
    for (const [position, index] of binary.entries()) texts.set(index, rows[0]?.[position] ?? null);
  }
  return values.map(({ type, format, value }, index) => ({
    type: names.get(type) ?? 'unknown',
    value: value === null ? null : format === 'binary' ? (texts.get(index) ?? null) : value.toString('utf8'),
  }));
}

async function typeNames(connection: EngineSession, oids: readonly number[]): Promise<ReadonlyMap<number, string>> {
  const asked = oids.filter((oid) => oid !== 0);
  if (asked.length === 0) return new Map();
  const list = asked.map((oid) => `(${oid})`).join(', ');
  const [result] = await connection.own(
    `SELECT o.oid::text, pg_catalog.format_type(o.oid::pg_catalog.oid, NULL) FROM (VALUES ${list}) AS o (oid)`,
  );
  return new Map((result?.rows ?? []).map(([oid, name]) => [Number(oid), name ?? 'unknown']));
}
