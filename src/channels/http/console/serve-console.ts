import type { FastifyInstance } from 'fastify';
import type { Logger } from 'pino';
import type { Evidence } from '../../../pipeline/oversight/evidence.ts';
import type { LedgerTail } from '../../../pipeline/oversight/ledger-tail.ts';
import type { Oversight } from '../../../pipeline/oversight/oversight.ts';
import type { PersonGuard } from '../person-session.ts';
import type { NeedsStepUp } from '../step-up-routes.ts';
import { serveActions } from './act-routes.ts';
import { serveEvents } from './events.ts';
import { serveEvidence } from './evidence-routes.ts';
import { serveConsoleFiles } from './files.ts';
import { serveOversight } from './read-routes.ts';

/** What stands behind the console. */
export interface ConsoleParts {
  readonly oversight: Oversight;
  readonly evidence: Evidence;
  readonly tail: LedgerTail;
}

/** Serves the console: what it shows, what people do there, and its files. */
export function serveConsole(
  app: FastifyInstance,
  deps: ConsoleParts & { readonly guard: PersonGuard; readonly needsStepUp: NeedsStepUp; readonly log: Logger },
): void {
  const { oversight, guard } = deps;
  serveOversight(app, oversight, guard);
  serveActions(app, oversight, deps);
  serveEvidence(app, deps);
  serveEvents(app, { ...deps, activity: oversight.activity });
  serveConsoleFiles(app);
}
