import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { type Config, loadConfig } from '../../src/config/load.ts';
import { ConfigError } from '../../src/config/parse-yaml.ts';

const directory = mkdtempSync(join(tmpdir(), 'countersign-times-'));
afterAll(() => rmSync(directory, { recursive: true, force: true }));

let files = 0;
function load(windows: string, freezes = ''): Promise<Config> {
  const path = join(directory, `config-${++files}.yaml`);
  writeFileSync(
    path,
    `version: 1
environments:
  production:
    tier: production
    owner: ada
    windows:
      ${windows}
targets: {}
actors:
  people:
    ada: { name: Ada }
roles: {}
freezes: [${freezes}]
`,
  );
  return loadConfig(path);
}

async function problem(windows: string, freezes = ''): Promise<string> {
  try {
    await load(windows, freezes);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(({ line, key, message }) => `${line} ${key}: ${message}`).join('\n');
  }
  return 'none';
}

async function window(windows: string) {
  const [found] = (await load(windows)).environments.get('production' as never)?.windows ?? [];
  if (found === undefined) throw new Error('there is no window');
  return { ...found, holidays: [...found.holidays].sort() };
}

const AT = 'nightly: { at: "22:00", for: 2h, timeZone: Europe/Berlin }';

describe('windows in the configuration', () => {
  it('are days and a time of day, or a cron pattern, in a zone', async () => {
    expect(await window('nightly: { days: [mon, tue], at: "22:05", for: 90m, timeZone: Asia/Kolkata }')).toEqual({
      name: 'nightly',
      timeZone: 'Asia/Kolkata',
      opens: '5 22 * * mon,tue',
      openMs: 5_400_000,
      holidays: [],
      schedule: 'mon tue 22:05 for 90m',
    });
    expect(await window(AT)).toMatchObject({ opens: '0 22 * * *', schedule: 'daily 22:00 for 2h' });
    expect(await window('first: { cron: "0 6 1 * *", for: 4h, timeZone: UTC }')).toMatchObject({
      opens: '0 6 1 * *',
      schedule: 'cron 0 6 1 * * for 4h',
    });
  });

  it('stay closed on days that are written, listed in a file, or in a calendar', async () => {
    writeFileSync(join(directory, 'days.txt'), '# of the company\n\n2026-12-24  the last day\n2026-12-31, inventory\n');
    writeFileSync(
      join(directory, 'days.ics'),
      [
        'BEGIN:VCALENDAR',
        'VERSION:2.0',
        'PRODID:tests',
        'BEGIN:VEVENT',
        'UID:1',
        'DTSTART;VALUE=DATE:20991225',
        'RRULE:FREQ=YEARLY',
        'SUMMARY:Christ',
        ' mas',
        'END:VEVENT',
        'BEGIN:VEVENT',
        'UID:2',
        'DTSTART;VALUE=DATE:20260501',
        'DTEND;VALUE=DATE:20260504',
        'END:VEVENT',
        'BEGIN:VEVENT',
        'UID:3',
        'STATUS:CANCELLED',
        'DTSTART;VALUE=DATE:20260601',
        'END:VEVENT',
        'END:VCALENDAR',
        '',
      ].join('\r\n'),
    );
    const { holidays } = await window(
      'n: { at: "22:00", for: 2h, timeZone: UTC, holidays: [2026-01-01, "file:days.txt", "file:days.ics"] }',
    );
    expect(holidays).toEqual([
      '2026-01-01',
      '2026-05-01',
      '2026-05-02',
      '2026-05-03',
      '2026-12-24',
      '2026-12-31',
      '2099-12-25',
      '2100-12-25',
    ]);
    const config = await load('n: { at: "22:00", for: 2h, timeZone: UTC, holidays: ["file:days.txt"] }');
    expect(config.files).toEqual([config.file, join(directory, 'days.txt')]);
  });

  it.each([
    [
      'a zone that there isn’t',
      'n: { at: "22:00", for: 2h, timeZone: Mars/Olympus }',
      '7 environments.production.windows.n.timeZone: write a time zone as IANA names it, e.g. Europe/Berlin or UTC',
    ],
    [
      'an offset for a zone',
      'n: { at: "22:00", for: 2h, timeZone: "+02:00" }',
      '7 environments.production.windows.n.timeZone: write a time zone as IANA names it, e.g. Europe/Berlin or UTC',
    ],
    [
      'no time of opening',
      'n: { for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n: write when it opens: `at` with `days`, or `cron`',
    ],
    [
      'two times of opening',
      'n: { at: "22:00", cron: "0 22 * * *", for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n.cron: write either `cron`, or `at` with `days`, not both',
    ],
    [
      'a time that there isn’t',
      'n: { at: "24:00", for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n.at: write a time of day in quotes, e.g. "22:00"',
    ],
    [
      'a pattern that is none',
      'n: { cron: "0 25 * * *", for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n.cron: Invalid value for hour: 25',
    ],
    [
      'a pattern with seconds',
      'n: { cron: "0 0 22 * * *", for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n.cron: write five fields: minute hour day month weekday',
    ],
    [
      'a day that never comes',
      'n: { cron: "0 0 30 2 *", for: 2h, timeZone: UTC }',
      '7 environments.production.windows.n.cron: it never opens',
    ],
    [
      'no length',
      'n: { at: "22:00", for: 0s, timeZone: UTC }',
      '7 environments.production.windows.n.for: from 1m to 7d',
    ],
    [
      'a holiday that there isn’t',
      'n: { at: "22:00", for: 2h, timeZone: UTC, holidays: [2026-02-30] }',
      expect.stringMatching(/^7 environments\.production\.windows\.n\.holidays\.0: /),
    ],
    [
      'a list that there isn’t',
      'n: { at: "22:00", for: 2h, timeZone: UTC, holidays: ["file:none.txt"] }',
      expect.stringMatching(/^7 environments\.production\.windows\.n\.holidays\.0: ENOENT/),
    ],
  ])('are refused with %s, at its line and key', async (_, text, said) => {
    expect(await problem(text)).toEqual(said);
  });

  it('are refused with a list that can’t be read as days', async () => {
    writeFileSync(join(directory, 'wrong.txt'), '2026-12-24\n24.12.2026\n');
    writeFileSync(join(directory, 'wrong.ics'), 'BEGIN:VCALENDAR\nBEGIN:VEVENT\n');
    const withFile = (name: string) =>
      problem(`n: { at: "22:00", for: 2h, timeZone: UTC, holidays: ["file:${name}"] }`);
    expect(await withFile('wrong.txt')).toContain('line 2: "24.12.2026" is no day like 2026-12-25');
    expect(await withFile('wrong.ics')).toMatch(/^7 environments\.production\.windows\.n\.holidays\.0: /);
  });
});

