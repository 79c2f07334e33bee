import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseDocument } from 'yaml';
import type { Config } from '../config/load.ts';

/** What the configuration of a copy says otherwise than the user's. */
export interface CopyFacts {
  readonly directory: string;
  readonly target: string;
  readonly agent: string;
  readonly port: number;
  readonly database: string;
  readonly identity: string;
  readonly passwords: { readonly session: string; readonly apply: string };
  /** What the agent's role reaches on the copy besides. */
  readonly schemas: readonly string[];
}

/**
 * The user's configuration, with the copy in the place of the target. Policies, roles, environments and thresholds are
 * the user's own: they are what is tested. Windows and freezes are left out, so that the answer doesn't hang on the hour.
 */
export function writeCopyConfig(config: Config, text: string, facts: CopyFacts): string {
  const document = parseDocument(text);
  const { directory, target } = facts;
  const secret = (name: string, value: string): string => {
    const path = join(directory, `${name}.secret`);
    writeFileSync(path, `${value}\n`, { mode: 0o600 });
    return `\${file:${path}}`;
  };
  document.set('state', `sqlite:${join(directory, 'state.db')}`);
  document.set('listen', { pg: '127.0.0.1:0', http: '127.0.0.1:0' });
  for (const key of ['tls', 'metrics', 'freezes']) document.delete(key);
  // Each attack is tried by itself: what a breaker would stop after the tenth says nothing of the others.
  document.set('breakers', 'off');
  document.set('keys', { ledger: join(directory, 'ledger.key') });
  document.set('policies', config.policies);
  for (const id of config.targets.keys()) if (id !== target) document.deleteIn(['targets', id]);
  for (const id of config.environments.keys()) document.deleteIn(['environments', id, 'windows']);
  document.setIn(['targets', target, 'address'], {
    host: '127.0.0.1',
    port: facts.port,
    database: facts.database,
    tls: 'disable',
  });
  document.setIn(['targets', target, 'identity'], facts.identity);
  document.setIn(['targets', target, 'credentials'], {
    session: { user: 'countersign_session', password: secret('session', facts.passwords.session) },
    apply: { user: 'countersign_apply', password: secret('apply', facts.passwords.apply) },
  });
  widenRole(document, config, facts);
  const file = join(directory, 'countersign.yaml');
  writeFileSync(file, String(document));
  return file;
}

/** The schemas of the red team's own objects; a role that writes nothing gets to write nothing. */
function widenRole(document: ReturnType<typeof parseDocument>, config: Config, { agent, schemas }: CopyFacts): void {
  const actor = [...config.actors.values()].find(({ id }) => id === agent);
  const role = actor?.kind === 'agent' ? config.roles.get(actor.role) : undefined;
  if (role === undefined) throw new Error(`${agent} has no role`);
  const patterns = schemas.map((schema) => `${schema}.*`);
  document.setIn(['roles', role.id, 'read'], [...role.read, ...patterns]);
  if (role.write.length > 0) document.setIn(['roles', role.id, 'write'], [...role.write, ...patterns]);
}
