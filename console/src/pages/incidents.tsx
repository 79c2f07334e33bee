import { useState } from 'react';
import type { IncidentView } from '../../../src/pipeline/incidents.ts';
import { useLive } from '../live.ts';
import { obligationSaid } from '../parts/act-alone.tsx';
import { Dialog } from '../parts/dialog.tsx';
import { Fact } from '../parts/fact.tsx';
import { Link } from '../parts/link.tsx';
import { ReasonField } from '../parts/reason-field.tsx';
import { SignForm } from '../parts/sign-form.tsx';
import { Empty, Shown } from '../parts/states.tsx';
import { Ago } from '../parts/time.tsx';
import { shortId, visible } from '../parts/words.ts';
import type { Session } from '../session.ts';
import { signAt } from '../sign.ts';

/** What people did alone, and who has looked at it since; what nobody has looked at comes first. */
export function IncidentsPage({ session }: { readonly session: Session }) {
  const known = useLive<{ incidents: readonly IncidentView[] }>('/api/incidents');
  return (
    <>
      <div className="page-head">
        <h1>Incidents: what somebody did alone</h1>
      </div>
      <Shown known={known}>
        {({ incidents }) =>
          incidents.length === 0 ? (
            <Empty title="Nobody has acted alone.">
              Whoever the configuration names may, in an emergency; each time stands here until somebody else has
              reviewed it.
            </Empty>
          ) : (
            [...incidents]
              .sort((a, b) => Number(a.review !== null) - Number(b.review !== null))
              .map((incident) => <Incident key={incident.id} incident={incident} session={session} />)
          )
        }
      </Shown>
    </>
  );
}

function Incident({ incident, session }: { readonly incident: IncidentView; readonly session: Session }) {
  const { id, person, plan, target, state, statement, owner, review, openedAt } = incident;
  const [asks, setAsks] = useState(false);
  const may = review === null && person !== session.person && session.rights.includes('incident.review');
  return (
    <section className="record" aria-label={id}>
      <div>
        <h2>{person} acted alone</h2>
        <p className="small quiet">
          <Ago at={openedAt} />, in {statement.environment}
        </p>
        <p className="small">
          {review === null ? (
            <strong className="bad">Not reviewed yet</strong>
          ) : (
            <span className="good">
              Reviewed by {review.by}, <Ago at={review.at} />
            </span>
          )}
        </p>
      </div>
      <div>
        <p className="act-reason">
          <q>{visible(statement.reason)}</q>
        </p>
        <dl className="facts small">
          <Fact name="plan">
            <Link href={`/plans/${shortId(plan)}`}>{shortId(plan)}</Link> on {target}: {state}
          </Fact>
          <Fact name="without">{statement.standsInFor.map(obligationSaid).join(', ')}</Fact>
          <Fact name="owner">{owner ?? 'nobody: the target is no longer configured'}</Fact>
          <Fact name="incident">
            <code>{id}</code>
          </Fact>
        </dl>
      </div>
      <div className="acts">
        {may ? (
          <button type="button" className="button" onClick={() => setAsks(true)}>
            Review …
          </button>
        ) : null}
      </div>
      {asks ? <ReviewDialog incident={incident} session={session} onClose={() => setAsks(false)} /> : null}
    </section>
  );
}

function ReviewDialog({
  incident: { id, person, plan },
  session,
  onClose,
}: {
  readonly incident: IncidentView;
  readonly session: Session;
  readonly onClose: () => void;
}) {
  const [reason, setReason] = useState('');
  return (
    <Dialog title={`Review what ${person} did?`} onClose={onClose}>
      <p>
        You sign that you have looked at <Link href={`/plans/${shortId(plan)}`}>the plan</Link>, and what you make of
        it. It takes nothing back: that is a plan of its own.
      </p>
      <SignForm
        sign="Sign the review"
        leave="Not now"
        command={`countersign incident review ${id} --as ${session.person} --reason '…'`}
        onClose={onClose}
        onSign={() => signAt(`/api/incidents/${id}/review`, { reason: reason.trim() })}
      >
        <ReasonField
          label="What you make of it"
          value={reason}
          onChange={setReason}
          hint="It goes into the ledger under your name, for good."
          long
        />
      </SignForm>
    </Dialog>
  );
}
