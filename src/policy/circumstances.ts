import type { Agent, Role, Service } from '../domain/actor.ts';
import type { ChangeTime } from '../domain/change-time.ts';
import type { Effect, Verb } from '../domain/effect.ts';
import type { Environment } from '../domain/environment.ts';
import type { Instant, TargetId } from '../domain/ids.ts';
import type { Channel } from '../domain/intent.ts';
import { objectName } from '../domain/object.ts';
import { type Columns, columnsWithin, commonColumns, matchesPattern } from '../domain/scope.ts';
import type { TargetRadius, TaskLimits } from '../domain/task.ts';

/** Who asks and by what right: the same for every statement of a session. */
export interface Standing {
  readonly actor: Agent | Service;
  readonly role: Role;
  readonly target: TargetId;
  readonly environment: Environment;
  readonly radius: TargetRadius;
  readonly limits: TaskLimits;
  readonly channel: Channel;
}

/** What is known of the statement's extent, and what people have said of it. */
export interface Extent {
  /** Rows changed by the whole, cascades included; 0 before it was measured. */
  readonly rows: number;
  readonly measured: boolean;
  readonly reversible: boolean;
  /** Since a backup of the target has passed a drill; `null` where it has no backups of Countersign's, or it is no plan yet. */
  readonly backup: { readonly drillAgeHours: number; readonly drilledAt: Instant | null } | null;
  /** Since when so many objects are not as the target's baseline has them; `null` where none is, or it is no plan yet. */
  readonly drift: { readonly objects: number; readonly since: Instant } | null;
  readonly approvals: number;
  /** Whether now is a time to change the environment. */
  readonly time: ChangeTime;
  /** Of those who countersigned, somebody may override each freeze that is in force, and it stood on what they signed. */
  readonly freezeOverridden: boolean;
  /** Somebody acts in an emergency: what would be held is not waited for. What is denied stays denied. */
  readonly glassBroken?: boolean;
  /** Who has countersigned is an approval agent, and no person. */
  readonly approvedByAgent?: boolean;
}

/** One question to Cedar: may this actor do this to that object in these circumstances? */
export interface Question {
  readonly principal: { readonly type: 'Agent' | 'Service'; readonly id: string };
  readonly action: { readonly type: 'Action'; readonly id: Verb };
  readonly resource: { readonly type: 'Object'; readonly id: string };
  readonly context: Record<string, string | number | boolean>;
  readonly entities: {
    readonly uid: { readonly type: string; readonly id: string };
    readonly attrs: Record<string, string | boolean>;
    readonly parents: { readonly type: string; readonly id: string }[];
  }[];
}

/** As long ago as never: more than a century. */
const NEVER_HOURS = 1_000_000;

const SYSTEM_SCHEMAS = new Set(['pg_catalog', 'information_schema', 'pg_toast']);

