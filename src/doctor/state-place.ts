import type { StateLocation } from '../domain/state-location.ts';
import type { Target } from '../domain/target.ts';
import { type Finding, findingsOf } from './finding.ts';
import { checkTls } from './tls.ts';

/** Whether the state lies where those who are governed can't reach it (G7, G12). */
export function checkStatePlace(state: StateLocation, targets: readonly Target[]): Finding[] {
  if (typeof state === 'string') return [];
  const { bad } = findingsOf('state');
  const beside = targets.filter(({ endpoint }) => endpoint.host === state.host && endpoint.port === state.port);
  return [
    checkTls('tls.state', 'state', 'state', state),
    ...beside.map(({ id }) =>
      bad('warn', 'state.place', {
        found: `it lies on the server of ${id}, which it governs`,
        why: 'Who gets hold of that server gets hold of plans and approvals too, and when it is down nothing can be halted.',
        fix: 'give the state a server of its own',
      }),
    ),
  ];
}
