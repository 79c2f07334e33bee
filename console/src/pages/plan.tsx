import { useState } from 'react';
import type { PlanDetail } from '../../../src/pipeline/oversight/plan-detail.ts';
import { useKeys } from '../keys.ts';
import { useLive } from '../live.ts';
import { ActedAlone } from '../parts/act-alone.tsx';
import { Circumstances, HeldBy } from '../parts/circumstances.tsx';
import { DecidePanel } from '../parts/decide.tsx';
import { EffectGraph } from '../parts/effect-graph.tsx';
import { Link } from '../parts/link.tsx';
import { RowSamples } from '../parts/row-samples.tsx';
import { Sql } from '../parts/sql.tsx';
import { Shown } from '../parts/states.tsx';
import { Ago } from '../parts/time.tsx';
import { grouped, moment, shortId, span, visible } from '../parts/words.ts';
import { go } from '../router.ts';
import type { Session } from '../session.ts';

/** One plan, in the order in which a person decides: where, what happens, who asks and why, the way back; then the rest. */
export function PlanPage({ id, session }: { readonly id: string; readonly session: Session }) {
  const known = useLive<{ plan: PlanDetail }>(`/api/plans/${encodeURIComponent(id)}`);
  useKeys({ Escape: () => go('/') });
  return (
    <Shown known={known}>
      {({ plan }) => (
        <article className="docket" aria-labelledby="headline">
          <Place detail={plan} />
          <Headline detail={plan} />
          <div className="what-happens">
            <Effects detail={plan} />
            <Statements detail={plan} />
            <Samples detail={plan} />
            <HeldBy detail={plan} />
            <Circumstances detail={plan} mayRead={session.rights.includes('ledger.read')} />
          </div>
          <DecidePanel detail={plan} session={session} />
        </article>
      )}
    </Shown>
  );
}

interface Part {
  readonly detail: PlanDetail;
}

function Place({ detail: { view, owners } }: Part) {
  const { plan } = view;
  return (
    <div className="place" data-tier={plan.tier}>
      <span className="env-name">
        {plan.environment === plan.tier ? capital(plan.environment) : `${plan.environment} (${plan.tier})`}
      </span>
      <span className="target">{plan.target}</span>
      <span className="address mono">
        {plan.identity.host}:{plan.identity.port}/{plan.identity.database}
      </span>
      {owners.target === null ? null : <span>owned by {owners.target}</span>}
    </div>
  );
}

function Headline({ detail }: Part) {
  const { plan } = detail.view;
  return (
    <header className="gist">
      <h1 className="act-line" id="headline">
        {visible(detail.headline)}
      </h1>
      <p className="asks">
        <b>{plan.actor}</b> asks{plan.onBehalfOf === plan.actor ? ' on its own account' : ` for ${plan.onBehalfOf}`}:{' '}
        <q>{visible(plan.purpose)}</q>
      </p>
      <p className="small quiet">
        <Ago at={plan.createdAt} /> over {plan.channel}, in <Link href={`/tasks/${plan.task}`}>{plan.task}</Link>. Plan{' '}
        <code title={detail.view.id}>{shortId(detail.view.id)}</code>
      </p>
      {plan.undoes === undefined ? null : (
        <p className="small">
          It takes back <Link href={`/plans/${shortId(plan.undoes.change)}`}>{shortId(plan.undoes.change)}</Link>, asked
          by {plan.undoes.askedBy}
          {plan.undoes.newer.length > 0
            ? `; ${plan.undoes.newer.length} rows that were changed since stay as they are`
            : ''}
          .
        </p>
      )}
      {plan.merges === undefined ? null : (
        <p className="small">
          It brings in what <code>{plan.merges.branch}</code> has otherwise than {plan.target} had on{' '}
          {moment(plan.merges.copiedAt)}, when it was made; asked by {plan.merges.askedBy}
          {plan.merges.newer.length > 0
            ? `; ${plan.merges.newer.length} rows that were changed here since stay as they are`
            : ''}
          .
        </p>
      )}
      {plan.purges === undefined ? null : (
        <p className="small">
          It lets go for good of what{' '}
          <Link href={`/plans/${shortId(plan.purges.change)}`}>{shortId(plan.purges.change)}</Link> has dropped, kept
          until {moment(plan.purges.until)}; asked by {plan.purges.askedBy}.
        </p>
      )}
      {plan.purges === undefined ? null : (
        <p className="bad">
          It lets go for good of what a drop has put out of the way: after it nothing brings that back.
        </p>
      )}
      <ActedAlone detail={detail} />
      <Alarms detail={detail} />
    </header>
  );
}

