import { useState } from 'react';
import type { PlanDetail } from '../../../src/pipeline/oversight/plan-detail.ts';
import type { Session } from '../session.ts';
import { countersign, type Verdict } from '../verdict.ts';
import { Dialog } from './dialog.tsx';
import { ReasonField } from './reason-field.tsx';
import { SignForm } from './sign-form.tsx';
import { shortId, visible } from './words.ts';

interface Part {
  readonly detail: PlanDetail;
}

/** A verdict, with a reason, signed by the device. */
export function VerdictDialog({
  detail,
  session,
  verdict,
  onClose,
}: Part & { readonly session: Session; readonly verdict: Verdict; readonly onClose: () => void }) {
  const [reason, setReason] = useState('');
  const { view, headline } = detail;
  const approves = verdict === 'approve';

  return (
    <Dialog title={approves ? 'Countersign this plan?' : 'Reject this plan?'} onClose={onClose}>
      <p>
        <span className="env" data-tier={view.plan.tier}>
          {view.plan.environment}
        </span>{' '}
        {visible(headline)}
      </p>
      <SignForm
        sign={approves ? 'Sign with a passkey' : 'Reject with a passkey'}
        leave="Not now"
        stops={!approves}
        command={`countersign plan ${verdict} ${shortId(view.id)} --as ${session.person}${approves ? '' : " --reason '…'"}`}
        onClose={onClose}
        onSign={() => countersign(view.id, verdict, reason.trim())}
      >
        <ReasonField
          label={approves ? 'Reason, if there is something to say' : 'Reason'}
          value={reason}
          onChange={setReason}
          hint="It goes into the ledger under your name, for good."
          long
          optional={approves}
        />
      </SignForm>
    </Dialog>
  );
}

/** That a change is to be taken back; it makes a plan, and changes nothing. */
export function UndoDialog({
  detail,
  onClose,
  onConfirm,
}: Part & { readonly onClose: () => void; readonly onConfirm: () => void }) {
  return (
    <Dialog title="Take this change back?" onClose={onClose}>
      <p>
        This makes a plan that puts back what was there. It is measured and shown like any other, and waits for a
        countersignature: nothing changes by this click.
      </p>
      <p className="small quiet">{visible(detail.headline)}</p>
      <div className="dialog-buttons">
        <button type="button" className="button act" onClick={onConfirm}>
          Make the plan
        </button>
        <button type="button" className="button plain" onClick={onClose}>
          Leave it
        </button>
      </div>
    </Dialog>
  );
}
