import type { ActivityEntry } from '../../../src/pipeline/oversight/activity.ts';
import { describeEntry } from './describe-entry.ts';
import { Link } from './link.tsx';
import { proofOf, TakeAway } from './take-away.tsx';
import { clock, day, moment, shortId, visible } from './words.ts';

/** Entries of the ledger by days, each in a sentence, with links to what it is about. */
export function EntryList({
  entries,
  inTask = false,
}: {
  readonly entries: readonly ActivityEntry[];
  /** All of one task: nothing leads to where one is. */
  readonly inTask?: boolean;
}) {
  const days = Map.groupBy(entries, ({ at }) => day(at));
  return [...days].map(([name, of]) => (
    <section key={name} aria-label={name}>
      <h2 className="day">{name}</h2>
      <ol>
        {of.map((entry) => (
          <Entry key={entry.index} entry={entry} inTask={inTask} />
        ))}
      </ol>
    </section>
  ));
}

function Entry({ entry, inTask }: { readonly entry: ActivityEntry; readonly inTask: boolean }) {
  const { kind, said, tone, shapes } = describeEntry(entry);
  return (
    <li className="entry">
      <time className="nums quiet" dateTime={entry.at} title={`${moment(entry.at)}, entry ${entry.index}`}>
        {clock(entry.at)}
      </time>
      <span className={`kind ${tone}`}>{kind}</span>
      <span className="said">
        {visible(said)}
        {shapes.slice(0, 4).map((shape) => (
          <code className="shape" key={shape}>
            {visible(shape.length > 300 ? `${shape.slice(0, 299)}…` : shape)}
          </code>
        ))}
        {shapes.length > 4 ? <span className="quiet"> and {shapes.length - 4} more kinds of statement</span> : null}
      </span>
      <span className="where">
        {entry.target === null ? null : <span className="quiet">{entry.target} </span>}
        {entry.plan === null ? null : (
          <Link href={`/plans/${shortId(entry.plan)}`}>plan {shortId(entry.plan).slice(0, 8)}</Link>
        )}
        {entry.plan === null && entry.task !== null && !inTask ? (
          <Link href={`/tasks/${entry.task}`}>replay task</Link>
        ) : null}
        {entry.kind === 'intent' && entry.plan === null ? (
          <TakeAway href={proofOf(entry.subject)}>proof</TakeAway>
        ) : null}
      </span>
    </li>
  );
}
