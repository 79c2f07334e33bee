/** Numbers and times as people say them. */

export function grouped(count: number): string {
  return count.toLocaleString('en-US');
}

export function rows(count: number): string {
  return `${grouped(count)} ${count === 1 ? 'row' : 'rows'}`;
}

/** `4 min`, `3 h`, `2 d`: the largest unit is enough to decide by. */
export function span(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.round(seconds / 60)} min`;
  if (seconds < 48 * 3600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export function ago(instant: string, nowMs: number): string {
  const ms = nowMs - Date.parse(instant);
  return ms < 5000 ? 'just now' : `${span(ms)} ago`;
}

/** By the reader’s own clock, to the second. */
export function clock(instant: string): string {
  return new Date(instant).toLocaleTimeString('en-GB');
}

export function day(instant: string): string {
  return new Date(instant).toLocaleDateString('en-GB', {
    weekday: 'long',
    day: 'numeric',
    month: 'long',
    year: 'numeric',
  });
}

export function moment(instant: string): string {
  return `${new Date(instant).toLocaleDateString('en-GB', { day: 'numeric', month: 'short' })}, ${clock(instant)}`;
}

export function shortId(id: string): string {
  return id.startsWith('sha256:') ? id.slice(7, 19) : id;
}

/** What a reader would not see, or would see as something else, stands escaped: the text comes from whom it is to stop. */
export function visible(text: string): string {
  return text.replaceAll(UNSEEN, (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`);
}

const UNSEEN = /(?![\n\t])[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;
