import type { Halt } from '../../../src/domain/halt.ts';
import type { BreakerStatus } from '../../../src/pipeline/breakers.ts';
import { useLive } from '../live.ts';
import { Link } from './link.tsx';
import { Resume } from './resume.tsx';
import { Ago } from './time.tsx';
import { grouped, span, visible } from './words.ts';

/** What stops an agent, a task or a target by itself: which are armed, and which have tripped, for whom. */
export function Breakers({ may }: { readonly may: boolean }) {
  const { data } = useLive<{ breakers: readonly BreakerStatus[] }>('/api/breakers');
  // The page that it stands on says why nothing can be read.
  if (data === undefined) return null;
  return (
    <section className="record" aria-label="Breakers">
      <div>
        <h2>Breakers</h2>
        <p className="small">
          <Link href="/activity?kind=trip">Every trip, with what led to it</Link>
        </p>
      </div>
      <div>
        <dl className="facts">
          {data.breakers.map((one) => (
            <Breaker key={one.breaker} status={one} may={may} />
          ))}
        </dl>
      </div>
    </section>
  );
}

function Breaker({ status, may }: { readonly status: BreakerStatus; readonly may: boolean }) {
  const { breaker, rule, tripped, halfOpen } = status;
  return (
    <div className="fact">
      <dt>{breaker}</dt>
      <dd>
        {tripped.length > 0 ? (
          tripped.map((halt) => <Tripped key={halt.id} halt={halt} may={may} />)
        ) : rule === null ? (
          <span className="quiet">off</span>
        ) : (
          <>
            armed: {COUNTS[breaker]}, {asked(status)}
          </>
        )}
        {halfOpen.map(({ scope, until }) => (
          <p key={`${scope.scope} ${scope.id}`} className="warn-text">
            {scope.scope} {visible(scope.id)} was let go on; less is enough until <Ago at={until} />
          </p>
        ))}
      </dd>
    </div>
  );
}

function Tripped({ halt, may }: { readonly halt: Halt; readonly may: boolean }) {
  const { scope } = halt;
  return (
    <div className="tripped">
      <p>
        <strong className="bad">Tripped</strong> <Ago at={halt.at} />:{' '}
        {scope.scope === 'global' ? 'everything' : `${scope.scope} ${visible(scope.id)}`} is stopped.{' '}
        {visible(halt.reason)}
      </p>
      {may ? <Resume halt={halt} /> : null}
    </div>
  );
}

function asked({ breaker, rule }: BreakerStatus): string {
  if (rule === null || breaker === 'identity') return 'the first time';
  const most = rule.max === null ? 'what the agent’s role lets one task change' : grouped(rule.max);
  return `${most} within ${span(rule.withinMs)}`;
}

const COUNTS: Readonly<Record<BreakerStatus['breaker'], string>> = {
  knocking: 'denied statements that would lose something',
  insisting: 'plans that would destroy something',
  overLimit: 'writes over a limit',
  effectDiffers: 'plans that did something else than was approved',
  failures: 'changes that failed',
  rows: 'rows changed by an agent without a countersignature',
  taskAfterTask: 'tasks of an agent that were stopped',
  identity: 'a target that is not the pinned one',
};
