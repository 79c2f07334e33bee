import { useEffect, useRef, useState } from 'react';
import { send } from '../api.ts';
import { CommandToCopy } from '../parts/command.tsx';
import { Failed } from '../parts/states.tsx';
import { assertionFor } from '../passkeys.ts';
import { go } from '../router.ts';
import { type LoginWays, loadSession, type Session, signedIn } from '../session.ts';

/** Nobody is signed in: the ways in, and what becomes of a link from the command line. */
export function SignInPage({ login, why }: { readonly login: LoginWays | null; readonly why: string | null }) {
  const [trouble, setTrouble] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  const redeemed = useRef(false);

  async function run(work: () => Promise<Session>) {
    setBusy(true);
    setTrouble(null);
    try {
      const session = await work();
      signedIn(session);
      if (location.pathname === '/sign-in') go('/', { replace: true });
    } catch (error) {
      setTrouble(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setBusy(false);
    }
  }
  // The token is good for once: it is taken out of the address before it is used, and never used twice.
  // biome-ignore lint/correctness/useExhaustiveDependencies: once, when the page is opened
  useEffect(() => {
    const token = location.hash.slice(1);
    if (redeemed.current || location.pathname !== '/sign-in' || token === '') return;
    redeemed.current = true;
    history.replaceState(null, '', '/sign-in');
    void run(() => send<Session>('/api/session/one-time', { token }));
  }, []);

  return (
    <main className="sign-in">
      <p className="name">Countersign</p>
      {login === null ? (
        <>
          <h1>The gateway does not answer.</h1>
          <p className="quiet">Nothing was changed from here. It may be restarting, or this machine has no network.</p>
          <button type="button" className="button" onClick={() => void loadSession()}>
            Ask again
          </button>
        </>
      ) : (
        <>
          <h1>{why === null ? 'Sign in to see what waits for you.' : 'Your session is over. Sign in again.'}</h1>
          {login.passkey ? (
            <button
              type="button"
              className="button act"
              disabled={busy}
              onClick={() =>
                void run(async () => {
                  const options = await send<PublicKeyCredentialRequestOptionsJSON>('/api/session/passkey/options');
                  return send<Session>('/api/session/passkey', await assertionFor(options));
                })
              }
            >
              {busy ? 'Waiting for your device …' : 'Sign in with a passkey'}
            </button>
          ) : null}
          {login.oidc === null ? null : (
            <a className="button" href={login.oidc}>
              Sign in with your organisation
            </a>
          )}
          <p className="quiet">
            {login.passkey || login.oidc !== null ? 'Or open' : 'Open'} the address that this command prints, on the
            machine where your key is:
          </p>
          <CommandToCopy command="countersign console login --as PERSON" />
        </>
      )}
      {busy ? <p role="status">Signing in …</p> : null}
      {trouble === null ? null : <Failed error={trouble} />}
    </main>
  );
}
