import { useEffect, useRef, useState } from 'react';
import type { PlanLine, PlanPage } from '../../../src/pipeline/oversight/plan-queue.ts';
import { useKeys } from '../keys.ts';
import { useKept, useLive } from '../live.ts';
import { Link } from '../parts/link.tsx';
import { EnvironmentMark, RiskMark } from '../parts/marks.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Ago, Left } from '../parts/time.tsx';
import { shortId, visible } from '../parts/words.ts';
import { go, usePlace } from '../router.ts';

const STEP = 50;
const MOST = 200;

/** What waits for a countersignature, the riskiest first; and what has come to an end. */
export function ApprovalsPage() {
  const { query } = usePlace();
  const ended = query.get('show') === 'ended';
  const [text, setText] = useState('');
  const [limit, setLimit] = useState(STEP);
  const typed = useSettled(text.trim());
  const asked = typed.length > 1 ? `&text=${encodeURIComponent(typed)}` : '';
  const state = ended ? 'ended' : 'open';
  const known = useKept(useLive<PlanPage>(`/api/plans?state=${state}&limit=${limit}${ended ? '' : asked}`), state);
  const search = useRef<HTMLInputElement>(null);
  useKeys({ '/': () => search.current?.focus(), Escape: () => search.current?.blur() });

  return (
    <>
      <div className="page-head">
        <h1>{ended ? 'Decided and done' : 'Waiting for a countersignature'}</h1>
        <div className="tabs">
          <Link href="/" aria-current={ended ? undefined : 'true'}>
            Waiting
          </Link>
          <Link href="/?show=ended" aria-current={ended ? 'true' : undefined}>
            Ended
          </Link>
        </div>
        {ended ? null : (
          <div className="search">
            <label className="unseen" htmlFor="search">
              Search what waits
            </label>
            <input
              id="search"
              ref={search}
              type="search"
              placeholder="Table, agent, purpose …  /"
              value={text}
              onChange={(event) => setText(event.target.value)}
            />
          </div>
        )}
      </div>
      <Shown known={known}>
        {(page) => (
          <>
            <Lines page={page} searched={asked !== ''} ended={ended} />
            {page.next === null ? null : (
              <div className="more">
                {limit < MOST ? (
                  <button type="button" className="button" onClick={() => setLimit(limit + STEP)}>
                    Show more
                  </button>
                ) : (
                  <p className="quiet">
                    These are the first {limit}. Search finds the others{ended ? ' in the activity' : ''}.
                  </p>
                )}
              </div>
            )}
          </>
        )}
      </Shown>
    </>
  );
}

const SETTLED_AFTER_MS = 200;

/** What somebody types, once they pause. */
function useSettled(text: string): string {
  const [settled, setSettled] = useState(text);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(text), SETTLED_AFTER_MS);
    return () => clearTimeout(timer);
  }, [text]);
  return settled;
}

function Lines({
  page,
  searched,
  ended,
}: {
  readonly page: PlanPage;
  readonly searched: boolean;
  readonly ended: boolean;
}) {
  const [chosen, setChosen] = useState<string | null>(null);
  const { plans } = page;
  const at = plans.findIndex(({ id }) => id === chosen);
  const list = useRef<HTMLOListElement>(null);
  const choose = (index: number) => {
    const plan = plans[Math.min(Math.max(index, 0), plans.length - 1)];
    if (plan === undefined) return;
    setChosen(plan.id);
    list.current?.querySelector<HTMLElement>(`[data-plan="${plan.id}"]`)?.focus();
  };
  useKeys({
    j: () => choose(at + 1),
    k: () => choose(at - 1),
    Enter: chosen === null ? undefined : () => go(`/plans/${shortId(chosen)}`),
  });
  // Whose plan has gone from the list is not looked at any more.
  useEffect(() => {
    if (chosen !== null && at === -1) setChosen(null);
  }, [chosen, at]);

  if (plans.length === 0) {
    if (searched) return <Empty title="Nothing that waits says that.">Take a word away, or look under Ended.</Empty>;
    if (ended)
      return (
        <Empty title="Nothing has come to an end yet.">
          Plans appear here once they are applied, rejected, stale or expired.
        </Empty>
      );
    return (
      <Empty title="Nothing waits for you.">
        Agents are working within their limits, or not at all. What would go beyond them appears here by itself, within
        a second. <Link href="/activity">See what is going on</Link>
      </Empty>
    );
  }
  return (
    <>
      <p className="small quiet nums" role="status">
        {page.total === null
          ? `The last ${plans.length}`
          : `${page.total} ${page.total === 1 ? 'plan' : 'plans'}, the riskiest first, then the oldest`}
      </p>
      <ol className="queue" ref={list}>
        {plans.map((plan) => (
          <Line key={plan.id} plan={plan} chosen={plan.id === chosen} onChoose={() => setChosen(plan.id)} />
        ))}
      </ol>
    </>
  );
}

function Line({
  plan,
  chosen,
  onChoose,
}: {
  readonly plan: PlanLine;
  readonly chosen: boolean;
  readonly onChoose: () => void;
}) {
  // What comes while somebody looks is pointed out, once.
  const [isNew] = useState(() => Date.now() - Date.parse(plan.createdAt) < 5000);
  return (
    <li className={isNew ? 'arrives' : undefined}>
      <Link
        className="plan-line"
        href={`/plans/${shortId(plan.id)}`}
        data-plan={plan.id}
        data-chosen={chosen}
        onFocus={onChoose}
      >
        <span className="mark">
          <EnvironmentMark environment={plan.environment} tier={plan.tier} />
          <RiskMark level={plan.risk.level} reasons={plan.risk.reasons} />
        </span>
        <span className="what">{visible(plan.headline)}</span>
        <span className="who">
          <b>{plan.actor}</b>
          {plan.onBehalfOf === plan.actor ? ' for itself' : ` for ${plan.onBehalfOf}`}, on {plan.target}:{' '}
          {visible(plan.purpose)}
        </span>
        <Notes plan={plan} />
        <span className="side nums">
          <Ago at={plan.createdAt} />
          {plan.state === 'held' || plan.state === 'approved' ? <Left until={plan.expiresAt} /> : null}
          <State plan={plan} />
        </span>
      </Link>
    </li>
  );
}

function Notes({ plan }: { readonly plan: PlanLine }) {
  return (
    <span className="notes">
      {plan.undo === 'irreversible' ? <span className="bad">No way back</span> : null}
      {plan.conflicts > 0 ? (
        <span className="warn-text">
          {plan.conflicts} other {plan.conflicts === 1 ? 'plan waits' : 'plans wait'} on the same tables
        </span>
      ) : null}
      {plan.note === null || plan.state === 'applying' ? null : <span className="quiet">{visible(plan.note)}</span>}
    </span>
  );
}

function State({ plan }: { readonly plan: PlanLine }) {
  const given = plan.approvedBy.length;
  switch (plan.state) {
    case 'held':
      return (
        <span>
          {plan.approvalsMissing > 0 ? `${given} of ${given + plan.approvalsMissing} signed` : 'waits for its time'}
        </span>
      );
    case 'approved':
      return <span className="good">approved, not applied</span>;
    case 'applied':
      return <span className="good">applied</span>;
    case 'indeterminate':
    case 'failed':
      return <span className="bad">{plan.state === 'failed' ? 'failed' : 'nobody knows whether it took effect'}</span>;
    default:
      return <span>{plan.state}</span>;
  }
}
