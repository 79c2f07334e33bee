import type { StatementClass } from '../domain/effect.ts';
import { advisoryAct, advisoryLockNamed } from './advisory-locks.ts';
import { addEffect, type Findings } from './findings.ts';
import type { Tree } from './parse.ts';
import { classifySetConfig } from './settings.ts';

/** A SELECT that does no more than change what the session holds; `undefined` for any other. */
export function sessionQuery(findings: Findings, select: Tree): StatementClass | undefined {
  const act = advisoryAct(select, findings.catalogue);
  if (act === undefined) return isServersOwn(findings) ? classifySetConfig(select) : undefined;
  if (act.takes && act.key !== null) addEffect(findings, 'lock', advisoryLockNamed(act.key));
  return { kind: 'session', act };
}

/** No user has a function of these names, which another search path could bring before the server's. */
function isServersOwn({ catalogue }: Findings): boolean {
  return ['set_config', 'pg_show_all_settings'].every((name) =>
    (catalogue.functions.get(name) ?? []).every((routine) => routine.builtIn),
  );
}
