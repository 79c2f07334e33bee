import { useState } from 'react';
import type { Halt } from '../../../src/domain/halt.ts';
import { send } from '../api.ts';
import { refetchAll } from '../live.ts';
import { Failed } from './states.tsx';

/** Lets go on what a person or a breaker has stopped, with a reason. */
export function Resume({ halt }: { readonly halt: Halt }) {
  const [reason, setReason] = useState('');
  const [trouble, setTrouble] = useState<Error | null>(null);
  return (
    <>
      <form
        className="resume"
        onSubmit={(event) => {
          event.preventDefault();
          send('/api/halts/resume', { ...halt.scope, reason }).then(refetchAll, (error: Error) => setTrouble(error));
        }}
      >
        <label className="unseen" htmlFor={`resume-${halt.id}`}>
          Why it may go on
        </label>
        <input
          id={`resume-${halt.id}`}
          required
          minLength={3}
          placeholder="Why it may go on"
          value={reason}
          onChange={(event) => setReason(event.target.value)}
        />
        <button type="submit" className="button">
          Let it go on
        </button>
      </form>
      {trouble === null ? null : <Failed error={trouble} />}
    </>
  );
}
