import type { Examination } from '../engines/postgres/examine.ts';
import { quoteIdentifier } from '../engines/postgres/quote.ts';
import { type Finding, findingsOf } from './finding.ts';

/**
 * What the session login could not be given, because whoever ran `init` may not hand it out: on a managed server, or from
 * PostgreSQL 16 on without a superuser. Everything works without; what is said here works less well.
 */
export function checkMissingPowers(
  target: string,
  session: string,
  { powers }: Pick<Examination, 'powers'>,
  masked: boolean,
  initAgain: string,
): Finding[] {
  const { ok, bad } = findingsOf(`target ${target}`);
  const login = quoteIdentifier(session);
  const found: Finding[] = [];
  if (!powers.readsStatistics) {
    found.push(
      bad('warn', 'powers.statistics', {
        found: `${session} is no member of pg_read_all_stats`,
        why: 'get_health and get_top_queries tell less.',
        fix: `GRANT pg_read_all_stats TO ${login};  -- as a superuser, or as the service's administrator`,
      }),
    );
  }
  if (!powers.endsSessions) {
    found.push(
      bad('warn', 'powers.signal', {
        found: `${session} is no member of pg_signal_backend`,
        why: 'A halt cancels what runs; a statement that catches the cancellation is ended only when its connection is.',
        fix: `GRANT pg_signal_backend TO ${login};  -- as a superuser, or as the service's administrator`,
      }),
    );
  }
  if (!powers.boundsTempFiles) {
    found.push(
      bad('warn', 'powers.temp_files', {
        found: `${session} may not set temp_file_limit for the logins of tasks`,
        why: 'A sort of a task can fill the disk with temporary files, as far as the server’s own limit lets it.',
        fix: `GRANT SET ON PARAMETER temp_file_limit TO ${login};  -- or set temp_file_limit in the service's parameters`,
      }),
    );
  }
  if (masked && !powers.makesMasks) {
    found.push(
      bad('fail', 'powers.masks', {
        found: `${session} can’t make views in the schema countersign_masks`,
        why: 'Columns are masked by the configuration: no session can be opened until they can be.',
        fix: initAgain,
      }),
    );
  }
  return found.length > 0 ? found : [ok('powers', `${session} has what it needs to bound and to stop tasks`)];
}
