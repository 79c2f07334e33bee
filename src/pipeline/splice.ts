/** A piece of a text that is to be put in place of another. */
export interface Patch {
  /** In bytes of UTF-8. */
  readonly start: number;
  readonly end: number;
  readonly text: string;
}

/** A text with pieces of it replaced. */
export interface Spliced {
  readonly text: string;
  /** Where in the text as it was a position in this one lies; in characters, from 1, as the server's errors count them. */
  readonly positionBefore: (position: number) => number;
}

export function splice(text: string, patches: readonly Patch[]): Spliced {
  const bytes = Buffer.from(text, 'utf8');
  const parts: Buffer[] = [];
  const moved: { readonly from: number; readonly to: number; readonly before: number; readonly shift: number }[] = [];
  let at = 0;
  let shift = 0;
  for (const { start, end, text: put } of [...patches].sort((a, b) => a.start - b.start)) {
    parts.push(bytes.subarray(at, start), Buffer.from(put));
    at = end;
    const before = characters(bytes.subarray(0, start));
    const from = before + shift;
    shift += characters(Buffer.from(put)) - characters(bytes.subarray(start, end));
    moved.push({ from, to: from + characters(Buffer.from(put)), before, shift });
  }
  return {
    text: Buffer.concat([...parts, bytes.subarray(at)]).toString('utf8'),
    positionBefore(position) {
      const last = moved.findLast(({ from }) => position > from);
      if (last === undefined) return position;
      return position <= last.to ? last.before + 1 : position - last.shift;
    },
  };
}

/** By code point, as PostgreSQL counts them. */
function characters(bytes: Buffer): number {
  return [...bytes.toString('utf8')].length;
}
