import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Analysis, StatementClass } from '../domain/effect.ts';
import type { ObjectRef } from '../domain/object.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import { alreadySo } from './already-so.ts';
import { addCascades } from './cascades.ts';
import { catalogueTexts } from './catalogue-texts.ts';
import { changeHeirs } from './changes.ts';
import { type Classified, session, unsupported } from './classified.ts';
import { withColumns } from './columns.ts';
import { spoken } from './definition.ts';
import { define } from './definitions.ts';
import {
  addEffect,
  addUnknown,
  createFindings,
  type Findings,
  NOTHING_PREPARED,
  type PreparedLookup,
  resolveRelation,
} from './findings.ts';
import { settleCasts } from './hidden-code.ts';
import { lockTables } from './lock-table.ts';
import { maskedReads } from './masked-reads.ts';
import { isOwnSchema } from './own-schemas.ts';
import { names, type ParsedStatement, parseStatement, shapeOf, type Tree } from './parse.ts';
import { sessionQuery } from './session-queries.ts';
import { classifySetting, constantOf } from './settings.ts';
import { transaction } from './transactions.ts';
import { walkDefinition, walkQuery } from './walk.ts';

const ROW_STATEMENTS: Readonly<Record<string, string>> = {
  SelectStmt: 'SELECT',
  InsertStmt: 'INSERT',
  UpdateStmt: 'UPDATE',
  DeleteStmt: 'DELETE',
  MergeStmt: 'MERGE',
};

/**
 * What a statement would do, by PostgreSQL's own grammar and the target's catalogue. Routes, and informs people; the
 * database enforces the same once more (G1). What isn't known is never a read.
 *
 * @param prepared what the session has prepared, by name: an EXECUTE is what it executes.
 * @returns the error that PostgreSQL would report when the text is no statement of its grammar.
 */
export function analyse(
  text: string,
  catalogue: Catalogue,
  searchPath: readonly string[],
  prepared: PreparedLookup = NOTHING_PREPARED,
): Analysis | DatabaseFailure {
  try {
    return analysisOf(text, catalogue, searchPath, prepared);
  } catch (error) {
    if (error instanceof NotPrepared) return error.failure;
    if (!(error instanceof RangeError)) throw error;
    // The call stack is at its end: nobody writes such a statement by hand.
    return { sqlstate: '54001', severity: 'ERROR', message: 'the statement is nested too deeply' };
  }
}

function analysisOf(
  text: string,
  catalogue: Catalogue,
  searchPath: readonly string[],
  prepared: PreparedLookup,
): Analysis | DatabaseFailure {
  const parsed = parseStatement(text);
  if (parsed === 'empty')
    return { class: { kind: 'read', pure: true }, effects: [], unknown: [], vouchable: [], shape: '', command: '' };
  if ('sqlstate' in parsed) return parsed;
  const findings = createFindings(catalogue, searchPath, walkDefinition, prepared, text);
  // What is prepared or executed is another text, or the same at another time.
  if (parsed.kind === 'PrepareStmt' || parsed.kind === 'ExecuteStmt') {
    findings.ownViews = null;
    findings.schemaViews = null;
  }
  const { statementClass, command } = onlyRead(
    findings,
    parsed.kind === 'PrepareStmt' ? prepare(findings, parsed.node, text) : classify(findings, parsed),
  );
  const so = statementClass.kind === 'change' ? alreadySo(findings, parsed) : undefined;
  const { rewrites, unmasked } = maskedReads(findings, statementClass, parsed.node);
  const texts = catalogueTexts(findings, statementClass);
  return {
    class: statementClass,
    effects: [...findings.effects.values()].map((effect) => withColumns(effect, findings.uses)),
    unknown: [...findings.unknown],
    vouchable: [...findings.vouchable],
    shape: shapeOf(text),
    command,
    ...(findings.executes === undefined ? {} : { executes: findings.executes }),
    ...(findings.holdsCursor === undefined ? {} : { holdsCursor: findings.holdsCursor }),
    ...(findings.ownViews === null || findings.ownViews.length === 0 ? {} : { ownViews: findings.ownViews }),
    ...(statementClass.kind !== 'read' || !findings.schemaViews?.length ? {} : { schemaViews: findings.schemaViews }),
    ...(so === undefined ? {} : { alreadySo: so }),
    ...(rewrites.length === 0 ? {} : { rewrites }),
    ...(unmasked.length === 0 ? {} : { unmasked }),
    ...(texts.rewrites.length === 0 ? {} : { toldWhere: texts.rewrites }),
    ...(texts.untold.length === 0 ? {} : { untold: texts.untold }),
    ...(findings.takesRows ? { takesRows: true as const } : {}),
    ...(findings.makesCode ? { makesCode: true as const } : {}),
  };
}

