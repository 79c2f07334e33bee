import { resolve } from 'node:path';
import ICAL from 'ical.js';
import { Temporal } from 'temporal-polyfill';
import type { FilesRead } from './files-read.ts';
import type { Problem, ProblemAt } from './parse-yaml.ts';

/** Days on which windows stay closed, from the configuration itself and from the files it names. */
export interface Holidays {
  /** As YYYY-MM-DD. */
  readonly days: ReadonlySet<string>;
  readonly problems: readonly Problem[];
}

export function readHolidays(
  entries: readonly string[],
  directory: string,
  files: FilesRead,
  path: readonly PropertyKey[],
  problem: ProblemAt,
): Holidays {
  const days = new Set<string>();
  const problems: Problem[] = [];
  for (const [index, entry] of entries.entries()) {
    try {
      if (!entry.startsWith('file:')) days.add(dayOf(entry));
      else {
        const text = files.text(resolve(directory, entry.slice('file:'.length)));
        for (const day of text.trimStart().startsWith('BEGIN:VCALENDAR') ? calendarDays(text) : listedDays(text)) {
          days.add(day);
        }
      }
    } catch (error) {
      problems.push(problem([...path, index], error instanceof Error ? error.message : String(error)));
    }
  }
  return { days, problems };
}

/** @throws Error when there is no such day. */
function dayOf(text: string): string {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(text))
    throw new Error(`${JSON.stringify(text.slice(0, 40))} is no day like 2026-12-25`);
  return Temporal.PlainDate.from(text, { overflow: 'reject' }).toString();
}

/** One day a line; what stands behind it, and lines that begin with #, are for people. */
function listedDays(text: string): string[] {
  return text.split(/\r?\n/).flatMap((line, index) => {
    const [day = ''] = line.trim().split(/[\s,;]/);
    if (day === '' || day.startsWith('#')) return [];
    try {
      return [dayOf(day)];
    } catch (error) {
      throw new Error(`line ${index + 1}: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  });
}

/** A yearly holiday without an end is followed this far. */
const LAST_YEAR = 2100;
const MAX_DAYS = 20_000;

/** The days that the events of a calendar cover (RFC 5545). An event that was cancelled covers none. */
function calendarDays(text: string): string[] {
  const calendar = new ICAL.Component(ICAL.parse(text) as unknown[]);
  const days: string[] = [];
  for (const component of calendar.getAllSubcomponents('vevent')) {
    if (component.getFirstPropertyValue('status') === 'CANCELLED') continue;
    const event = new ICAL.Event(component);
    const occurrences = event.iterator();
    for (let start = occurrences.next(); start && start.year <= LAST_YEAR; start = occurrences.next()) {
      const { startDate, endDate } = event.getOccurrenceDetails(start);
      days.push(...covered(startDate, endDate));
      if (days.length > MAX_DAYS) throw new Error(`the calendar has more than ${MAX_DAYS} days`);
    }
  }
  return days;
}

/** From the first day to the last; the end of an event is no longer part of it. */
function covered(start: ICAL.Time, end: ICAL.Time): string[] {
  const first = new Temporal.PlainDate(start.year, start.month, start.day);
  const endsAtMidnight = end.isDate || (end.hour === 0 && end.minute === 0 && end.second === 0);
  const endDay = new Temporal.PlainDate(end.year, end.month, end.day);
  const last = endsAtMidnight ? endDay.subtract({ days: 1 }) : endDay;
  const days = [first.toString()];
  for (let day = first.add({ days: 1 }); Temporal.PlainDate.compare(day, last) <= 0; day = day.add({ days: 1 })) {
    days.push(day.toString());
    if (days.length > 366) throw new Error(`an event that begins on ${first.toString()} lasts longer than a year`);
  }
  return days;
}
