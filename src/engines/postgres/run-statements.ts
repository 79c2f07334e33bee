import assert from 'node:assert/strict';
import type { EventEmitter } from 'node:events';
import pg from 'pg';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import type { Statement } from '../../domain/intent.ts';
import type { StatementAnswer } from '../../domain/statement-answer.ts';
import { quoteIdentifier, quoteLiteral } from './quote.ts';

/**
 * Runs statements as the actor meant them: under the actor's settings, with values of the types they were bound with.
 * The gateway's own settings are back in place afterwards, and its transaction is still the one it was (G2): none of them
 * ends it.
 *
 * @returns what the database answered to each.
 */
export async function runStatements(
  client: pg.Client,
  statements: readonly Statement[],
  settings: readonly { readonly name: string; readonly value: string }[],
): Promise<readonly StatementAnswer[]> {
  const answers: StatementAnswer[] = [];
  const actors = [{ name: 'search_path', value: '"$user", public' }, ...settings];
  for (const { name, value } of actors) {
    await client.query('SELECT pg_catalog.set_config($1, $2, true)', [name, value]);
  }
  // The gateway's own connection is told of warnings only; the actor would hear of notices too.
  await client.query('SET LOCAL client_min_messages = notice');
  for (const { text, parameters } of statements) {
    assert(!TRANSACTION_CONTROL.test(withoutLeadingComments(text)), 'G2: a plan must not end the transaction it is in');
    if (parameters.length === 0) {
      answers.push(await answered(client, () => client.query(alone(text))));
      continue;
    }
    const types = parameters.map((parameter) => parameter.type).join(', ');
    const values = parameters.map(({ value }) => (value === null ? 'NULL' : quoteLiteral(value))).join(', ');
    await client.query(alone(`PREPARE countersign_plan (${types}) AS ${text}`));
    answers.push(await answered(client, () => client.query(`EXECUTE countersign_plan (${values})`)));
    await client.query('DEALLOCATE countersign_plan');
  }
  await client.query('SET LOCAL client_min_messages = warning');
  // What a plan prepares outlives its transaction, and it may be run once more on this connection.
  await client.query('DEALLOCATE ALL');
  await client.query('SET CONSTRAINTS ALL IMMEDIATE');
  for (const { name } of actors)
    await client.query(`SET LOCAL ${quoteIdentifier(name)} ${PINNED.get(name.toLowerCase()) ?? 'TO DEFAULT'}`);
  return answers;
}

/** Runs one statement and keeps what the database says of it besides rows. */
export async function answered(client: pg.Client, run: () => Promise<pg.QueryResult>): Promise<StatementAnswer> {
  const notices: DatabaseFailure[] = [];
  let command = '';
  const onNotice = (notice: Said): void => {
    notices.push(fieldsOf(notice));
  };
  const onComplete = (message: { readonly text: string }): void => {
    command = message.text;
  };
  // The result that the library makes of a command tag keeps its first word only.
  const wire = (client as unknown as { readonly connection: EventEmitter }).connection;
  client.on('notice', onNotice);
  wire.on('commandComplete', onComplete);
  try {
    const { fields } = await run();
    return { command, notices, returnsRows: fields.length > 0 };
  } finally {
    client.off('notice', onNotice);
    wire.off('commandComplete', onComplete);
  }
}

/** Over the extended protocol the server takes one statement and refuses a text that holds several. */
function alone(text: string): pg.QueryConfig {
  const config = { text, queryMode: 'extended' };
  return config;
}

const TRANSACTION_CONTROL = /^(?:BEGIN|START|COMMIT|END|ABORT|ROLLBACK|SAVEPOINT|RELEASE|PREPARE\s+TRANSACTION)\b/i;

/** Comments may be nested (PostgreSQL, "Lexical Structure"); a statement begins after them, and after stray semicolons. */
function withoutLeadingComments(text: string): string {
  let rest = text;
  for (;;) {
    rest = rest.replace(/^(?:[\s;]+|--[^\r\n]*)+/, '');
    if (!rest.startsWith('/*')) return rest;
    let depth = 0;
    const end = [...rest.matchAll(/\/\*|\*\//g)].find((mark) => {
      depth += mark[0] === '/*' ? 1 : -1;
      return depth === 0;
    });
    if (end === undefined) return '';
    rest = rest.slice(end.index + 2);
  }
}

/** What the gateway's own statements rely on. */
const PINNED: ReadonlyMap<string, string> = new Map([
  ['search_path', "= ''"],
  ['datestyle', "= 'ISO, YMD'"],
  ['intervalstyle', "= 'postgres'"],
  ['timezone', "= 'UTC'"],
  ['extra_float_digits', '= 1'],
  ['bytea_output', "= 'hex'"],
]);

/** A database's error with all its fields, or `undefined` for an error that is not the database's. */
export function failureFrom(error: unknown): DatabaseFailure | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code === undefined) return undefined;
  return fieldsOf(error);
}

/** The table that an error is about. */
export function failedOn(error: unknown): { readonly failedOn?: string } {
  if (!(error instanceof pg.DatabaseError) || error.schema === undefined || error.table === undefined) return {};
  return { failedOn: `${error.schema}.${error.table}` };
}

type Said = Pick<pg.DatabaseError, 'code' | 'severity' | 'detail' | 'hint' | 'position'> & {
  readonly message?: string | undefined;
};

function fieldsOf(said: Said) {
  return {
    sqlstate: said.code ?? '00000',
    severity: said.severity ?? 'ERROR',
    message: said.message ?? '',
    ...(said.detail === undefined ? {} : { detail: said.detail }),
    ...(said.hint === undefined ? {} : { hint: said.hint }),
    ...(said.position === undefined ? {} : { position: said.position }),
  } satisfies DatabaseFailure;
}
