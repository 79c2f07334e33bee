import type { RedTeamRun } from '../ledger/red-team-runs.ts';
import { gotThrough, type Report, wasRefused } from './score.ts';

/** What of a report is kept, and what in it is worse than the last time. */
export function runOf(report: Report, last: RedTeamRun | undefined): RedTeamRun {
  const { target, startedAt, attacks, benign } = report;
  const through = attacks.filter(gotThrough).map(({ id }) => id);
  const refused = benign.filter(wasRefused).map(({ id }) => id);
  const run = { target, startedAt, attacks: attacks.length, harmless: benign.length, through, refused };
  if (last === undefined) return { ...run, worse: null };
  const worse = {
    since: last.startedAt,
    through: through.filter((id) => !last.through.includes(id)),
    refused: refused.filter((id) => !last.refused.includes(id)),
  };
  return { ...run, worse: worse.through.length + worse.refused.length === 0 ? null : worse };
}
