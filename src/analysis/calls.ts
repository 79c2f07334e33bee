import { addEffect, addUnknown, type Findings, resolveRelation } from './findings.ts';
import { callSafety, routineSafety, routinesNamed } from './functions.ts';
import { castTo, runHidden } from './hidden-code.ts';
import { names, type Tree } from './parse.ts';
import { constantOf } from './settings.ts';
import { callableWhen } from './told.ts';

/** What a call by name may run. */
export function call(findings: Findings, name: readonly string[], node: Tree): void {
  const [schema, bare] = name.length > 1 ? [name.at(-2) ?? null, name.at(-1) ?? ''] : [null, name[0] ?? ''];
  const object = { kind: 'function', schema: schema ?? '', name: bare } as const;
  // `type(value)` is a cast where there is such a type.
  castTo(findings, { names: name.map((part) => ({ String: { sval: part } })) });
  if ((schema === null || schema === 'pg_catalog') && tellsText(bare, node))
    findings.textCalls?.push({ name: bare, start: Number(node['location'] ?? 0) });
  switch (callSafety(schema, bare, findings)) {
    case 'pure':
      return;
    case 'reads any type':
      findings.pure = false;
      for (const type of findings.catalogue.userTypes.keys()) castTo(findings, typeNamed(type));
      return;
    case 'reads its type':
      findings.readsMetTypes = true;
      findings.pure = false;
      return;
    case 'trusted':
    case 'missing':
      findings.pure = false;
      return;
    case 'server':
      addEffect(findings, 'server', object);
      findings.pure = false;
      return;
    case 'sequence':
      useSequence(findings, node);
      return;
    case 'unknown': {
      const unknown = routinesNamed(schema, bare, findings).filter(
        (routine) => routineSafety(routine, findings.catalogue) === 'unknown',
      );
      addUnknown(
        findings,
        `the function ${listed(unknown.map(({ signature }) => signature))}`,
        object,
        unknown.flatMap(({ kind, signature, runs }) => (kind === 'aggregate' ? runs : [signature])),
      );
      return;
    }
    default:
      return;
  }
}

/** A setting whose name is written, and has no dot, is the server's. */
function tellsText(name: string, node: Tree): boolean {
  if (name === 'current_setting' && constantOf((node['args'] as unknown[] | undefined)?.[0])?.includes('.') === false)
    return false;
  return callableWhen(name) !== undefined;
}

const MAX_LISTED = 3;

function listed(signatures: readonly string[]): string {
  const more = signatures.length - MAX_LISTED;
  return signatures.slice(0, MAX_LISTED).join(' or ') + (more > 0 ? ` or ${more} more` : '');
}

/** A type's key in the catalogue as the grammar would write it. */
function typeNamed(key: string): Tree {
  const dot = key.indexOf('.');
  return { names: [key.slice(0, dot), key.slice(dot + 1)].map((sval) => ({ String: { sval } })) };
}

function useSequence(findings: Findings, node: Tree): void {
  findings.pure = false;
  findings.writes = true;
  const [argument] = (node['args'] as Tree[] | undefined) ?? [];
  const literal = constantOf((argument?.['TypeCast'] as Tree | undefined)?.['arg'] ?? argument);
  if (literal === undefined) {
    addUnknown(findings, 'a sequence that is named by an expression', {
      kind: 'sequence',
      schema: '',
      name: 'nextval',
    });
    return;
  }
  const parts = identifiersOf(literal);
  const { object } = resolveRelation(findings, parts.length > 1 ? (parts[0] ?? null) : null, parts.at(-1) ?? '');
  addEffect(findings, 'update', { ...object, kind: 'sequence' });
}

/** The parts of a name in text, as `regclass` reads them: folded to lower case where they aren't quoted. */
function identifiersOf(name: string): readonly string[] {
  return [...name.matchAll(/"((?:[^"]|"")*)"|([^."\s]+)/g)].map(
    ([, quotedPart, plain]) => quotedPart?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? '',
  );
}

export const EQUALS = ['='] as const;

/** The operators that an expression is short for. */
export function operatorsOf(node: Tree): readonly (readonly string[])[] {
  return String(node['kind']).includes('BETWEEN') ? [['>='], ['<='], ['<'], ['>']] : [names(node['name'])];
}

/** Users' operators of this symbol, one of which may be meant. */
export function operator(findings: Findings, name: readonly string[]): void {
  const symbol = name.at(-1);
  if (symbol === undefined) return;
  const schema = name.length > 1 ? name.at(-2) : undefined;
  for (const mine of findings.catalogue.userOperators.get(symbol) ?? []) {
    if (!mayMean(findings, schema, mine.schema)) continue;
    runHidden(
      findings,
      { what: `the operator ${mine.signature}`, functions: mine.functions, castTo: null },
      { kind: 'function', schema: mine.schema, name: symbol },
    );
  }
}

/**
 * Whether an operator of that schema may be meant. Definitions that the catalogue writes out (an empty path) don't tell the
 * schema of an operator that stands behind `IN`, `CASE` and their kin: then any may be.
 */
function mayMean({ searchPath }: Findings, written: string | undefined, schema: string): boolean {
  if (written !== undefined) return written === schema;
  return searchPath.length === 0 || schema === 'pg_catalog' || searchPath.includes(schema);
}

/** `row.name` calls a function of that name that takes the row. */
export function columnAsFunction(findings: Findings, fields: readonly string[]): void {
  const name = fields.at(-1);
  if (fields.length < 2 || name === undefined) return;
  const unknown = (findings.catalogue.functions.get(name) ?? []).filter(
    (routine) => routine.onlyArgumentComposite !== null && routineSafety(routine, findings.catalogue) !== 'trusted',
  );
  if (unknown.length === 0) return;
  const signatures = unknown.map(({ signature }) => signature);
  addUnknown(
    findings,
    `the function ${listed(signatures)}, called like a column`,
    { kind: 'function', schema: '', name },
    signatures,
  );
}
