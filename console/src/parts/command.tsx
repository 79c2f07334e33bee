import { useState } from 'react';
import { Link } from './link.tsx';

/** A command to copy, for what is done elsewhere. */
export function CommandToCopy({ command }: { readonly command: string }) {
  const [copied, setCopied] = useState(false);
  const copy = () => {
    navigator.clipboard.writeText(command).then(
      () => setCopied(true),
      () => setCopied(false),
    );
  };
  return (
    <div className="command">
      <code>{command}</code>
      <button type="button" className="button plain" onClick={copy}>
        {copied ? 'Copied' : 'Copy'}
      </button>
    </div>
  );
}

/** There is no passkey to sign with here; a key counts the same. */
export function NoPasskey({ why, command }: { readonly why: string; readonly command: string }) {
  return (
    <div className="field" role="alert">
      <p>
        {why} <Link href="/passkeys">Make one for this device</Link>, or sign with your own key: it counts the same.
      </p>
      <CommandToCopy command={command} />
    </div>
  );
}