describe('freezes in the configuration', () => {
  it('are instants, or wall-clock times in a zone', async () => {
    const { freezes } = await load(
      AT,
      [
        '{ environment: production, from: 2026-12-20T00:00, until: 2027-01-02T06:00, timeZone: Europe/Berlin, reason: year end, override: [ada] }',
        '{ environment: "*", from: "2026-12-20T00:00:00+05:30", until: 2026-12-21T00:00:00Z, reason: r }',
      ].join(', '),
    );
    expect(freezes).toMatchObject([
      { from: '2026-12-19T23:00:00.000Z', until: '2027-01-02T05:00:00.000Z', override: ['ada'] },
      { from: '2026-12-19T18:30:00.000Z', until: '2026-12-21T00:00:00.000Z', override: [] },
    ]);
  });

  it('last as long as the clocks of the night leave open', async () => {
    const night = (from: string, until: string) =>
      load(AT, `{ environment: "*", from: ${from}, until: ${until}, timeZone: Europe/Berlin, reason: r }`);
    // 02:30 comes twice on 25 October, and not at all on 29 March.
    expect((await night('2026-10-25T02:30', '2026-10-25T12:00')).freezes[0]?.from).toBe('2026-10-25T00:30:00.000Z');
    expect((await night('2026-10-24T02:30', '2026-10-25T02:30')).freezes[0]?.until).toBe('2026-10-25T01:30:00.000Z');
    expect((await night('2026-03-29T02:30', '2026-03-29T12:00')).freezes[0]?.from).toBe('2026-03-29T00:30:00.000Z');
    expect((await night('2026-03-28T02:30', '2026-03-29T02:30')).freezes[0]?.until).toBe('2026-03-29T01:30:00.000Z');
  });

  it.each([
    [
      'wall-clock times without a zone',
      '{ environment: "*", from: 2026-12-20T00:00, until: 2026-12-21T00:00:00Z, reason: r }',
      '13 freezes.0.from: say in which zone: end it with Z or +02:00, or add `timeZone`',
    ],
    [
      'somebody that there isn’t',
      '{ environment: "*", from: 2026-12-20T00:00:00Z, until: 2026-12-21T00:00:00Z, reason: r, override: [bob] }',
      '13 freezes.0.override.0: there is no person bob under actors.people',
    ],
    [
      'a day that there isn’t',
      '{ environment: "*", from: 2026-02-30T00:00:00Z, until: 2026-12-21T00:00:00Z, reason: r }',
      expect.stringMatching(/^13 freezes\.0\.from: /),
    ],
  ])('are refused with %s', async (_, freeze, said) => {
    expect(await problem(AT, freeze)).toEqual(said);
  });
});
