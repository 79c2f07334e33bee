import { useState } from 'react';
import { refetchAll } from '../live.ts';
import { NoPasskeys } from '../passkeys.ts';
import { NoPasskey } from './command.tsx';
import { Failed } from './states.tsx';

/**
 * What a person is about to sign with their device: it says what went wrong, and where there is no passkey the command
 * that does the same with a key.
 */
export function SignForm({
  onSign,
  onClose,
  command,
  sign,
  leave,
  stops = false,
  ready = true,
  children,
}: {
  readonly onSign: () => Promise<unknown>;
  readonly onClose: () => void;
  readonly command: string;
  readonly sign: string;
  readonly leave: string;
  /** It takes something away, or goes round something. */
  readonly stops?: boolean;
  readonly ready?: boolean;
  readonly children: React.ReactNode;
}) {
  const [trouble, setTrouble] = useState<Error | null>(null);
  const [busy, setBusy] = useState(false);
  async function submit() {
    setBusy(true);
    setTrouble(null);
    try {
      await onSign();
      onClose();
    } catch (error) {
      setTrouble(error instanceof Error ? error : new Error(String(error)));
    } finally {
      setBusy(false);
      refetchAll();
    }
  }
  return (
    <form
      onSubmit={(event) => {
        event.preventDefault();
        void submit();
      }}
    >
      {children}
      {trouble instanceof NoPasskeys ? (
        <NoPasskey why={trouble.message} command={command} />
      ) : trouble === null ? null : (
        <Failed error={trouble} />
      )}
      <div className="dialog-buttons">
        <button type="submit" className={stops ? 'button stop' : 'button act'} disabled={busy || !ready}>
          {busy ? 'Waiting for your device …' : sign}
        </button>
        <button type="button" className="button plain" onClick={onClose}>
          {leave}
        </button>
      </div>
    </form>
  );
}
