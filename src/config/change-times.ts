import { Cron } from 'croner';
import { Temporal } from 'temporal-polyfill';
import type { ChangeWindow, Freeze } from '../domain/change-time.ts';
import { type ActorId, asId, type Instant, instantOf } from '../domain/ids.ts';
import type { FilesRead } from './files-read.ts';
import { readHolidays } from './holidays.ts';
import type { Problem, ProblemAt } from './parse-yaml.ts';
import type { ConfigDocument } from './schema.ts';

type WindowEntry = ConfigDocument['environments'][string]['windows'][string];
type FreezeEntry = ConfigDocument['freezes'][number];

/** The windows of every environment, with all that is wrong in them. */
export function readWindows(
  value: ConfigDocument,
  directory: string,
  files: FilesRead,
  problem: ProblemAt,
): {
  readonly byEnvironment: ReadonlyMap<string, readonly ChangeWindow[]>;
  readonly problems: readonly Problem[];
} {
  const byEnvironment = new Map<string, ChangeWindow[]>();
  const problems: Problem[] = [];
  for (const [environment, { windows }] of Object.entries(value.environments)) {
    const read: ChangeWindow[] = [];
    for (const [name, entry] of Object.entries(windows)) {
      const path = ['environments', environment, 'windows', name];
      const opens = patternOf(entry, path, problem);
      const holidays = readHolidays(entry.holidays, directory, files, [...path, 'holidays'], problem);
      problems.push(...holidays.problems);
      if (typeof opens !== 'string') {
        problems.push(opens);
        continue;
      }
      read.push({
        name,
        timeZone: entry.timeZone,
        opens,
        openMs: entry.for,
        holidays: holidays.days,
        schedule: scheduleOf(entry),
      });
    }
    byEnvironment.set(environment, read);
  }
  return { byEnvironment, problems };
}

/** When the window opens, as a cron pattern of five fields. */
function patternOf(entry: WindowEntry, path: readonly PropertyKey[], problem: ProblemAt): string | Problem {
  const { days, at, cron } = entry;
  if (cron !== undefined) {
    if (at !== undefined || days !== undefined) {
      return problem([...path, 'cron'], 'write either `cron`, or `at` with `days`, not both');
    }
    const why = whyNoPattern(cron, entry.timeZone);
    return why === undefined ? cron : problem([...path, 'cron'], why);
  }
  if (at === undefined) return problem(path, 'write when it opens: `at` with `days`, or `cron`');
  const [hour, minute] = at.split(':').map(Number);
  return `${minute} ${hour} * * ${(days ?? ['*']).join(',')}`;
}

function whyNoPattern(pattern: string, timeZone: string): string | undefined {
  // Nicknames like @daily say nothing that five fields don't, and @reboot opens at no time at all.
  if (pattern.trim().split(/\s+/).length !== 5) return 'write five fields: minute hour day month weekday';
  try {
    const next = new Cron(pattern, { timezone: timeZone, mode: '5-part', paused: true }).nextRun();
    return next === null ? 'it never opens' : undefined;
  } catch (error) {
    return error instanceof Error ? error.message.replace(/^CronPattern: /, '') : String(error);
  }
}

function scheduleOf({ days, at, cron, for: openMs }: WindowEntry): string {
  const span = openMs % 3_600_000 === 0 ? `${openMs / 3_600_000}h` : `${openMs / 60_000}m`;
  return cron === undefined ? `${days?.join(' ') ?? 'daily'} ${at} for ${span}` : `cron ${cron} for ${span}`;
}

export function readFreezes(
  value: ConfigDocument,
  problem: ProblemAt,
): { readonly freezes: readonly Freeze[]; readonly problems: readonly Problem[] } {
  const freezes: Freeze[] = [];
  const problems: Problem[] = [];
  for (const [index, entry] of value.freezes.entries()) {
    // What the clocks of that night leave open is settled so that the freeze lasts longer.
    const from = momentOf(entry, 'from', 'earlier');
    const until = momentOf(entry, 'until', 'later');
    if (from === undefined || until === undefined) {
      const key = from === undefined ? 'from' : 'until';
      problems.push(problem(['freezes', index, key], 'say in which zone: end it with Z or +02:00, or add `timeZone`'));
      continue;
    }
    if (until <= from) problems.push(problem(['freezes', index, 'until'], 'a freeze ends after it begins'));
    freezes.push({
      environment: entry.environment,
      from,
      until,
      reason: entry.reason,
      override: entry.override.map((person) => asId<ActorId>(person)),
    });
  }
  return { freezes, problems };
}

function momentOf(entry: FreezeEntry, key: 'from' | 'until', disambiguation: 'earlier' | 'later'): Instant | undefined {
  const text = entry[key];
  if (/(?:Z|[+-]\d{2}:\d{2})$/.test(text)) return instantOf(Date.parse(text));
  if (entry.timeZone === undefined) return undefined;
  const local = Temporal.PlainDateTime.from(text);
  return instantOf(local.toZonedDateTime(entry.timeZone, { disambiguation }).epochMilliseconds);
}
