import { useState } from 'react';
import type { Halt, HaltScope } from '../../../src/domain/halt.ts';
import type { ActorLine, TargetLine } from '../../../src/pipeline/oversight/oversight.ts';
import { send } from '../api.ts';
import { refetchAll, useLive } from '../live.ts';
import { ReasonField } from '../parts/reason-field.tsx';
import { Resume } from '../parts/resume.tsx';
import { Failed, Shown } from '../parts/states.tsx';
import { Ago } from '../parts/time.tsx';
import { visible } from '../parts/words.ts';
import type { Session } from '../session.ts';

/** Stopping, in one place: what, why, and one control that does it. */
export function HaltPage({ session }: { readonly session: Session }) {
  const known = useLive<{ halts: readonly Halt[] }>('/api/halts');
  const may = session.rights.includes('halt.set');
  return (
    <>
      <div className="page-head">
        <h1>Halt</h1>
      </div>
      <Shown known={known}>
        {({ halts }) => (
          <>
            {halts.map((halt) => (
              <Active key={halt.id} halt={halt} may={may} />
            ))}
          </>
        )}
      </Shown>
      {may ? (
        <HaltForm />
      ) : (
        <p className="quiet">You may not halt. The configuration says who may: actors.people.NAME.mayHalt.</p>
      )}
    </>
  );
}

function Active({ halt, may }: { readonly halt: Halt; readonly may: boolean }) {
  return (
    <section className="banner" aria-label={`Halt of ${named(halt.scope)}`}>
      <strong>{capital(named(halt.scope))} is halted.</strong>
      <span>
        {halt.by}, <Ago at={halt.at} />: {visible(halt.reason)}
      </span>
      {may ? <Resume halt={halt} /> : null}
    </section>
  );
}

type Chosen = HaltScope['scope'];

function HaltForm() {
  const agents = useLive<{ actors: readonly ActorLine[] }>('/api/actors');
  const targets = useLive<{ targets: readonly TargetLine[] }>('/api/targets');
  const [scope, setScope] = useState<Chosen>('global');
  const [id, setId] = useState('');
  const [reason, setReason] = useState('');
  const [trouble, setTrouble] = useState<Error | null>(null);
  const [done, setDone] = useState(false);
  const choices =
    scope === 'agent'
      ? (agents.data?.actors ?? []).flatMap((actor) => (actor.kind === 'person' ? [] : [actor.id as string]))
      : (targets.data?.targets ?? []).map((target) => target.id as string);

  const halt = () => {
    setTrouble(null);
    send('/api/halts', scope === 'global' ? { scope, reason } : { scope, id, reason }).then(
      () => {
        setDone(true);
        setReason('');
        refetchAll();
      },
      (error: Error) => setTrouble(error),
    );
  };
  return (
    <form
      className="halt-form"
      onSubmit={(event) => {
        event.preventDefault();
        halt();
      }}
    >
      <p>
        What runs is cancelled within a second, on every gateway; what comes is refused until somebody lets it go on.
        Nothing that was committed is taken back.
      </p>
      <fieldset className="scopes">
        <legend className="unseen">What is to stop</legend>
        {(['global', 'agent', 'task', 'target'] as const).map((known) => (
          <label key={known}>
            <input
              type="radio"
              name="scope"
              checked={scope === known}
              onChange={() => {
                setScope(known);
                setId('');
              }}
            />
            {known === 'global' ? 'Everything' : `One ${known}`}
          </label>
        ))}
      </fieldset>
      {scope === 'global' ? null : (
        <div className="field">
          <label htmlFor="which">Which {scope}</label>
          {scope === 'task' ? (
            <input
              id="which"
              required
              value={id}
              placeholder="task_…"
              onChange={(event) => setId(event.target.value)}
            />
          ) : (
            <select id="which" required value={id} onChange={(event) => setId(event.target.value)}>
              <option value="">Choose …</option>
              {choices.map((choice) => (
                <option key={choice}>{choice}</option>
              ))}
            </select>
          )}
        </div>
      )}
      <ReasonField
        label="Why"
        value={reason}
        onChange={setReason}
        hint="Whoever is stopped reads it, and so does the ledger."
      />
      <button type="submit" className="button big-stop">
        {scope === 'global' ? 'Halt everything' : `Halt ${id === '' ? `this ${scope}` : id}`}
      </button>
      {trouble === null ? null : <Failed error={trouble} />}
      <p role="status" className="small">
        {done && trouble === null ? 'It is halted.' : ''}
      </p>
    </form>
  );
}

function named(scope: HaltScope): string {
  return scope.scope === 'global' ? 'everything' : `${scope.scope} ${scope.id}`;
}

function capital(word: string): string {
  return `${word[0]?.toUpperCase() ?? ''}${word.slice(1)}`;
}
