import type { Json } from '../domain/digest.ts';
import type { Deviation } from '../domain/drift.ts';
import type { Entry } from '../domain/entry.ts';
import type { Notice, NoticeType } from '../domain/notice.ts';
import { type Plan, type PlanRecord, shortId, type UndoPath } from '../domain/plan.ts';
import { visible } from '../domain/visible.ts';
import { headlineOf } from '../planning/headline.ts';

export interface NoticeDeps {
  readonly plan: (id: string) => Promise<PlanRecord | undefined>;
  /** Where people look at a plan. */
  readonly url: (plan: string) => string;
  readonly owner: (target: string) => string | undefined;
}

/** What people outside hear of an entry: nothing where it is no news to anybody who isn't looking. */
export async function noticesOf(entry: Entry, index: number, deps: NoticeDeps): Promise<readonly Notice[]> {
  const notice = await noticeOf(entry, index, deps);
  if (notice?.type !== 'plan.ended' || notice.data['outcome'] !== 'applied')
    return notice === undefined ? [] : [notice];
  const undone = (await deps.plan(entry.subject))?.plan.undoes?.change;
  const record = undone === undefined ? undefined : await deps.plan(undone);
  if (record === undefined) return [notice];
  const data = { ...dataOf(record, deps), undoneBy: entry.subject };
  const headline = visible(`Undone: ${whatOf(data)}`);
  return [notice, { ...notice, type: 'plan.undone', subject: record.id, headline, data }];
}

async function noticeOf(entry: Entry, index: number, deps: NoticeDeps): Promise<Notice | undefined> {
  const body = entry.body as Readonly<Record<string, Json>>;
  const made = (type: NoticeType, headline: string, data: Notice['data']): Notice => ({
    type,
    subject: entry.subject,
    at: entry.at,
    entry: index,
    headline: visible(headline),
    data,
  });
  if (entry.kind === 'halt' || entry.kind === 'resume') {
    const what = body['scope'] === 'global' ? 'everything' : `${body['scope']} ${body['id']}`;
    const [type, did] =
      entry.kind === 'halt' ? (['halt.set', 'halted'] as const) : (['halt.lifted', 'let go on'] as const);
    return made(type, `${what} was ${did} by ${body['by']}: ${body['reason']}`, body);
  }
  if (entry.kind === 'trip') {
    const again = body['again'] === true ? ' again' : '';
    const headline = `The breaker ${body['breaker']} tripped${again}: ${body['scope']} ${body['id']} is stopped, ${body['reason']}`;
    return made('breaker.tripped', headline, {
      ...body,
      resume: `countersign resume --${body['scope']} ${body['id']} --reason '…'`,
    });
  }
  if (entry.kind === 'drift') {
    const [target, objects] = [String(body['target']), Number(body['objects'])];
    const changes = body['changes'] as readonly { readonly change: Deviation['change']; readonly object: string }[];
    const named = changes.slice(0, 3).map(({ change, object }) => `${object} ${change}`);
    const more = objects - named.length;
    const headline =
      objects === 0
        ? `${target} is as its baseline has it again`
        : `${target} drifts: ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}, not by a plan`;
    return made(objects === 0 ? 'drift.ended' : 'drift.found', headline, {
      ...body,
      owner: deps.owner(target) ?? null,
    });
  }
  if (entry.kind === 'not done' || (entry.kind === 'drill' && body['outcome'] === 'failed')) {
    const [target, what] = [String(body['target']), entry.kind === 'drill' ? 'drill' : String(body['what'])];
    const headline =
      entry.kind === 'drill'
        ? `${body['backup']} would not bring ${target} back: ${(body['problems'] as readonly string[]).join('; ')}`
        : `The ${what === 'drift' ? 'look for drift' : what} of ${target} that was due could not be made: ${body['why']}`;
    const failed = what === 'drift' ? 'drift.failed' : what === 'drill' ? 'drill.failed' : 'backup.failed';
    return made(failed, headline, {
      ...body,
      owner: deps.owner(target) ?? null,
    });
  }
  const type = typeOf(entry.kind, body);
  const record = type === undefined ? undefined : await deps.plan(entry.subject);
  if (type === undefined || record === undefined) return undefined;
  const data = dataOf(record, deps);
  const what = whatOf(data);
  switch (type) {
    case 'glass.broken':
      return made(type, `${body['person']} broke the glass: ${what}. ${body['reason']}`, {
        ...data,
        incident: body['incident'] ?? null,
        person: body['person'] ?? null,
        reason: body['reason'] ?? null,
        standsInFor: body['standsInFor'] ?? null,
        review: `countersign incident review ${body['incident']} --as PERSON --reason TEXT`,
      });
    case 'incident.reviewed':
      return made(type, `${body['person']} reviewed ${body['incident']}: ${body['reason']}`, {
        ...data,
        incident: body['incident'] ?? null,
        person: body['person'] ?? null,
        reason: body['reason'] ?? null,
      });
    case 'plan.held':
      return data.approvals === 0 ? undefined : made(type, what, data);
    case 'plan.approved':
    case 'plan.rejected': {
      const said = type === 'plan.approved' ? 'Approved' : 'Rejected';
      const who = body['person'] ?? `the approval agent ${body['agent']}`;
      return made(type, `${said} by ${who}: ${what}`, {
        ...data,
        ...(body['agent'] === undefined ? {} : { approvalAgent: body['agent'], agentOwner: body['owner'] ?? null }),
        person: body['person'] ?? null,
        reason: body['reason'] ?? null,
      });
    }
    case 'plan.expired':
      return made(type, `Nobody decided in time: ${what}`, data);
    default:
      return made(type, `${outcomeSaid(String(body['outcome']))}: ${what}`, {
        ...data,
        outcome: body['outcome'] ?? null,
      });
  }
}

