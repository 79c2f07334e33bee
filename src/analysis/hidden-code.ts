import type { ObjectRef } from '../domain/object.ts';
import type { HiddenCode } from '../engines/catalogue.ts';
import { expand } from './expand.ts';
import { addUnknown, type Findings } from './findings.ts';
import { safetyOf } from './functions.ts';
import { names, type Tree } from './parse.ts';

/** Code that runs without being named: harmless if each of its functions is. */
export function runHidden(findings: Findings, code: HiddenCode, object: ObjectRef): void {
  const suspects = code.functions.filter((signature) => {
    const safety = safetyOf(signature, findings.catalogue);
    // What a person has vouched for may still be wrong: the database holds it to reading.
    if (safety === 'vouched') findings.pure = false;
    return safety === 'unknown';
  });
  if (suspects.length > 0) addUnknown(findings, `${code.what}, which runs ${suspects.join(' and ')}`, object, suspects);
}

/** A value becomes one of this type: its checks run, and the casts that lead to it. */
export function castTo(findings: Findings, typeName: Tree | undefined): void {
  const name = names(typeName?.['names']);
  const bare = name.at(-1);
  if (bare === undefined) return;
  const schema = name.length > 1 ? name.at(-2) : undefined;
  findings.castTargets.add(bare.replace(/^_/, ''));
  if (schema === 'pg_catalog' && !findings.catalogue.userTypes.has(`pg_catalog.${bare}`)) return;
  const schemas = schema === undefined ? findings.searchPath : [schema];
  for (const candidate of schemas) {
    const key = `${candidate}.${bare}`;
    const type = findings.catalogue.userTypes.get(key);
    if (type === undefined) continue;
    // A domain over a domain, or a row with one in it, runs checks that aren't its own.
    if (type.kind !== 'enum') findings.pure = false;
    for (const part of family(findings, key)) findings.castTargets.add(part);
    check(findings, key);
    meet(findings, key);
    return;
  }
}

/** What the checks of a type run, and those of all that it is made of. */
function check(findings: Findings, type: string): void {
  for (const part of family(findings, type)) {
    const [schema = '', name = ''] = part.split('.');
    for (const expression of findings.catalogue.userTypes.get(part)?.checks ?? [])
      expand(findings, `check of ${part}`, `SELECT ${expression}`, { schema, name });
  }
}

/** Values of this type are met: whatever comes with them may run, as soon as something is done with them. */
export function meet(findings: Findings, type: string): void {
  for (const part of family(findings, type)) {
    if (findings.met.has(part)) continue;
    findings.met.add(part);
    const [schema = '', name = ''] = part.split('.');
    for (const code of findings.catalogue.userTypes.get(part)?.code ?? []) {
      if (code.castTo === null) runHidden(findings, code, { kind: 'type', schema, name });
    }
  }
}

/** A type with all that it is made of, as far as users have made it. The server's own are in it by name only. */
function family({ catalogue }: Findings, type: string): ReadonlySet<string> {
  const found = new Set([type]);
  for (const name of found) for (const part of catalogue.userTypes.get(name)?.parts ?? []) found.add(part);
  return found;
}

/** Asked when all of a statement has been looked at: casts that were written out meet the types that they could be of. */
export function settleCasts(findings: Findings): void {
  const { catalogue, castTargets, met } = findings;
  const everywhere = { kind: 'type', schema: 'pg_catalog', name: 'cast' } as const;
  for (const code of catalogue.hiddenCode) {
    if (code.castTo === null ? findings.computes : castTargets.has(code.castTo)) runHidden(findings, code, everywhere);
  }
  for (const type of met) {
    if (findings.readsMetTypes) check(findings, type);
    const [schema = '', name = ''] = type.split('.');
    for (const code of catalogue.userTypes.get(type)?.code ?? [])
      if (code.castTo !== null && castTargets.has(code.castTo))
        runHidden(findings, code, { kind: 'type', schema, name });
  }
}
