import { statefulIsAuthorized } from '@cedar-policy/cedar-wasm/nodejs';
import { ANY_TIME, type ChangeTime } from '../domain/change-time.ts';
import type { Decision, Obligation, PolicyReason } from '../domain/decision.ts';
import type { Effect } from '../domain/effect.ts';
import { objectName } from '../domain/object.ts';
import { visible } from '../domain/visible.ts';
import { columnsAsked, type Extent, questionOf, type Standing } from './circumstances.ts';
import { type PolicySet, SCHEMA_HANDLE } from './policy-set.ts';

/** Decides on all effects of a statement together: the strictest answer counts. Pure: the same question, the same answer. */
export type Decide = (standing: Standing, effects: readonly Effect[], extent: Extent) => Decision;

/** More people than this nobody asks; if even they are not enough, it is denied. */
const MAX_APPROVALS = 5;

export function createDecide(set: PolicySet): Decide {
  return (standing, effects, extent) => {
    const policies = new Map<string, PolicyReason>();
    const refused: { readonly effect: Effect; readonly by: readonly string[] }[] = [];
    for (const effect of effects) {
      const answer = ask(set, standing, effect, extent);
      if (answer.allowed) {
        for (const id of answer.by) policies.set(id, { policy: id, reason: reasonOf(set, id) });
      } else refused.push({ effect, by: answer.by });
    }
    const policyDigest = set.digest;
    if (refused.length === 0) return { decision: 'allow', policies: [...policies.values()], policyDigest };

    const open = refused.map(({ effect }) => effect);
    const approvals = needed(set, standing, open, extent);
    if (approvals === undefined) return { ...denial(set, standing, refused, extent), policyDigest };
    const missing: Obligation[] = [];
    if (approvals > extent.approvals) missing.push({ obligation: 'approvals', count: approvals });
    missing.push(...otherTime(set, standing, open, atBest({ ...extent, approvals })));
    const soon = { ...extent, approvals, time: ANY_TIME };
    missing.push(...freshDrill(set, standing, open, { ...soon, drift: null }));
    missing.push(...noDrift(set, standing, open, drilledNow(soon)));
    return { decision: 'hold', policies: reasons(set, refused), missing, policyDigest };
  };
}

interface Answer {
  readonly allowed: boolean;
  /** Ids of the policies that said so; empty when no policy spoke, which is a no. */
  readonly by: readonly string[];
}

function ask(set: PolicySet, standing: Standing, effect: Effect, extent: Extent): Answer {
  const answer = statefulIsAuthorized({
    ...questionOf(standing, effect, extent),
    preparsedSchemaName: SCHEMA_HANDLE,
    validateRequest: true,
    preparsedPolicySetId: set.handle,
  });
  if (answer.type === 'failure') {
    throw new Error(`Cedar could not be asked: ${answer.errors.map((error) => error.message).join('; ')}`);
  }
  const { decision, diagnostics } = answer.response;
  // A policy that failed was skipped; were it a prohibition, what it forbids would be let through.
  if (diagnostics.errors.length > 0) {
    return { allowed: false, by: diagnostics.errors.map((error) => error.policyId) };
  }
  return { allowed: decision === 'allow', by: diagnostics.reason };
}

/** How many people would make all of it allowed at a time when anything may be changed; `undefined` when no number does. */
function needed(set: PolicySet, standing: Standing, effects: readonly Effect[], extent: Extent): number | undefined {
  for (let approvals = extent.approvals; approvals <= Math.max(MAX_APPROVALS, extent.approvals); approvals++) {
    if (allowed(set, standing, effects, atBest({ ...extent, approvals, time: ANY_TIME }))) return approvals;
  }
  return undefined;
}

/**
 * What must come about besides approvals, with enough of them: for each thing that stands in the way of the time, it is
 * asked whether it alone would still be one.
 */
function otherTime(set: PolicySet, standing: Standing, effects: readonly Effect[], extent: Extent): Obligation[] {
  const { time } = extent;
  const stops = (only: Partial<ChangeTime>, overridden = extent.freezeOverridden) =>
    !allowed(set, standing, effects, { ...extent, freezeOverridden: overridden, time: { ...ANY_TIME, ...only } });
  const missing: Obligation[] = [];
  if (time.freezes.length > 0 && stops({ freezes: time.freezes })) {
    const mayBeLifted = !stops({ freezes: time.freezes }, true);
    for (const { until, reason, override } of time.freezes) {
      const lifted = mayBeLifted && override.length > 0 ? { override } : {};
      missing.push({ obligation: 'after freeze', until, reason, ...lifted });
    }
  }
  if (time.window === 'closed' && stops({ window: 'closed' })) {
    missing.push({ obligation: 'in window', windows: time.windows, next: time.opening });
  }
  if (missing.length > 0 && time.clockWentBackFrom !== null) {
    missing.push({ obligation: 'steady clock', until: time.clockWentBackFrom });
  }
  return missing;
}

