import type { ReactNode } from 'react';
import { visible } from './words.ts';

/** A statement as it was written, its parts told apart; what can’t be seen is escaped and marked. */
export function Sql({ text }: { readonly text: string }) {
  return (
    // It scrolls where it is long, and must do so by keyboard as well.
    // biome-ignore lint/a11y/noNoninteractiveTabindex: see above
    <section className="statement" tabIndex={0} aria-label="Statement">
      <code>{coloured(text.trim())}</code>
    </section>
  );
}

const PART =
  /(?<note>--[^\n]*|\/\*[\s\S]*?(?:\*\/|$))|(?<text>[eE]?'(?:[^'\\]|''|\\.)*(?:'|$)|(?<tag>\$\w*\$)[\s\S]*?(?:\k<tag>|$))|(?<name>"(?:[^"]|"")*(?:"|$))|(?<number>\b\d+(?:\.\d+)?\b|\$\d+)|(?<word>\b[A-Za-z_]\w*\b)/g;

const WORDS = new Set(
  `add all alter analyze and any as asc begin between by call cascade case cast check cluster column commit concurrently
  constraint copy create cross database default delete desc disable distinct do drop else enable end except exists
  explain false fetch for foreign from full function grant group having if ilike in index inner insert intersect into is
  join key language lateral left like limit lock materialized merge nothing not null offset on only or order outer
  owner partition policy primary privileges procedure references reindex rename replace restrict returning revoke right
  role rollback row rule schema select sequence session set table tablespace temporary then to trigger true truncate
  type union unique update using vacuum values view when where with`.split(/\s+/),
);

function coloured(sql: string): ReactNode[] {
  const parts: ReactNode[] = [];
  let end = 0;
  for (const match of sql.matchAll(PART)) {
    if (match.index > end) parts.push(...plain(sql.slice(end, match.index), parts.length));
    end = match.index + match[0].length;
    const kind = kindOf(match.groups ?? {}, match[0]);
    parts.push(
      kind === null ? (
        visible(match[0])
      ) : (
        <span key={match.index} className={kind}>
          {visible(match[0])}
        </span>
      ),
    );
  }
  parts.push(...plain(sql.slice(end), parts.length));
  return parts;
}

function kindOf(groups: Readonly<Record<string, string | undefined>>, word: string): string | null {
  if (groups['note'] !== undefined) return 'sql-note';
  if (groups['text'] !== undefined) return 'sql-text';
  if (groups['number'] !== undefined) return 'sql-number';
  return groups['word'] !== undefined && WORDS.has(word.toLowerCase()) ? 'sql-word' : null;
}

function plain(text: string, key: number): ReactNode[] {
  const shown = visible(text);
  if (shown === text) return [text];
  return [
    <span key={`odd-${key}`} className="sql-odd" title="A character that can’t be seen">
      {shown}
    </span>,
  ];
}
