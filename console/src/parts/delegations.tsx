import { useId, useState } from 'react';
import type { DelegationChoices, DelegationLine } from '../../../src/identity/passkey-delegations.ts';
import type { Session } from '../session.ts';
import { signAt } from '../sign.ts';
import { Dialog } from './dialog.tsx';
import { ReasonField } from './reason-field.tsx';
import { SignForm } from './sign-form.tsx';
import { moment, visible } from './words.ts';

export interface KnownDelegations {
  readonly delegations: readonly DelegationLine[];
  readonly choices: DelegationChoices;
}

/** Of one person: who decides in their place, for whom they do, and how that is begun and ended. */
export function DelegationsOf({
  person,
  known: { delegations, choices },
  session,
}: {
  readonly person: string;
  readonly known: KnownDelegations;
  readonly session: Session;
}) {
  const [asks, setAsks] = useState<'give' | DelegationLine | null>(null);
  const standing = delegations.filter((one) => one.why === null && (one.person === person || one.to === person));
  const mine = person === session.person && choices.where.length > 0 && session.rights.includes('plan.decide');
  if (standing.length === 0 && !mine) return null;
  return (
    <>
      {standing.map((one) => (
        <p key={one.id} className="small warn-text">
          {one.person === person
            ? `${one.to} decides in their place in ${one.environment}`
            : `Decides in the place of ${one.person} in ${one.environment}`}{' '}
          until {moment(one.until)}: <q>{visible(one.reason)}</q>{' '}
          {mayEnd(one, session) && one.person === person ? (
            <button type="button" className="button plain" onClick={() => setAsks(one)}>
              End it …
            </button>
          ) : null}
        </p>
      ))}
      {mine ? (
        <p>
          <button type="button" className="button" onClick={() => setAsks('give')}>
            Away? Let another decide in your place …
          </button>
        </p>
      ) : null}
      {asks === 'give' ? <GiveDialog choices={choices} session={session} onClose={() => setAsks(null)} /> : null}
      {asks !== null && asks !== 'give' ? (
        <EndDialog delegation={asks} session={session} onClose={() => setAsks(null)} />
      ) : null}
    </>
  );
}

function mayEnd({ person, to }: DelegationLine, session: Session): boolean {
  return person === session.person || to === session.person || session.rights.includes('session.revoke');
}

const DAY_MS = 86_400_000;

function GiveDialog({
  choices: { where, longestMs },
  session,
  onClose,
}: {
  readonly choices: DelegationChoices;
  readonly session: Session;
  readonly onClose: () => void;
}) {
  const [environment, setEnvironment] = useState<string>(where[0]?.environment ?? '');
  const people = where.find((one) => one.environment === environment)?.to ?? [];
  const [to, setTo] = useState<string>(people[0] ?? '');
  const [until, setUntil] = useState('');
  const [reason, setReason] = useState('');
  const [field, fieldTo, fieldUntil] = [useId(), useId(), useId()];
  const days = Math.floor((longestMs ?? 0) / DAY_MS);
  return (
    <Dialog title="Let another decide in your place?" onClose={onClose}>
      <p>Both of you count as one, and neither decides on what one of you asked for. You can end it at any time.</p>
      <SignForm
        sign="Sign with a passkey"
        leave="Not now"
        command={`countersign person delegate --as ${session.person} --to ${to} --environment ${environment} --until '…' --reason '…'`}
        onClose={onClose}
        onSign={() =>
          signAt('/api/delegations', { to, environment, until: new Date(until).toISOString(), reason: reason.trim() })
        }
      >
        <div className="field">
          <label htmlFor={field}>Where</label>
          <select
            id={field}
            value={environment}
            onChange={(event) => {
              setEnvironment(event.target.value);
              setTo(where.find((one) => one.environment === event.target.value)?.to[0] ?? '');
            }}
          >
            {where.map((one) => (
              <option key={one.environment}>{one.environment}</option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={fieldTo}>Who decides</label>
          <select id={fieldTo} value={to} onChange={(event) => setTo(event.target.value)}>
            {people.map((one) => (
              <option key={one}>{one}</option>
            ))}
          </select>
        </div>
        <div className="field">
          <label htmlFor={fieldUntil}>Until</label>
          <input
            id={fieldUntil}
            type="datetime-local"
            required
            value={until}
            onChange={(event) => setUntil(event.target.value)}
          />
          <span className="why">
            By your clock; at most {days} {days === 1 ? 'day' : 'days'} from now.
          </span>
        </div>
        <ReasonField
          label="Why"
          value={reason}
          onChange={setReason}
          hint="It goes into the ledger under your name, for good."
        />
      </SignForm>
    </Dialog>
  );
}

function EndDialog({
  delegation: { id, person, to, environment },
  session,
  onClose,
}: {
  readonly delegation: DelegationLine;
  readonly session: Session;
  readonly onClose: () => void;
}) {
  const [reason, setReason] = useState('');
  return (
    <Dialog title={`End that ${to} decides for ${person}?`} onClose={onClose}>
      <p>
        In {environment}, from now on. What {to} signed in that place, and was not applied yet, counts no more.
      </p>
      <SignForm
        sign="Sign the end of it"
        leave="Leave it"
        command={`countersign person end-delegation ${id} --as ${session.person} --reason '…'`}
        onClose={onClose}
        onSign={() => signAt(`/api/delegations/${id}/end`, { reason: reason.trim() })}
      >
        <ReasonField label="Why" value={reason} onChange={setReason} />
      </SignForm>
    </Dialog>
  );
}
