import { useEffect, useId, useState } from 'react';
import type { PlanDetail } from '../../../src/pipeline/oversight/plan-detail.ts';
import { get } from '../api.ts';
import type { Session } from '../session.ts';
import { signAt } from '../sign.ts';
import { Dialog } from './dialog.tsx';
import { Link } from './link.tsx';
import { ReasonField } from './reason-field.tsx';
import { SignForm } from './sign-form.tsx';
import { Failed } from './states.tsx';
import { shortId, visible } from './words.ts';

interface Part {
  readonly detail: PlanDetail;
  readonly session: Session;
}

/** For whom the configuration names: the way to act when nobody else answers. Far from the other buttons, and with no key. */
export function ActAlone({ detail, session }: Part) {
  const [asks, setAsks] = useState(false);
  if (!detail.canBreakGlass.some((person) => person === session.person)) return null;
  return (
    <div className="alone">
      <p className="small quiet">Nobody who could countersign it answers, and it can’t wait?</p>
      <button type="button" className="button stop" onClick={() => setAsks(true)}>
        Break the glass …
      </button>
      {asks ? <AloneDialog detail={detail} session={session} onClose={() => setAsks(false)} /> : null}
    </div>
  );
}

const SAID: Readonly<Record<string, string>> = {
  approvals: 'the countersignature of other people',
  'in window': 'the change window',
  'after freeze': 'the end of the freeze',
  'fresh drill': 'a fresh drill of the backup',
  'steady clock': 'a steady clock',
};

function AloneDialog({ detail, session, onClose }: Part & { readonly onClose: () => void }) {
  const { view, headline } = detail;
  const [missing, setMissing] = useState<readonly string[] | null>(null);
  const [trouble, setTrouble] = useState<Error | null>(null);
  // Once: what is signed is what the person has before them.
  useEffect(() => {
    get<{ missing: readonly string[] }>(`/api/plans/${view.id}/break-glass`).then(
      (answer) => setMissing(answer.missing),
      (error: unknown) => setTrouble(error instanceof Error ? error : new Error(String(error))),
    );
  }, [view.id]);
  return (
    <Dialog title="Act alone on this plan?" onClose={onClose}>
      <div className="place" data-tier={view.plan.tier}>
        <span className="env-name">{view.plan.environment}</span>
        <span className="target">{view.plan.target}</span>
      </div>
      <p>{visible(headline)}</p>
      {trouble === null ? null : <Failed error={trouble} />}
      {missing === null ? null : (
        <>
          <ul className="rights">
            <li>
              You stand in for <b>{missing.map(obligationSaid).join(', ')}</b>.
            </li>
            <li>It is applied at once, and only once; the way back stays as the plan has it.</li>
            <li>Others are told now, by two ways. It opens an incident, which somebody else reviews.</li>
          </ul>
          <AloneForm detail={detail} session={session} standsInFor={missing} onClose={onClose} />
        </>
      )}
    </Dialog>
  );
}

function AloneForm({
  detail: { view },
  session,
  standsInFor,
  onClose,
}: Part & { readonly standsInFor: readonly string[]; readonly onClose: () => void }) {
  const [reason, setReason] = useState('');
  const [typed, setTyped] = useState('');
  const where = useId();
  const { environment } = view.plan;

  return (
    <SignForm
      sign="Sign, and apply it now"
      leave="Leave it to others"
      stops
      ready={typed.trim() === environment}
      command={`countersign plan break-glass ${shortId(view.id)} --as ${session.person} --reason '…'`}
      onClose={onClose}
      onSign={() => signAt(`/api/plans/${view.id}/break-glass`, { reason: reason.trim(), standsInFor })}
    >
      <ReasonField
        label="Why it can’t wait"
        value={reason}
        onChange={setReason}
        hint="You sign it. Others read it now, and it stays in the ledger for good."
        long
      />
      <div className="field">
        <label htmlFor={where}>
          Type <code>{environment}</code>, where you act
        </label>
        <input
          id={where}
          required
          autoComplete="off"
          autoCapitalize="none"
          spellCheck={false}
          value={typed}
          onChange={(event) => setTyped(event.target.value)}
        />
      </div>
    </SignForm>
  );
}

/** Of a plan that somebody acted on alone: said before anything else is read. */
export function ActedAlone({ detail: { view } }: Pick<Part, 'detail'>) {
  const { glass } = view;
  if (glass === undefined) return null;
  const { person, standsInFor, reason, reviewedBy } = glass;
  return (
    <div className={reviewedBy === null ? 'banner' : 'banner warn'} role="status">
      <strong>{person} acted alone on it.</strong>
      <span>
        Without {standsInFor.map(obligationSaid).join(', ')}: <q>{visible(reason)}</q>{' '}
        {reviewedBy === null ? 'Nobody has reviewed that yet.' : `Reviewed by ${reviewedBy}.`}
      </span>
      <Link href="/incidents">Look at incidents</Link>
    </div>
  );
}

/** What people say for what policy calls an obligation. */
export function obligationSaid(kind: string): string {
  return SAID[kind] ?? kind;
}