function dataOf({ id, plan }: PlanRecord, deps: NoticeDeps) {
  return {
    plan: id,
    short: shortId(id),
    environment: plan.environment,
    tier: plan.tier,
    target: plan.target,
    owner: deps.owner(plan.target) ?? null,
    agent: plan.actor,
    onBehalfOf: plan.onBehalfOf,
    purpose: plan.purpose,
    does: headlineOf(plan),
    wayBack: wayBackOf(plan.undo),
    approvals: approvalsOf(plan),
    expiresAt: plan.expiresAt,
    url: deps.url(id),
  };
}

function whatOf({
  does,
  environment,
  target,
}: Pick<ReturnType<typeof dataOf>, 'does' | 'environment' | 'target'>): string {
  return `${does} (${environment}, ${target})`;
}

function typeOf(kind: Entry['kind'], body: Readonly<Record<string, Json>>): NoticeType | undefined {
  if (kind === 'plan') return 'plan.held';
  if (kind === 'approval')
    return body['person'] === undefined && body['agent'] === undefined ? undefined : 'plan.approved';
  if (kind === 'rejection') return 'plan.rejected';
  if (kind === 'expired') return 'plan.expired';
  if (kind === 'break-glass') return 'glass.broken';
  if (kind === 'incident review') return 'incident.reviewed';
  return kind === 'outcome' && body['plan'] !== undefined ? 'plan.ended' : undefined;
}

/** How many people policy asks for. */
function approvalsOf({ held }: Plan): number {
  return held.missing.reduce((sum, each) => (each.obligation === 'approvals' ? sum + each.count : sum), 0);
}

/** The way back, in words without an article: `the rows before and after are kept`. */
export function wayBackOf(undo: UndoPath): string {
  switch (undo.undo) {
    case 'row images':
      return 'the rows before and after are kept';
    case 'statements':
      return 'its definitions can be made as they were';
    case 'quarantine':
      return 'what it drops is moved aside, and can be moved back';
    case 'irreversible':
      return `none: ${undo.why}`;
    default:
      return undo satisfies never;
  }
}

function outcomeSaid(outcome: string): string {
  if (outcome === 'applied') return 'Applied';
  return outcome === 'indeterminate' ? 'Nobody knows yet whether it was applied' : `Not applied (${outcome})`;
}
