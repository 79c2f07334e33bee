import { useState } from 'react';
import { send } from '../api.ts';
import { refetchAll, useLive } from '../live.ts';
import { CommandToCopy } from '../parts/command.tsx';
import { Failed, Shown } from '../parts/states.tsx';
import { Ago } from '../parts/time.tsx';
import { type Passkey, registerPasskey } from '../passkeys.ts';
import type { Session } from '../session.ts';

/** One's own passkeys: made here, vouched for with the key that is known already, and taken back when a device is lost. */
export function PasskeysPage({ session }: { readonly session: Session }) {
  const known = useLive<{ passkeys: readonly Passkey[] }>('/api/passkeys');
  const [trouble, setTrouble] = useState<Error | null>(null);
  const [confirm, setConfirm] = useState<string | null>(null);
  const [busy, setBusy] = useState(false);

  async function register() {
    setBusy(true);
    setTrouble(null);
    try {
      setConfirm(await registerPasskey());
      refetchAll();
    } catch (error) {
      setTrouble(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setBusy(false);
    }
  }
  return (
    <>
      <div className="page-head">
        <h1>Your passkeys</h1>
      </div>
      <p className="quiet">
        With a passkey, this device signs what you decide: the signature is over the plan itself. A new one counts only
        once you have vouched for it with the key that the configuration knows.
      </p>
      <Shown known={known}>
        {({ passkeys }) => (
          <ul>
            {passkeys.map((passkey) => (
              <OnePasskey key={passkey.id} passkey={passkey} person={session.person} onTrouble={setTrouble} />
            ))}
          </ul>
        )}
      </Shown>
      <p className="more">
        <button type="button" className="button act" disabled={busy} onClick={() => void register()}>
          {busy ? 'Waiting for your device …' : 'Make a passkey on this device'}
        </button>
      </p>
      {confirm === null ? null : <p role="status">It is made. Vouch for it with the command beside it.</p>}
      {trouble === null ? null : <Failed error={trouble} />}
    </>
  );
}

function OnePasskey({
  passkey,
  person,
  onTrouble,
}: {
  readonly passkey: Passkey;
  readonly person: string;
  readonly onTrouble: (error: Error) => void;
}) {
  return (
    <li className="record">
      <div>
        <h2>{passkey.origin.replace(/^https?:\/\//, '')}</h2>
        <p className="small quiet">
          made <Ago at={passkey.registeredAt} />
        </p>
      </div>
      <div>
        {passkey.confirmed ? (
          <p className="good">It counts.</p>
        ) : (
          <>
            <p className="warn-text">It does not count yet. Vouch for it on the machine where your key is:</p>
            <CommandToCopy command={`countersign passkey confirm ${passkey.id} --as ${person}`} />
          </>
        )}
      </div>
      <div className="acts">
        <button
          type="button"
          className="button stop"
          onClick={() => void send(`/api/passkeys/${passkey.id}`, {}, 'DELETE').then(refetchAll, onTrouble)}
        >
          Take it back
        </button>
      </div>
    </li>
  );
}
