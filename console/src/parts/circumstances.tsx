import type { PlanDetail } from '../../../src/pipeline/oversight/plan-detail.ts';
import { proofOf, TakeAway } from './take-away.tsx';
import { moment, visible } from './words.ts';

interface Part {
  readonly detail: PlanDetail;
}

/** By which policies. */
export function HeldBy({ detail }: Part) {
  const { held } = detail.view.plan;
  return (
    <section>
      <h2>Why it was held</h2>
      <ul className="rights">
        {held.policies.map(({ policy, reason }) => (
          <li key={policy + reason}>
            {visible(reason)} <span className="quiet small mono">{policy}</span>
          </li>
        ))}
      </ul>
    </section>
  );
}

/** What else may matter, and the way to prove all of it elsewhere. */
export function Circumstances({ detail, mayRead }: Part & { readonly mayRead: boolean }) {
  const { plan } = detail.view;
  const facts: readonly (readonly [string, string])[] = [
    ['risk', `${detail.risk.level}: ${detail.risk.reasons.join(', ') || 'nothing stands out'}`],
    [
      'owner',
      `${detail.owners.target ?? 'nobody'} answers for ${plan.target}, ${detail.owners.environment ?? 'nobody'} for ${plan.environment}`,
    ],
    ['cluster', `${plan.identity.systemIdentifier}, database oid ${plan.identity.databaseOid}`],
    ['made', moment(plan.createdAt)],
    ['expires', moment(plan.expiresAt)],
    ...detail.time.map((line) => ['time', line] as const),
    ['policies', plan.policyDigest],
    ['plan', detail.view.id],
  ];
  return (
    <section>
      <h2>Circumstances</h2>
      <dl className="facts">
        {facts.map(([name, what]) => (
          <div key={name + what} className="fact">
            <dt>{name}</dt>
            <dd>{visible(what)}</dd>
          </div>
        ))}
        {mayRead ? (
          <div className="fact">
            <dt>proof</dt>
            <dd>
              <TakeAway href={proofOf(detail.view.id)}>Take all about it in one file</TakeAway>, for anybody to verify
              offline
            </dd>
          </div>
        ) : null}
      </dl>
    </section>
  );
}