/** The gateway's own relations can be read, and nothing else. */
function onlyRead(findings: Findings, found: Classified): Classified {
  if (findings.ownViews === null || findings.ownViews.length === 0 || found.statementClass.kind === 'read')
    return found;
  return unsupported('A change that reads countersign.plans or countersign.status');
}

function classify(findings: Findings, { kind, node }: ParsedStatement): Classified {
  const act = kind === 'SelectStmt' ? sessionQuery(findings, node) : undefined;
  if (act !== undefined) return { statementClass: act, command: 'SELECT' };
  const row = ROW_STATEMENTS[kind];
  if (row !== undefined) return rows(findings, kind, node, row);
  switch (kind) {
    case 'TransactionStmt':
      return transaction(node);
    case 'VariableSetStmt':
      return setting(findings, node);
    case 'VariableShowStmt':
      // Nobody knows here whether it is an extension's, or holds what somebody gave it for all who connect.
      if (String(node['name']).includes('.')) findings.textCalls?.push({ name: `SHOW ${node['name']}`, start: 0 });
      return session({ act: 'show' }, 'SHOW');
    case 'ConstraintsSetStmt':
      return session({ act: 'constraints' }, 'SET CONSTRAINTS');
    case 'DiscardStmt':
      return session({ act: 'discard', what: discarded(String(node['target'])) }, 'DISCARD');
    case 'DeallocateStmt':
      return session({ act: 'deallocate', name: nameOrAll(node['name']) }, 'DEALLOCATE');
    case 'FetchStmt':
      return session({ act: 'cursor', name: String(node['portalname']), closes: false }, 'FETCH');
    case 'ClosePortalStmt':
      return session({ act: 'cursor', name: nameOrAll(node['portalname']), closes: true }, 'CLOSE CURSOR');
    case 'DeclareCursorStmt':
      return cursor(findings, node);
    case 'ExplainStmt':
      return explain(findings, node);
    case 'CopyStmt':
      return copy(findings, node);
    case 'TruncateStmt':
      return truncate(findings, node);
    case 'LockStmt':
      lockTables(findings, node);
      return { statementClass: rowClass(findings), command: 'LOCK TABLE' };
    case 'CallStmt':
      return call(findings, node);
    case 'ExecuteStmt':
      return execute(findings, node);
    case 'ListenStmt': {
      const channel = String(node['conditionname']);
      addEffect(findings, 'read', channelNamed(channel));
      return session({ act: 'listen', channel }, 'LISTEN');
    }
    case 'UnlistenStmt':
      return session({ act: 'unlisten', channel: nameOrAll(node['conditionname']) }, 'UNLISTEN');
    case 'NotifyStmt':
      // Whoever listens does something about it, and nobody here knows what.
      addUnknown(findings, 'what a notification sets off', channelNamed(String(node['conditionname'])));
      return { statementClass: { kind: 'change', transactional: true }, command: 'NOTIFY' };
    default:
      return definitionOf(findings, kind, node);
  }
}

/** Prepared is only what may also be executed; whether that may run is asked each time it is. */
function prepare(findings: Findings, node: Tree, text: string): Classified {
  const { kind, node: query } = innerOf(node['query']);
  rows(findings, kind, query, kind);
  return {
    statementClass: { kind: 'session', act: { act: 'prepare', name: String(node['name']), text } },
    command: 'PREPARE',
  };
}