/** As it would be once everything but people's countersignatures and the time has come about. */
function atBest(extent: Extent): Extent {
  return drilledNow({ ...extent, drift: null });
}

/** As it would be if a backup had just been proven. */
function drilledNow(extent: Extent): Extent {
  return extent.backup === null ? extent : { ...extent, backup: { ...extent.backup, drillAgeHours: 0 } };
}

function freshDrill(set: PolicySet, standing: Standing, effects: readonly Effect[], extent: Extent): Obligation[] {
  if (extent.backup === null || allowed(set, standing, effects, extent)) return [];
  return [{ obligation: 'fresh drill', newest: extent.backup.drilledAt }];
}

function noDrift(set: PolicySet, standing: Standing, effects: readonly Effect[], extent: Extent): Obligation[] {
  if (extent.drift === null || allowed(set, standing, effects, extent)) return [];
  return [{ obligation: 'no drift', ...extent.drift }];
}

function allowed(set: PolicySet, standing: Standing, effects: readonly Effect[], extent: Extent): boolean {
  return effects.every((effect) => ask(set, standing, effect, extent).allowed);
}

function denial(
  set: PolicySet,
  standing: Standing,
  refused: readonly { readonly effect: Effect; readonly by: readonly string[] }[],
  extent: Extent,
): { decision: 'deny'; policies: readonly PolicyReason[]; instead: string } {
  // Those that stand against it whoever countersigns are the reason; the others would only distract.
  const final = refused.flatMap(({ effect }) => {
    const answer = ask(set, standing, effect, atBest({ ...extent, approvals: MAX_APPROVALS, time: ANY_TIME }));
    return answer.allowed ? [] : [{ effect, by: answer.by }];
  });
  const instead = final.flatMap(({ by }) => by).flatMap((id) => set.policies.get(id)?.instead ?? []);
  return {
    decision: 'deny',
    policies: reasons(set, final),
    instead:
      [...new Set([...columnsInstead(standing, final).map(visible), ...instead])].join(' ') ||
      'Nothing of this kind is allowed.',
  };
}

/** Where a table is declared in part, what was too much is said column by column. */
function columnsInstead(standing: Standing, refused: readonly { readonly effect: Effect }[]): string[] {
  return refused.flatMap(({ effect }) => {
    const asked = columnsAsked(standing, effect);
    if (asked === undefined) return [];
    const { verb, object } = effect;
    const what = VERBS_OF_COLUMNS.has(verb) ? verb : 'change';
    const besides = asked.outside.length > 0 ? `, not ${asked.outside.join(', ')}` : '';
    const columns = asked.allowed.join(', ');
    return [
      VERBS_OF_COLUMNS.has(verb)
        ? `Of ${objectName(object)} the task may ${what} ${columns}${besides}.`
        : `Of ${objectName(object)} the task may ${what} only ${columns}: what concerns whole rows needs the whole table.`,
    ];
  });
}

const VERBS_OF_COLUMNS: ReadonlySet<string> = new Set(['read', 'insert', 'update']);

const NO_POLICY = 'default';

function reasons(
  set: PolicySet,
  refused: readonly { readonly effect: Effect; readonly by: readonly string[] }[],
): readonly PolicyReason[] {
  const objects = new Map<string, Set<string>>();
  for (const { effect, by } of refused) {
    for (const id of by.length === 0 ? [NO_POLICY] : by) {
      const named = objects.get(id) ?? new Set();
      objects.set(id, named.add(visible(spoken(effect))));
    }
  }
  // In the order of the files: Cedar's own order changes from call to call, and plans hold these words.
  const order = [...set.policies.keys()];
  const inOrder = [...objects].sort(([a], [b]) => order.indexOf(a) - order.indexOf(b));
  return inOrder.map(([policy, named]) => ({
    policy,
    reason: `${reasonOf(set, policy)}: ${[...named].join(', ')}.`,
  }));
}

function spoken({ verb, object, mode }: Effect): string {
  if (verb === 'server') return objectName(object);
  return `${verb} ${objectName(object)}${mode === undefined ? '' : ` (LOCK TABLE IN ${mode} MODE; ${HOLDS_NOBODY_UP})`}`;
}

const HOLDS_NOBODY_UP =
  'the modes up to ROW EXCLUSIVE and SELECT … FOR UPDATE hold up nobody but those who change the same rows';

function reasonOf(set: PolicySet, id: string): string {
  if (id === NO_POLICY) return 'No policy allows it';
  return set.policies.get(id)?.reason ?? 'The policy could not be evaluated';
}
