import { randomBytes } from 'node:crypto';
import type pg from 'pg';
import { MASK_SCHEMA, type Mask, type MaskedRelation } from '../../domain/masking.ts';
import { quoteIdentifier, quoteQualified } from './quote.ts';
import { APPLY_ROLE } from './setup.ts';

/**
 * Makes the masking view of a relation where it is missing. It reads with its owner's rights, so that a login may hold the
 * view and not the columns behind it. A view is never altered: another set of columns or masks has another name.
 */
export async function bringAboutMaskView(client: pg.Client, masked: MaskedRelation): Promise<void> {
  const view = viewOf(masked);
  const { rows } = await client.query<{ schema: boolean; view: boolean }>(
    `SELECT EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = $1 AND pg_catalog.has_schema_privilege(oid, 'CREATE')) AS schema,
            pg_catalog.to_regclass($2) IS NOT NULL AS view`,
    [MASK_SCHEMA, view],
  );
  if (rows[0]?.schema !== true)
    throw new Error(`the target has no schema ${MASK_SCHEMA} that masks could be made in; run countersign init again`);
  if (rows[0].view) return;
  if (masked.columns.some(({ mask }) => mask === 'hash')) await bringAboutSalt(client);
  const columns = masked.columns.map(({ name, type, mask }) => {
    const column = quoteIdentifier(name);
    return `${mask === null ? `t.${column}` : shown(`t.${column}`, type, mask)} AS ${column}`;
  });
  await client.query(
    `CREATE VIEW ${view} AS SELECT ${columns.join(', ')} FROM ${quoteQualified(masked.relation)} AS t`,
  );
  // Plans whose statements read through it are tried and applied under this login.
  await client.query(`GRANT USAGE ON SCHEMA ${MASK_SCHEMA} TO ${APPLY_ROLE}`);
  await client.query(`GRANT SELECT ON ${view} TO ${APPLY_ROLE}`);
}

export function viewOf({ view }: Pick<MaskedRelation, 'view'>): string {
  return `${MASK_SCHEMA}.${quoteIdentifier(view)}`;
}

/** What every hash begins with: without it a value that can be guessed could be found by trying. Only the views read it. */
async function bringAboutSalt(client: pg.Client): Promise<void> {
  await client.query(`CREATE TABLE IF NOT EXISTS ${MASK_SCHEMA}.salt (salt text NOT NULL)`);
  await client.query(`INSERT INTO ${MASK_SCHEMA}.salt SELECT $1 WHERE NOT EXISTS (SELECT FROM ${MASK_SCHEMA}.salt)`, [
    randomBytes(32).toString('hex'),
  ]);
}

const TEXT = /^(?:text|character varying(?:\(\d+\))?|character(?:\(\d+\))?|(?:[\w"]+\.)?citext)$/;

/** Of the column's own type, so that whatever reads it goes on working; where a mask can't be of that type it is NULL. */
function shown(column: string, type: string, mask: Mask): string {
  const expression = mask !== 'null' && TEXT.test(type) ? textMask(`${column}::pg_catalog.text`, mask) : 'NULL';
  return `(${expression})::${type}`;
}

function textMask(text: string, mask: Exclude<Mask, 'null'>): string {
  switch (mask) {
    case 'fixed':
      return `CASE WHEN ${text} IS NOT NULL THEN '***' END`;
    case 'hash':
      return `pg_catalog.substr(pg_catalog.encode(pg_catalog.sha256(pg_catalog.convert_to((SELECT s.salt FROM ${MASK_SCHEMA}.salt AS s) || ${text}, 'UTF8')), 'hex'), 1, 16)`;
    case 'last4':
      return `CASE WHEN pg_catalog.length(${text}) > 8 THEN '****' || pg_catalog.right(${text}, 4) WHEN ${text} IS NOT NULL THEN '****' END`;
    case 'email':
      return `CASE WHEN ${text} LIKE '_%@_%' THEN pg_catalog.left(${text}, 1) || '***@' || pg_catalog.substring(${text}, '[^@]*$') WHEN ${text} IS NOT NULL THEN '***' END`;
    default:
      return mask satisfies never;
  }
}
