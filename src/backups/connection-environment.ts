import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { rootCertificates } from 'node:tls';
import type { Target } from '../domain/target.ts';
import type { Credential } from '../engines/engine.ts';

/**
 * How PostgreSQL's own programs reach a target, as we do ("Environment Variables", "The Password File"). No secret stands
 * in an argument or a variable.
 *
 * @param directory where the files that it names are written; whoever made it removes it.
 */
export async function connectionEnvironment(
  { endpoint }: Pick<Target, 'endpoint'>,
  credential: Credential,
  directory: string,
): Promise<Record<string, string>> {
  const { host, port, database, tls } = endpoint;
  const passwords = join(directory, 'pgpass');
  const field = (text: string | number) => String(text).replaceAll(/[\\:]/g, '\\$&');
  // Who copies a server's files asks for no database.
  const lines = [database, 'replication'].map((asked) =>
    [host, port, asked, credential.user, credential.password].map(field).join(':'),
  );
  await writeFile(passwords, `${lines.join('\n')}\n`, { mode: 0o600 });
  const authorities = join(directory, 'authorities.pem');
  if (tls === 'verify-full') await writeFile(authorities, endpoint.tlsAuthorities ?? rootCertificates.join('\n'));
  return {
    PGHOST: host,
    PGPORT: String(port),
    PGDATABASE: database,
    PGUSER: credential.user,
    PGPASSFILE: passwords,
    PGSSLMODE: tls,
    PGAPPNAME: 'countersign backup',
    ...(tls === 'verify-full' ? { PGSSLROOTCERT: authorities } : {}),
  };
}