/** An EXECUTE does what its parameters do, and what was prepared under its name. */
function execute(findings: Findings, node: Tree): Classified {
  const name = String(node['name']);
  const known = findings.prepared(name);
  const parsed = known === undefined ? 'empty' : parseStatement(known.text);
  if (known === undefined || parsed === 'empty' || 'sqlstate' in parsed) throw new NotPrepared(name);
  for (const parameter of (node['params'] as Tree[] | undefined) ?? []) {
    const { kind, node: expression } = innerOf(parameter);
    walkQuery(findings, kind, expression);
  }
  const { kind, node: query } = known.by === 'sql' ? innerOf(parsed.node['query']) : parsed;
  const command = ROW_STATEMENTS[kind];
  if (command === undefined) return unsupported(`EXECUTE of ${spoken(kind)}`);
  findings.executes = known;
  // It was made to tell no more than it may when it was prepared.
  findings.ownText = false;
  findings.textCalls = null;
  return rows(findings, kind, query, command);
}

class NotPrepared extends Error {
  readonly failure: DatabaseFailure;
  constructor(name: string) {
    super(`prepared statement "${name}" does not exist`);
    this.failure = { severity: 'ERROR', sqlstate: '26000', message: this.message };
  }
}

function rows(findings: Findings, kind: string, node: Tree, command: string): Classified {
  walkQuery(findings, kind, node);
  if ([...findings.effects.values()].some(({ verb }) => verb === 'create')) {
    return { statementClass: { kind: 'change', transactional: true }, command: 'SELECT INTO' };
  }
  return { statementClass: rowClass(findings), command };
}

function rowClass(findings: Findings): StatementClass {
  settleCasts(findings);
  const beyondRows = [...findings.effects.values()].some(
    ({ verb }) => verb === 'server' || verb === 'unknown' || verb === 'maintain',
  );
  if (beyondRows) return { kind: 'change', transactional: true };
  return findings.writes ? { kind: 'write' } : { kind: 'read', pure: findings.pure };
}

function definitionOf(findings: Findings, kind: string, node: Tree): Classified {
  const found = define(findings, kind, node, walkQuery);
  if (found !== undefined) {
    return { statementClass: { kind: 'change', transactional: found.transactional }, command: found.command };
  }
  addUnknown(findings, `the statement ${spoken(kind)}`, { kind: 'object', schema: '', name: spoken(kind) });
  return { statementClass: { kind: 'change', transactional: false }, command: spoken(kind) };
}

function call(findings: Findings, node: Tree): Classified {
  const func = (node['funccall'] ?? {}) as Tree;
  const [only, ...more] = (func['args'] as unknown[] | undefined) ?? [];
  const plan = constantOf(only);
  if (names(func['funcname']).join('.') !== 'countersign.apply' || plan === undefined || more.length > 0) {
    return definitionOf(findings, 'CallStmt', node);
  }
  return { statementClass: { kind: 'apply', plan }, command: 'CALL' };
}

function setting(findings: Findings, node: Tree): Classified {
  const found = classifySetting(node);
  if (found.kind !== 'forbidden') return { statementClass: found, command: 'SET' };
  addEffect(findings, 'server', { kind: 'setting', schema: '', name: found.name });
  return { statementClass: { kind: 'change', transactional: true }, command: 'SET' };
}

function discarded(target: string): 'all' | 'plans' | 'sequences' | 'temp' {
  if (target === 'DISCARD_PLANS') return 'plans';
  if (target === 'DISCARD_SEQUENCES') return 'sequences';
  return target === 'DISCARD_TEMP' ? 'temp' : 'all';
}

/** A schema that no user can make: in tasks, roles and policies a channel is `pg_notify.name`. */
function channelNamed(name: string): ObjectRef {
  return { kind: 'channel', schema: 'pg_notify', name };
}

function nameOrAll(name: unknown): string | null {
  return typeof name === 'string' && name !== '' ? name : null;
}

const CURSOR_WITH_HOLD = 0x20;

function cursor(findings: Findings, node: Tree): Classified {
  if ((Number(node['options'] ?? 0) & CURSOR_WITH_HOLD) !== 0) findings.holdsCursor = String(node['portalname']);
  const inner = innerOf(node['query']);
  return { ...classify(findings, inner), command: 'DECLARE CURSOR' };
}

