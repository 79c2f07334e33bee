import { useState } from 'react';
import type { PlanDetail } from '../../../src/pipeline/oversight/plan-detail.ts';
import { send } from '../api.ts';
import { useKeys } from '../keys.ts';
import { refetchAll } from '../live.ts';
import { go } from '../router.ts';
import type { Session } from '../session.ts';
import type { Verdict } from '../verdict.ts';
import { ActAlone } from './act-alone.tsx';
import { Link } from './link.tsx';
import { RiskMark } from './marks.tsx';
import { Failed } from './states.tsx';
import { Ago, Left } from './time.tsx';
import { UndoDialog, VerdictDialog } from './verdict-dialogs.tsx';
import { grouped, rows, shortId, span, visible } from './words.ts';

/** Who has signed, the way back, and what this person can do about the plan now. It is never changed here: only answered. */
export function DecidePanel({ detail, session }: { readonly detail: PlanDetail; readonly session: Session }) {
  const { view } = detail;
  return (
    <aside className="decide" aria-label="Decision">
      <Standing detail={detail} />
      <Signatures detail={detail} />
      <WayBack detail={detail} />
      <Acts detail={detail} session={session} />
      <ActAlone detail={detail} session={session} />
      {view.state === 'held' && !mayDecide(detail, session) ? (
        <p className="small quiet">{whyNot(detail, session)}</p>
      ) : null}
    </aside>
  );
}

interface Part {
  readonly detail: PlanDetail;
}

function Standing({ detail: { view, waitsFor, risk } }: Part) {
  const said: Readonly<Record<typeof view.state, string>> = {
    held: view.approvalsMissing === 0 ? 'Waits for its time' : 'Waits for a countersignature',
    approved: 'Approved, not applied yet',
    rejected: 'Rejected',
    applying: 'Being applied now',
    applied: 'Applied',
    failed: 'Failed',
    stale: 'Stale',
    expired: 'Expired',
    indeterminate: 'Nobody knows whether it took effect',
  };
  const waiting = view.state === 'held' || view.state === 'approved';
  return (
    <div role="status">
      <h2 className="standing">{said[view.state]}</h2>
      {waiting ? (
        <p className="small quiet">
          <Left until={view.plan.expiresAt} />, then it comes to nothing.
        </p>
      ) : null}
      {waiting ? (
        <p className="small">
          <RiskMark level={risk.level} /> <span className="quiet">{risk.reasons.join(', ')}</span>
        </p>
      ) : null}
      {view.note === null || view.state === 'applying' ? null : <p className="small">{visible(view.note)}</p>}
      {waitsFor.map((line) => (
        <p key={line} className="small warn-text">
          Missing: {line}
        </p>
      ))}
    </div>
  );
}

function Signatures({ detail: { view } }: Part) {
  const open = view.state === 'held' ? view.approvalsMissing : 0;
  if (view.approvals.length + open === 0) return null;
  return (
    <ul className="signatures" aria-label="Countersignatures">
      {view.approvals.map(({ person, agentOf, inPlaceOf, at, reason, via }) => (
        <li key={person} title={reason}>
          <span className="signed">
            {person}
            {agentOf === undefined ? null : (
              <span className="small quiet"> approval agent, {agentOf} answers for it</span>
            )}
            {via === undefined ? null : <span className="small quiet"> by a click in Slack</span>}
            {inPlaceOf === undefined ? null : <span className="small quiet"> in the place of {inPlaceOf}</span>}
          </span>
          <Ago at={at} />
        </li>
      ))}
      {Array.from({ length: open }, (_, index) => (
        // Empty lines have no name of their own.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <li key={index}>
          <span>countersignature</span>
          <span>missing</span>
        </li>
      ))}
    </ul>
  );
}

