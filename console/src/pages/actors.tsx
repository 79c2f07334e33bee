import type { AgentDecisions, PersonDecisions } from '../../../src/pipeline/decisions.ts';
import type { ActorLine } from '../../../src/pipeline/oversight/oversight.ts';
import { useLive } from '../live.ts';
import { DelegationsOf, type KnownDelegations } from '../parts/delegations.tsx';
import { Link } from '../parts/link.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { span } from '../parts/words.ts';
import type { Session } from '../session.ts';

const KINDS = [
  ['agent', 'Agents'],
  ['approval agent', 'Approval agents'],
  ['service', 'Services'],
  ['person', 'People'],
] as const;

/** Everyone and everything that acts, with who answers for it and the most that it may ever do. */
export function ActorsPage({ session }: { readonly session: Session }) {
  const delegations = useLive<KnownDelegations>('/api/delegations').data;
  const known = useLive<{
    actors: readonly ActorLine[];
    decisions: readonly PersonDecisions[];
    agentDecisions: readonly AgentDecisions[];
  }>('/api/actors');
  return (
    <>
      <div className="page-head">
        <h1>Actors, and the most that each may ever do</h1>
        {session.rights.includes('ledger.read') ? <Link href="/incidents">What people did alone</Link> : null}
      </div>
      <Shown known={known}>
        {({ actors, decisions, agentDecisions }) =>
          actors.length === 0 ? (
            <Empty title="Nobody is configured.">They are under actors in countersign.yaml.</Empty>
          ) : (
            KINDS.map(([kind, title]) => {
              const of = actors.filter((actor) => actor.kind === kind);
              return of.length === 0 ? null : (
                <section key={kind} className="group">
                  <h2>{title}</h2>
                  {of.map((actor) => (
                    <Actor
                      key={actor.id}
                      actor={actor}
                      habits={habitsOf(
                        decisions.find(({ person }) => person === actor.id),
                        agentDecisions.find(({ agent }) => agent === actor.id),
                      )}
                    >
                      {kind !== 'person' || delegations === undefined ? null : (
                        <DelegationsOf person={actor.id} known={delegations} session={session} />
                      )}
                    </Actor>
                  ))}
                </section>
              );
            })
          )
        }
      </Shown>
    </>
  );
}

function Actor({
  actor,
  habits,
  children,
}: {
  readonly actor: ActorLine;
  readonly habits: string | undefined;
  readonly children: React.ReactNode;
}) {
  return (
    <div className="record">
      <div>
        <h3>{actor.name ?? actor.id}</h3>
        <p className="small quiet">
          {actor.kind === 'person'
            ? actor.id
            : `${actor.role === null ? 'approves' : `role ${actor.role}`}, answered for by ${actor.owner}`}
        </p>
      </div>
      <div>
        {actor.halted === null ? null : <p className="bad small">{actor.halted}</p>}
        <ul className="rights small">
          {actor.mayDo.map((line) => (
            <li key={line}>{line}</li>
          ))}
        </ul>
        {habits === undefined ? null : <p className="small">{habits}</p>}
        {children}
      </div>
      <p className="small">
        <Link href={`/activity?actor=${encodeURIComponent(actor.id)}`}>What {actor.name ?? actor.id} did</Link>
      </p>
    </div>
  );
}

function habitsOf(person: PersonDecisions | undefined, agent: AgentDecisions | undefined): string | undefined {
  if (agent !== undefined) return `In 30 days ${agent.approved} approved, looked at by nobody.`;
  if (person === undefined) return undefined;
  const { approved, rejected, perDay, medianToDecideMs, unread } = person;
  const share = approved === 0 ? '' : `, ${Math.round((100 * unread) / approved)} % of it unread`;
  return `In 30 days ${approved} approved${share}, ${rejected} rejected: ${perDay.toFixed(1)} a day, half of them within ${span(medianToDecideMs)}.`;
}