export function questionOf(standing: Standing, effect: Effect, extent: Extent): Question {
  const { actor, role, target, environment, radius, limits, channel } = standing;
  const { object, verb } = effect;
  const principal = { type: actor.kind === 'agent' ? 'Agent' : 'Service', id: actor.id } as const;
  const resource = { type: 'Object', id: `${target}/${object.kind}/${objectName(object)}` } as const;
  const declared = (patterns: readonly string[], ceiling: readonly string[]) =>
    within(effect, patterns) && within(effect, ceiling);
  // Tables are declared, code isn't: whether it may be proposed is the role's, and what it does a person's to judge.
  const inWriteScope = verb === 'unknown' || declared(radius.write, role.write);
  return {
    principal,
    action: { type: 'Action', id: verb },
    resource,
    context: {
      channel,
      tier: environment.tier,
      via: effect.via,
      wholeTable: effect.wholeTable === true,
      inReadScope: inWriteScope || declared([...radius.read, ...radius.write], [...role.read, ...role.write]),
      inWriteScope,
      proposable: proposable(role, verb),
      measured: extent.measured,
      rows: extent.rows,
      rowsWithoutApproval: environment.rowsWithoutApproval,
      rowsPerStatement: limits.rowsPerStatement,
      rowsCeiling: role.maxRowsPerStatement,
      reversible: extent.reversible,
      backedUp: extent.backup !== null,
      drillAgeHours: Math.min(extent.backup?.drillAgeHours ?? NEVER_HOURS, NEVER_HOURS),
      drifting: extent.drift !== null,
      approvals: extent.approvals,
      approvalsNeeded: approvalsNeeded(environment, extent),
      frozen: extent.time.freezes.length > 0,
      freezeOverridden: extent.freezeOverridden,
      glassBroken: extent.glassBroken === true,
      approvedByAgent: extent.approvedByAgent === true,
      inWindow: extent.time.window !== 'closed',
    },
    entities: [
      { uid: principal, attrs: { owner: actor.owner }, parents: [{ type: 'Role', id: role.id }] },
      { uid: { type: 'Environment', id: environment.id }, attrs: { tier: environment.tier }, parents: [] },
      { uid: { type: 'Target', id: target }, attrs: {}, parents: [{ type: 'Environment', id: environment.id }] },
      {
        uid: resource,
        attrs: {
          kind: object.kind,
          schema: object.schema,
          name: object.name,
          system: SYSTEM_SCHEMAS.has(object.schema),
        },
        parents: [{ type: 'Target', id: target }],
      },
    ],
  };
}

/** What can't be counted or taken back needs more people. */
export function approvalsNeeded(
  environment: Environment,
  extent: { readonly measured: boolean; readonly reversible: boolean },
): number {
  return extent.measured && extent.reversible ? environment.quorum : environment.quorumUnmeasured;
}

/** A thing without a schema (a role, an extension) is no table that could be declared: the role alone says who may propose it. */
function within(effect: Effect, patterns: readonly string[]): boolean {
  const { object } = effect;
  if (object.kind === 'schema')
    return patterns.some((pattern) => matchesPattern({ schema: object.name, name: '*' }, pattern));
  if (object.schema === '') return patterns.length > 0;
  return touchesOnly(effect, columnsWithin(object, patterns));
}

/** Row locks and counting rows need some column; what takes rows away or changes the table itself needs all of them. */
function touchesOnly({ verb, columns }: Effect, within: Columns): boolean {
  if (within === 'all') return true;
  if (within.size === 0) return false;
  if (verb === 'lock') return true;
  return columns?.every((column) => within.has(column)) ?? false;
}

/** Where a table is declared in part: what was asked for besides, and what would be allowed. */
export function columnsAsked(
  { radius, role }: Standing,
  effect: Effect,
): { readonly outside: readonly string[]; readonly allowed: readonly string[] } | undefined {
  const { object, verb } = effect;
  if (object.schema === '' || object.kind === 'schema') return undefined;
  const reads = verb === 'read';
  const declared = columnsWithin(object, reads ? [...radius.read, ...radius.write] : radius.write);
  const allowed = commonColumns(declared, columnsWithin(object, reads ? [...role.read, ...role.write] : role.write));
  if (allowed === 'all' || allowed.size === 0) return undefined;
  return { outside: effect.columns?.filter((column) => !allowed.has(column)) ?? [], allowed: [...allowed].sort() };
}

/** Which of a role's `propose` words a verb needs; verbs that only change rows need none. */
function proposable(role: Role, verb: Verb): boolean {
  switch (verb) {
    case 'read':
    case 'lock':
    case 'insert':
    case 'update':
    case 'delete':
      return true;
    case 'truncate':
    case 'privilege':
    case 'unknown':
    case 'maintain':
      return role.propose.includes(verb);
    case 'create':
    case 'alter':
    case 'drop':
      return role.propose.includes('schema');
    case 'server':
      return false;
    default:
      return verb satisfies never;
  }
}
