import { openAgentApproval } from '../approval/agent-approval.ts';
import { openEnvelope } from '../approval/envelope.ts';
import { type ActorId, instantOf } from '../domain/ids.ts';
import { type DecisionRow, decisionsSince } from '../store/decisions.ts';
import type { Store } from '../store/store.ts';

/** How one person has decided: by it fatigue shows. Approval agents don’t tire: they are counted apart. */
export interface PersonDecisions {
  readonly person: ActorId;
  readonly approved: number;
  readonly rejected: number;
  /** Of the approvals, those that are clicks which the gateway attested. */
  readonly clicked: number;
  /** Verdicts a day, over all days that were looked at. */
  readonly perDay: number;
  /** The day (UTC) with the most of them. */
  readonly busiest: { readonly day: string; readonly verdicts: number };
  /** From when the plan was made to the verdict, in milliseconds: half of them took no longer. */
  readonly medianToDecideMs: number;
  /** From when the person first saw it; `null` where they never did before they decided. */
  readonly medianFromSightMs: number | null;
  /** Approvals within seconds of the first sight, or without any. */
  readonly unread: number;
}

/** Nobody reads a plan in less. */
export const UNREAD_WITHIN_MS = 5000;
const DAY_MS = 86_400_000;

/** @param sinceMs the oldest verdict that counts. @returns those who decided, the busiest first. */
export async function decisionsByPerson(
  store: Store,
  { sinceMs, nowMs }: { readonly sinceMs: number; readonly nowMs: number },
): Promise<readonly PersonDecisions[]> {
  const days = Math.max(1, (nowMs - sinceMs) / DAY_MS);
  const rows = await decisionsSince(store, instantOf(sinceMs));
  const byPerson = Map.groupBy(
    rows.filter((row) => !isByAgent(row)),
    ({ person }) => person,
  );
  return [...byPerson]
    .map(([person, rows]) => summaryOf(person, rows, days))
    .sort((a, b) => b.approved + b.rejected - (a.approved + a.rejected) || a.person.localeCompare(b.person));
}

/** What approval agents have approved: nothing of it is looked at by a person. */
export interface AgentDecisions {
  readonly agent: ActorId;
  readonly approved: number;
}

/** @returns the agents that approved something, the busiest first. */
export async function decisionsByAgent(
  store: Store,
  { sinceMs }: { readonly sinceMs: number },
): Promise<readonly AgentDecisions[]> {
  const rows = (await decisionsSince(store, instantOf(sinceMs))).filter(isByAgent);
  return [...Map.groupBy(rows, ({ person }) => person)]
    .map(([agent, { length }]) => ({ agent, approved: length }))
    .sort((a, b) => b.approved - a.approved || a.agent.localeCompare(b.agent));
}

function summaryOf(person: ActorId, rows: readonly DecisionRow[], days: number): PersonDecisions {
  const approvals = rows.filter(({ verdict }) => verdict === 'approve');
  const byDay = [...Map.groupBy(rows, ({ at }) => at.slice(0, 10))].map(([day, { length }]) => ({
    day,
    verdicts: length,
  }));
  return {
    person,
    approved: approvals.length,
    rejected: rows.length - approvals.length,
    clicked: approvals.filter(isClick).length,
    perDay: rows.length / days,
    busiest: byDay.reduce((most, each) => (each.verdicts > most.verdicts ? each : most), { day: '', verdicts: 0 }),
    medianToDecideMs: median(rows.map(({ at, madeAt }) => span(madeAt, at))) ?? 0,
    medianFromSightMs: median(rows.flatMap((row) => fromSightMs(row) ?? [])),
    unread: approvals.filter((row) => (fromSightMs(row) ?? 0) < UNREAD_WITHIN_MS).length,
  };
}

/** `undefined` where it was seen only afterwards, or never. */
function fromSightMs({ at, seenAt }: DecisionRow): number | undefined {
  return seenAt === null || seenAt > at ? undefined : span(seenAt, at);
}

function isByAgent({ envelope }: DecisionRow): boolean {
  return openAgentApproval(JSON.parse(envelope)).opened;
}

function isClick({ envelope }: DecisionRow): boolean {
  const opened = openEnvelope(JSON.parse(envelope));
  return opened.opened && opened.statement.via !== undefined;
}

function span(from: string, to: string): number {
  return Math.max(0, Date.parse(to) - Date.parse(from));
}

function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle];
  if (upper === undefined) return null;
  return sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
}
