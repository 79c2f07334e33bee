import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Identity } from '../../../identity/identity.ts';
import type { PasskeyDelegations } from '../../../identity/passkey-delegations.ts';
import type { PasskeyGlass } from '../../../identity/passkey-glass.ts';
import type { Gateway } from '../../../pipeline/gateway.ts';
import type { Evidence } from '../../../pipeline/oversight/evidence.ts';
import type { LedgerTail } from '../../../pipeline/oversight/ledger-tail.ts';
import type { Oversight } from '../../../pipeline/oversight/oversight.ts';
import type { PersonGuard } from '../person-session.ts';
import type { NeedsStepUp } from '../step-up-routes.ts';
import { serveActions } from './act-routes.ts';
import { serveDelegations } from './delegation-routes.ts';
import { serveEvents } from './events.ts';
import { serveEvidence } from './evidence-routes.ts';
import { serveConsoleFiles } from './files.ts';
import { serveGlass } from './glass-routes.ts';
import { serveOversight } from './read-routes.ts';

/** What stands behind the console. */
export interface ConsoleParts {
  readonly oversight: Oversight;
  readonly evidence: Evidence;
  readonly glass: PasskeyGlass;
  readonly delegations: PasskeyDelegations;
  readonly tail: LedgerTail;
}

/** Serves the console: what it shows, what people do there, and its files. */
export function serveConsole(
  app: FastifyInstance,
  deps: ConsoleParts & {
    readonly identity: Identity;
    readonly gateway: Gateway;
    readonly guard: PersonGuard;
    readonly needsStepUp: NeedsStepUp;
    readonly publicUrl: string | undefined;
    readonly log: Logger;
  },
): void {
  const { oversight, guard } = deps;
  serveOversight(app, oversight, guard);
  serveActions(app, oversight, deps);
  serveEvidence(app, deps);
  serveGlass(app, deps);
  serveDelegations(app, deps);
  serveEvents(app, { ...deps, activity: oversight.activity });
  serveConsoleFiles(app);
}