function WayBack({ detail: { view } }: Part) {
  const { undo, backup } = view.plan;
  return (
    <div className="way-back small" data-way={undo.undo}>
      <strong>{undo.undo === 'irreversible' ? 'There is no way back' : 'The way back'}</strong>
      {undo.undo === 'row images' ? (
        <p>
          {rows(undo.rows)} are kept, before and after, in the same transaction. One step puts them back
          {undo.takesMs === undefined ? '' : `, in about ${span(Math.max(1000, undo.takesMs))}`}.
        </p>
      ) : null}
      {undo.undo === 'quarantine' ? (
        <p>
          It is moved out of the way and kept for {span(undo.keepMs)}. Until then one step moves it back, in about{' '}
          {span(Math.max(1000, undo.takesMs))}.
        </p>
      ) : null}
      {undo.undo === 'statements' ? (
        <p className="mono">{undo.statements.map((line) => visible(line)).join(' ')}</p>
      ) : null}
      {undo.undo === 'quarantine' ? (
        <p>
          What it drops is kept out of reach for {span(undo.keepMs)}, {grouped(undo.bytes)} bytes. One step brings it
          back, in about {span(Math.max(1000, undo.takesMs))}.
        </p>
      ) : null}
      {undo.undo === 'irreversible' ? <p>{visible(undo.why)}.</p> : null}
      <p className="quiet">
        {backup === undefined ? (
          'No backup is proven by a drill.'
        ) : (
          <>
            Proven backup of <Ago at={backup.at} />; the drill <Ago at={backup.drilledAt} /> restored it in{' '}
            {span(backup.recoveryMs)}.
          </>
        )}
      </p>
    </div>
  );
}

function Acts({ detail, session }: Part & { readonly session: Session }) {
  const [asks, setAsks] = useState<Verdict | 'undo' | null>(null);
  const [trouble, setTrouble] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const { view, change } = detail;
  const decides = mayDecide(detail, session);
  useKeys(decides ? { a: () => setAsks('approve'), r: () => setAsks('reject') } : {});

  async function run(work: () => Promise<unknown>) {
    setBusy(true);
    setTrouble(null);
    try {
      await work();
    } catch (error) {
      setTrouble(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setBusy(false);
      refetchAll();
    }
  }
  const applies = view.state === 'approved' && session.rights.includes('plan.apply');
  const undoes = change?.canUndo === true && session.rights.includes('change.undo');
  return (
    <>
      <div className="buttons">
        {decides ? (
          <>
            <button type="button" className="button act" onClick={() => setAsks('approve')}>
              Approve … <kbd>a</kbd>
            </button>
            <button type="button" className="button stop wide" onClick={() => setAsks('reject')}>
              Reject … <kbd>r</kbd>
            </button>
          </>
        ) : null}
        {applies ? (
          <button
            type="button"
            className="button act"
            disabled={busy}
            onClick={() => void run(() => send(`/api/plans/${view.id}/apply`))}
          >
            {busy ? 'Applying …' : 'Apply now'}
          </button>
        ) : null}
        {undoes ? (
          <button type="button" className="button wide" disabled={busy} onClick={() => setAsks('undo')}>
            Take it back …
          </button>
        ) : null}
      </div>
      {change?.undoneBy == null ? null : (
        <p className="small">
          Taken back by{' '}
          <Link href={`/plans/${shortId(change.undoneBy)}`}>
            <code>{shortId(change.undoneBy)}</code>
          </Link>
        </p>
      )}
      {trouble === null ? null : <Failed error={trouble} />}
      {asks === 'approve' || asks === 'reject' ? (
        <VerdictDialog detail={detail} session={session} verdict={asks} onClose={() => setAsks(null)} />
      ) : null}
      {asks === 'undo' ? (
        <UndoDialog
          detail={detail}
          onClose={() => setAsks(null)}
          onConfirm={() => {
            setAsks(null);
            void run(async () => {
              const { plan } = await send<{ plan: string }>(`/api/plans/${view.id}/undo`);
              go(`/plans/${shortId(plan)}`);
            });
          }}
        />
      ) : null}
    </>
  );
}

function mayDecide({ view }: PlanDetail, session: Session): boolean {
  return (
    view.state === 'held' &&
    view.approvalsMissing > 0 &&
    session.rights.includes('plan.decide') &&
    view.canDecide.some((person) => person === session.person) &&
    !view.approvals.some(({ person }) => person === session.person)
  );
}

function whyNot({ view }: PlanDetail, session: Session): string {
  if (view.approvals.some(({ person }) => person === session.person)) return 'You have signed it.';
  if (view.plan.onBehalfOf === session.person) return 'It is asked for you, so somebody else must sign it.';
  return view.canDecide.length === 0
    ? 'Nobody in the configuration may countersign here.'
    : `${view.canDecide.join(', ')} may countersign here.`;
}
