import type { ConsoleParts } from '../channels/http/console/serve-console.ts';
import { createPasskeyDelegations } from '../identity/passkey-delegations.ts';
import { createPasskeyGlass } from '../identity/passkey-glass.ts';
import { loadSigningKey } from '../ledger/signing-key.ts';
import { createIncidents } from '../pipeline/incidents.ts';
import { createEvidence, type Verification } from '../pipeline/oversight/evidence.ts';
import type { Witnesses } from './ask-witnesses.ts';
import type { OwnCommand } from './begin-command.ts';
import { glassOf } from './glass.ts';
import type { Countersign } from './open-countersign.ts';
import { verifyLedgerBeside } from './verify-ledger.ts';

interface SignedAndProven extends Pick<ConsoleParts, 'evidence' | 'glass' | 'delegations'> {
  verification(): Verification;
  close(): Promise<void>;
}

/** What of the console only a gateway has: evidence of its ledger, and what people sign there besides verdicts. */
export function createConsoleParts(
  countersign: Countersign,
  { own, witnesses }: { readonly own: OwnCommand; readonly witnesses: Witnesses | null },
): SignedAndProven {
  const { store, ledger, proof, rules, clock, config } = countersign;
  const { signing } = countersign.identity;
  const people = () => countersign.people;
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
    glass: createPasskeyGlass({
      signing,
      people,
      glass: () => glassOf(countersign),
      incidents: createIncidents({ store, ledger, proof, rules, now }),
      applyPlan: countersign.applyPlan,
      now,
    }),
    delegations: createPasskeyDelegations({
      signing,
      people,
      delegations: countersign.delegations,
      environments: () => [...countersign.config.environments.keys()],
      longestMs: () => countersign.config.delegationMs,
      now,
    }),
    verification: () => verifier.known(),
    close: () => verifier.close(),
  };
}
