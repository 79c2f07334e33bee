import type { TargetLine } from '../../../src/pipeline/oversight/oversight.ts';
import { useLive } from '../live.ts';
import { Breakers } from '../parts/breakers.tsx';
import { Fact } from '../parts/fact.tsx';
import { Link } from '../parts/link.tsx';
import { EnvironmentMark } from '../parts/marks.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Ago } from '../parts/time.tsx';
import { grouped, span, visible } from '../parts/words.ts';
import type { Session } from '../session.ts';

/** The governed databases: which exactly, whose, what needs a countersignature, and what would bring each back. */
export function TargetsPage({ session }: { readonly session: Session }) {
  const known = useLive<{ targets: readonly TargetLine[] }>('/api/targets');
  return (
    <>
      <div className="page-head">
        <h1>Targets</h1>
      </div>
      <Shown known={known}>
        {({ targets }) =>
          targets.length === 0 ? (
            <Empty title="No database is under Countersign yet.">
              <code>countersign init --database URL --environment NAME</code> puts one there.
            </Empty>
          ) : (
            targets.map((target) => <Target key={target.id} target={target} />)
          )
        }
      </Shown>
      {session.rights.includes('halt.read') ? <Breakers may={session.rights.includes('halt.set')} /> : null}
    </>
  );
}

function Target({ target }: { readonly target: TargetLine }) {
  return (
    <section className="record" aria-label={target.id}>
      <div>
        <h2>{target.id}</h2>
        <p>
          <EnvironmentMark environment={target.environment} tier={target.tier} />
        </p>
        <p className="small">
          <Link href={`/activity?target=${encodeURIComponent(target.id)}`}>What was done there</Link>
        </p>
        <p className="small">
          <Link href={`/activity?kind=drill&target=${encodeURIComponent(target.id)}`}>Its drills</Link>
        </p>
        <p className="small">
          <Link href={`/activity?kind=drift&target=${encodeURIComponent(target.id)}`}>Its drift</Link>
        </p>
      </div>
      <div>
        {target.halted === null ? null : <p className="bad">{target.halted}</p>}
        <dl className="facts">
          <Fact name="owner">
            {target.owner}; the environment is {target.environmentOwner}’s
          </Fact>
          <Fact name="address">
            <code>{target.address}</code>, {target.tls === 'disable' ? 'not encrypted' : `TLS ${target.tls}`}
          </Fact>
          <Fact name="identity">
            <code>{target.identity.slice(0, 23)}…</code>, checked on every connection
          </Fact>
          <Fact name="asks people">
            beyond {grouped(target.rowsWithoutApproval)} rows {people(target.quorum)}; what can’t be measured or taken
            back {people(target.quorumUnmeasured)}
          </Fact>
          <Fact name="way back">
            {target.keepsWrites
              ? 'rows of plans and of writes within limits are kept'
              : 'rows of plans are kept; those of writes within limits are not'}
          </Fact>
          <Fact name="masks">{target.masks === 0 ? 'no column is masked' : `${target.masks} patterns of columns`}</Fact>
          {target.time.map((line) => (
            <Fact key={line} name="time">
              {line}
            </Fact>
          ))}
          <Fact name="drift">
            <Drift drift={target.drift} />
          </Fact>
          <Fact name="backup">
            {target.backup === null ? (
              <span className="warn-text">
                none that a drill has proven: what can’t be undone can’t be brought back
              </span>
            ) : (
              <>
                <code>{target.backup.backup}</code> of <Ago at={target.backup.at} />; a drill{' '}
                <Ago at={target.backup.drilledAt} /> restored all of it in {span(target.backup.recoveryMs)}
              </>
            )}
          </Fact>
        </dl>
      </div>
    </section>
  );
}

/** What of the schema came another way than by a plan. */
function Drift({ drift }: { readonly drift: TargetLine['drift'] }) {
  if (drift === null)
    return (
      <span className="quiet">
        nobody has looked; <code>countersign drift check</code> does
      </span>
    );
  if (drift.since === null)
    return (
      <>
        none: the schema is as its baseline has it, seen <Ago at={drift.checkedAt} />
      </>
    );
  return (
    <details>
      <summary>
        <span className="bad">
          {grouped(drift.objects)} {drift.objects === 1 ? 'object is' : 'objects are'} not as the baseline has them
        </span>
        , since <Ago at={drift.since} />
      </summary>
      <ul>
        {drift.listed.map(({ object, change }) => (
          <li key={object}>
            {change}: <code>{visible(object)}</code>
          </li>
        ))}
      </ul>
      <p className="small">
        What of each: <code>countersign drift show</code>. Seen <Ago at={drift.checkedAt} />.
      </p>
    </details>
  );
}

function people(count: number): string {
  return count === 1 ? 'one person' : `${count} people`;
}