/** What makes the plan another than it looks: it is said before anything else is read. */
function Alarms({ detail }: Part) {
  const { view, conflicts, halted } = detail;
  return (
    <>
      {halted === null ? null : (
        <div className="banner" role="status">
          <strong>Stopped.</strong> <span>{visible(halted)}</span>
        </div>
      )}
      {view.state === 'stale' ? (
        <div className="banner warn" role="status">
          <strong>The database has moved on.</strong>
          <span>{visible(view.note ?? 'This plan no longer fits what is there. The agent must propose it anew.')}</span>
        </div>
      ) : null}
      {conflicts.count === 0 ? null : (
        <div className="banner warn" role="status">
          <strong>
            {conflicts.count} other {conflicts.count === 1 ? 'plan waits' : 'plans wait'} on the same tables.
          </strong>
          <span>
            Whichever is applied first may make the others stale:{' '}
            {conflicts.first.map((id) => (
              <span key={id}>
                <Link href={`/plans/${shortId(id)}`}>{shortId(id)}</Link>{' '}
              </span>
            ))}
          </span>
        </div>
      )}
    </>
  );
}

function Effects({ detail }: Part) {
  const { measurement, effects } = detail.view.plan;
  if (!measurement.measured) {
    return (
      <section>
        <h2>What it would touch</h2>
        <p className="bad">It could not be tried: {visible(measurement.why)}.</p>
        <ul className="rights">
          {effects
            .filter(({ verb }) => verb !== 'read')
            .map(({ verb, object, via }) => (
              <li key={`${verb} ${object.kind} ${object.schema} ${object.name} ${via}`}>
                {verb} {object.kind} {visible(`${object.schema}${object.schema === '' ? '' : '.'}${object.name}`)}
                {via === 'direct' ? '' : `, by ${via}`}
              </li>
            ))}
        </ul>
      </section>
    );
  }
  const { effect } = measurement;
  const strong = effect.locks.filter(({ mode }) => /^(?:AccessExclusive|Exclusive|ShareRowExclusive)Lock$/.test(mode));
  return (
    <section>
      <h2>What happens, measured on the real data and rolled back</h2>
      {effect.tables.length === 0 ? null : <EffectGraph tables={effect.tables} />}
      {detail.changes.length === 0 ? null : (
        <ul className="rights">
          {detail.changes.map((line) => (
            <li key={line}>{visible(line)}</li>
          ))}
        </ul>
      )}
      {effect.tables.length + detail.changes.length === 0 ? <p>Nothing changes.</p> : null}
      <p className="figures nums">
        <span>
          took {span(effect.durationMs) === '0 s' ? `${Math.round(effect.durationMs)} ms` : span(effect.durationMs)}
        </span>
        <span>{grouped(effect.walBytes)} bytes of WAL</span>
        <span className={strong.length > 0 ? 'warn-text' : undefined}>
          {strong.length === 0
            ? 'no lock that readers wait for'
            : `locks ${strong.map(({ table, mode }) => `${table} (${mode.replace(/Lock$/, '')})`).join(', ')}`}
        </span>
      </p>
    </section>
  );
}

function Statements({ detail }: Part) {
  const { statements, settings } = detail.view.plan;
  return (
    <section>
      <h2>{statements.length === 1 ? 'The statement' : `${statements.length} statements, in one transaction`}</h2>
      {statements.length === 0 ? <p className="quiet">It has none, or they were erased.</p> : null}
      {statements.map(({ text, parameters }, index) => (
        // The statements of a plan never change, and may be equal.
        // biome-ignore lint/suspicious/noArrayIndexKey: see above
        <div key={index}>
          <Sql text={text} />
          {parameters.length === 0 ? null : (
            <p className="small mono">
              {parameters
                .map(
                  ({ type, value }, at) => `$${at + 1} = ${value === null ? 'NULL' : `'${visible(value)}'`} (${type})`,
                )
                .join('   ')}
            </p>
          )}
        </div>
      ))}
      {settings.length === 0 ? null : (
        <p className="small quiet">Under {settings.map(({ name, value }) => `${name} = ${value}`).join(', ')}</p>
      )}
    </section>
  );
}

function Samples({ detail }: Part) {
  const { measurement } = detail.view.plan;
  const [all, setAll] = useState(false);
  if (!measurement.measured || measurement.effect.samples.length === 0) return null;
  const { samples, tables } = measurement.effect;
  const direct = tables.flatMap(({ table, via }) => (via === 'direct' ? [table] : []));
  const nearest = samples.toSorted((a, b) => Number(direct.includes(b.table)) - Number(direct.includes(a.table)));
  const shown = all ? nearest : nearest.slice(0, 6);
  return (
    <section>
      <h2>For example, before and after</h2>
      <RowSamples samples={shown} first={direct} />
      {samples.length > shown.length ? (
        <button type="button" className="button plain" onClick={() => setAll(true)}>
          Show {samples.length - shown.length} more
        </button>
      ) : null}
    </section>
  );
}

function capital(word: string): string {
  return `${word[0]?.toUpperCase() ?? ''}${word.slice(1)}`;
}
