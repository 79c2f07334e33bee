import { addEffect, addUnknown, type Findings } from './findings.ts';
import { castTo, settleCasts } from './hidden-code.ts';
import { OBJECT_KINDS, rangeVar } from './named-objects.ts';
import { isTree, type Tree } from './parse.ts';

/**
 * What a definition brings along besides the object that it names: code that it runs at once or leaves for others to run,
 * and tables that it reaches by keys and inheritance. A definition is tried under the tables' owner before anybody has
 * signed it, so what it would run, and what an error would tell, must be in the task's reach (G1).
 */
export function lookInto(findings: Findings, kind: string, node: Tree): void {
  findings.makesCode ||= makesCode(kind, node);
  reachOthers(findings, node);
  switch (kind) {
    case 'AlterTableStmt':
      for (const item of (node['cmds'] as Tree[] | undefined) ?? []) {
        const command = item['AlterTableCmd'] as Tree | undefined;
        // A default is for rows to come.
        if (command?.['subtype'] === 'AT_ColumnDefault') leaveCode(findings, command);
        else runCode(findings, command);
      }
      return;
    case 'IndexStmt':
    case 'CreateStatsStmt':
    case 'AlterDomainStmt':
      runCode(findings, node);
      return;
    case 'CreateStmt':
      leaveCode(findings, node);
      return;
    case 'RuleStmt':
      queriesOf(findings, node);
      return;
    case 'CreatePolicyStmt':
    case 'AlterPolicyStmt':
      queriesOf(findings, node);
      // Policies that tell tenants apart ask for a setting; nothing is told before a person has countersigned one.
      findings.textCalls = findings.textCalls?.filter(({ name }) => name !== 'current_setting') ?? null;
      return;
    case 'CreateSchemaStmt':
      if (node['schemaElts'] !== undefined)
        addUnknown(findings, 'what is defined inside CREATE SCHEMA', {
          kind: 'schema',
          schema: '',
          name: String(node['schemaname'] ?? ''),
        });
      return;
    default:
      return;
  }
}

/** Statements after which another may run code that nobody has looked at. */
const CODE_STATEMENTS = new Set([
  'CreateFunctionStmt',
  'AlterFunctionStmt',
  'CreateTrigStmt',
  'RuleStmt',
  'CreatePolicyStmt',
  'AlterPolicyStmt',
  'DefineStmt',
  'CreateDomainStmt',
  'AlterDomainStmt',
  'CreateRangeStmt',
  'CreateExtensionStmt',
  'AlterExtensionStmt',
  'AlterExtensionContentsStmt',
]);

const RENAMED_HARMLESSLY = new Set(['table', 'view', 'materialized view', 'sequence', 'index', 'column', 'constraint']);

function makesCode(kind: string, node: Tree): boolean {
  if (CODE_STATEMENTS.has(kind)) return true;
  if (kind === 'RenameStmt' || kind === 'AlterObjectSchemaStmt') {
    const type = String(node['renameType'] ?? node['objectType']);
    return !RENAMED_HARMLESSLY.has(OBJECT_KINDS[type] ?? 'object');
  }
  return kind === 'AlterTableStmt' && /"AT_\w*(?:Trig|Rule|RowSecurity)\w*"/.test(JSON.stringify(node['cmds'] ?? []));
}

/** A key tells by its errors what is there; what inherits shows its rows, or takes those of others. */
function reachOthers(findings: Findings, node: Tree): void {
  for (const [field, value] of Object.entries(node)) {
    if (field === 'pktable' && isTree(value)) addEffect(findings, 'read', rangeVar(findings, value));
    else if (field === 'inhRelations' && Array.isArray(value)) {
      for (const item of value as Tree[]) addEffect(findings, 'alter', rangeVar(findings, item['RangeVar'] as Tree));
    } else if (field === 'AlterTableCmd' && isTree(value)) {
      const definition = value['def'] as Tree | undefined;
      const other = definition?.['RangeVar'] ?? (definition?.['PartitionCmd'] as Tree | undefined)?.['name'];
      if (isTree(other)) addEffect(findings, 'alter', rangeVar(findings, other));
      reachOthers(findings, value);
    } else if (Array.isArray(value)) {
      for (const item of value) if (isTree(item)) reachOthers(findings, item);
    } else if (isTree(value)) reachOthers(findings, value);
  }
}

function looking(findings: Findings): Findings {
  return { ...findings, effects: new Map(), ownViews: null, schemaViews: null, ownText: false };
}

/** Expressions that are computed for rows which are there already. */
function runCode(findings: Findings, value: unknown): void {
  const inner = looking(findings);
  visit(inner, value);
  settleCasts(inner);
  for (const { verb, object } of inner.effects.values())
    if (verb === 'unknown' || verb === 'server') addEffect(findings, verb, object);
}

/** Expressions that later rows run. */
function leaveCode(findings: Findings, value: unknown): void {
  const inner = { ...looking(findings), unknown: new Set<string>(), vouchable: new Set<string>() };
  visit(inner, value);
  settleCasts(inner);
  findings.makesCode ||= inner.unknown.size > 0;
}

/** Queries and row changes that others set off, with the rights of the table's owner. */
function queriesOf(findings: Findings, value: unknown): void {
  const inner = looking(findings);
  visit(inner, value);
  for (const { verb, object } of inner.effects.values()) {
    if (verb === 'read' || verb === 'unknown' || verb === 'server') addEffect(findings, verb, object);
    else addEffect(findings, verb, object, { via: 'rule' });
  }
}

/** Parts of definitions that are no expressions themselves. */
const FRAMES = new Set([
  'AlterTableCmd',
  'ColumnDef',
  'Constraint',
  'IndexElem',
  'StatsElem',
  'PartitionSpec',
  'PartitionElem',
  'PartitionCmd',
  'PartitionBoundSpec',
  'RangeVar',
  'TypeName',
  'DefElem',
  'RoleSpec',
  'List',
  'String',
  'TableLikeClause',
]);

function visit(findings: Findings, value: unknown): void {
  if (Array.isArray(value)) {
    for (const item of value) visit(findings, item);
    return;
  }
  if (!isTree(value)) return;
  for (const [key, inner] of Object.entries(value)) {
    if (!isTree(inner) && !Array.isArray(inner)) continue;
    if (key === 'typeName' && isTree(inner)) castTo(findings, inner);
    else if (/^[A-Z]/.test(key) && isTree(inner) && !FRAMES.has(key)) findings.walk(findings, key, inner);
    else visit(findings, inner);
  }
}