function explain(findings: Findings, node: Tree): Classified {
  const inner = innerOf(node['query']);
  const found = classify(findings, inner);
  const analyses = ((node['options'] as Tree[] | undefined) ?? []).some((item) => {
    const option = item['DefElem'] as Tree | undefined;
    return (
      option?.['defname'] === 'analyze' &&
      !/^(?:false|off|0)$/i.test(names([option['arg']])[0] ?? constantOf(option['arg']) ?? '')
    );
  });
  if (analyses || found.statementClass.kind === 'read') return { ...found, command: 'EXPLAIN' };
  if (found.statementClass.kind !== 'write') return { ...found, command: 'EXPLAIN' };
  // Planning changes no row; what it may evaluate is the server's own code, or the statement would not be a write. Yet the
  // server asks for the rights of the write, so it runs where those are, and needs the table to be in scope.
  const effects = [...findings.effects.values()];
  findings.effects.clear();
  for (const { verb, object, via } of effects) {
    if (via === 'direct') addEffect(findings, verb === 'read' ? 'read' : 'lock', object);
  }
  return { statementClass: { kind: 'write' }, command: 'EXPLAIN' };
}

function copy(findings: Findings, node: Tree): Classified {
  if (node['is_program'] === true || node['filename'] !== undefined) {
    addEffect(findings, 'server', { kind: 'file', schema: '', name: String(node['filename'] ?? 'a program') });
    return { statementClass: { kind: 'change', transactional: true }, command: 'COPY' };
  }
  if (node['is_from'] === true) return copyFrom(findings, node);
  if (node['query'] !== undefined) return { ...classify(findings, innerOf(node['query'])), command: 'COPY' };
  walkQuery(findings, 'RangeVar', { ...(node['relation'] as Tree), attlist: node['attlist'] });
  return { statementClass: rowClass(findings), command: 'COPY' };
}

/** What the rows do is what an INSERT of them would; they come afterwards, and are counted before the commit. */
function copyFrom(findings: Findings, node: Tree): Classified {
  for (const item of (node['options'] as Tree[] | undefined) ?? []) {
    const option = String((item['DefElem'] as Tree | undefined)?.['defname']);
    if (!COPY_FROM_OPTIONS.has(option)) return unsupported(`COPY … FROM STDIN with ${option.toUpperCase()}`);
  }
  const cols = names(node['attlist']).map((name) => ({ ResTarget: { name } }));
  walkQuery(findings, 'InsertStmt', {
    relation: node['relation'],
    whereClause: node['whereClause'],
    cols,
    rows: true,
  });
  findings.takesRows = true;
  return { statementClass: rowClass(findings), command: 'COPY' };
}

/** How values are written. FREEZE would show rows to others before they are committed. */
const COPY_FROM_OPTIONS = new Set([
  'format',
  'delimiter',
  'null',
  'default',
  'header',
  'quote',
  'escape',
  'force_not_null',
  'force_null',
  'encoding',
  'on_error',
  'reject_limit',
  'log_verbosity',
]);

function truncate(findings: Findings, node: Tree): Classified {
  const cascades = node['behavior'] === 'DROP_CASCADE';
  for (const item of (node['relations'] as Tree[] | undefined) ?? []) {
    const target = item['RangeVar'] as Tree;
    const object = relationOf(findings, target);
    addEffect(findings, isOwn(object) ? 'server' : 'truncate', object, { wholeTable: true });
    const relation = findings.catalogue.relations.get(`${object.schema}.${object.name}`);
    if (relation !== undefined && target['inh'] === true) changeHeirs(findings, relation, 'truncate', true);
    if (cascades) addCascades(findings, `${object.schema}.${object.name}`, 'truncate');
  }
  findings.writes = true;
  return { statementClass: rowClass(findings), command: 'TRUNCATE TABLE' };
}

/** The schema that proves what was applied is nobody's to change. */
function isOwn(object: ObjectRef): boolean {
  return isOwnSchema(object.schema);
}

function relationOf(findings: Findings, node: Tree) {
  const schema = typeof node['schemaname'] === 'string' ? node['schemaname'] : null;
  return resolveRelation(findings, schema, String(node['relname'])).object;
}

function innerOf(query: unknown): ParsedStatement {
  const [entry] = Object.entries((query ?? {}) as Tree);
  return entry === undefined ? { kind: 'nothing', node: {} } : { kind: entry[0], node: entry[1] as Tree };
}
