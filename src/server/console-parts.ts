import type { ConsoleParts } from '../channels/http/console/serve-console.ts';
import { loadSigningKey } from '../ledger/signing-key.ts';
import { createEvidence, type Verification } from '../pipeline/oversight/evidence.ts';
import type { Witnesses } from './ask-witnesses.ts';
import type { OwnCommand } from './begin-command.ts';
import type { Countersign } from './open-countersign.ts';
import { verifyLedgerBeside } from './verify-ledger.ts';

interface Proven extends Pick<ConsoleParts, 'evidence'> {
  verification(): Verification;
  close(): Promise<void>;
}

/** What of the console only a gateway has: evidence of its ledger. */
export function createConsoleParts(
  countersign: Countersign,
  { own, witnesses }: { readonly own: OwnCommand; readonly witnesses: Witnesses | null },
): Proven {
  const { store, ledger, clock, config } = countersign;
  const now = () => clock.now();
  const verifier = verifyLedgerBeside(countersign, own);
  return {
    evidence: createEvidence({
      store,
      ledger,
      key: loadSigningKey(config.ledgerKey, config.origin),
      verifier,
      witnesses: witnesses === null ? null : { quorum: config.witnesses?.quorum ?? 0, ...witnesses },
      now,
    }),
    verification: () => verifier.known(),
    close: () => verifier.close(),
  };
}
