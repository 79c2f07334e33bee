import { DummyDriver, type Generated, Kysely, SqliteAdapter, SqliteIntrospector, SqliteQueryCompiler } from 'kysely';

/** The tables of the state store. Instants are RFC 3339 text, digests and ids text, structured values canonical JSON. */
export interface StateSchema {
  tasks: TaskRow;
  plans: PlanRow;
  approvals: ApprovalRow;
  halts: HaltRow;
  intents: IntentRow;
  nodes: NodeRow;
  ledger_head: { id: number; size: number };
  ledger_entries: { idx: number; kind: string; subject: string; at: string; entry: string };
  ledger_nodes: { level: number; idx: number; hash: Uint8Array };
  checkpoints: { size: number; note: string };
  openings: { commitment: string; subject: string; salt: string };
  vouchers: VoucherRow;
  proven_backups: ProvenBackupRow;
  turns: TurnRow;
  person_sessions: PersonSessionRow;
  sign_in_codes: { token_hash: string; envelope: string; expires_at: string };
  passkeys: PasskeyRow;
  person_tokens: PersonTokenRow;
  spent_challenges: { challenge: string; expires_at: string };
  policy_epochs: { epoch: number; digest: string; by: string; at: string };
  incidents: IncidentRow;
  delegations: DelegationRow;
  outbox: OutboxRow;
  outbox_position: { id: number; next: number };
  sights: { plan: string; person: string; at: string; by: string };
  activity_head: { id: number; size: number };
  activity_words: { word: string; idx: number };
  baselines: { target: string; digest: string; major: number; definitions: string; at: string };
  baseline_moves: { plan: string; target: string; moves: string; at: string };
  drifts: DriftRow;
  branches: BranchRow;
}

export interface BranchRow {
  id: string;
  target: string;
  task: string;
  asked_by: string;
  state: string;
  made_at: string;
  expires_at: string;
  base: string;
  copied_at: string | null;
  identity: string | null;
  base_identity: string | null;
}

export interface DriftRow {
  target: string;
  checked_at: string;
  since: string | null;
  objects: number;
  digest: string;
  listed: string;
}

export interface ProvenBackupRow {
  target: string;
  backup: string;
  at: string;
  drilled_at: string;
  recovery_ms: number;
}

export interface TurnRow {
  name: string;
  holder: string;
  until_ms: number;
  tried_ms: number;
  failures: number;
  why: string | null;
}

export interface TaskRow {
  id: string;
  task: string;
  token_hash: string;
  scram_salt: Uint8Array;
  scram_iterations: number;
  scram_stored_key: Uint8Array;
  scram_server_key: Uint8Array;
  rows_used: Generated<number>;
  rows_limit: number;
  expires_at: string;
  closed_at: string | null;
}

export interface PlanRow {
  id: string;
  task: string;
  target: string;
  /** Digest of what was asked: the same wish in the same task finds its plan again. */
  wish: string;
  state: string;
  note: string | null;
  plan: string;
  created_at: string;
  changed_at: string;
}

export interface ApprovalRow {
  plan: string;
  person: string;
  verdict: string;
  envelope: string;
  at: string;
}

export interface HaltRow {
  id: string;
  scope: string;
  scope_id: string | null;
  reason: string;
  by: string;
  at: string;
  lifted_at: string | null;
  lifted_by: string | null;
  /** Which breaker tripped; `null` where a person halted. */
  breaker: string | null;
}

export interface IntentRow {
  id: string;
  task: string;
  target: string;
  node: string;
  rows: number;
  at: string;
  outcome: string | null;
  closed_at: string | null;
}

export interface VoucherRow {
  target: string;
  signature: string;
  envelope: string;
  at: string;
}

export interface DelegationRow {
  id: string;
  environment: string;
  envelope: string;
  until: string;
  ended_at: string | null;
}

export interface IncidentRow {
  id: string;
  plan: string;
  person: string;
  envelope: string;
  opened_at: string;
  reviewed_by: string | null;
  review: string | null;
  reviewed_at: string | null;
}

export interface OutboxRow {
  id: string;
  receiver: string;
  subject: string;
  type: string;
  notice: string;
  state: string;
  attempts: number;
  next_ms: number;
  said: string | null;
  changed_at: string;
}

export interface PersonSessionRow {
  id: string;
  token_hash: string;
  person: string;
  via: string;
  /** Which key or passkey opened it: the session ends with it. */
  credential: string;
  /** The most that it may be used for, as JSON; `null` for all that the person may. */
  roles: string | null;
  opened_at: string;
  seen_at: string;
  stepped_up_at: string;
  ends_at: string;
  ended_at: string | null;
  /** By a key of the gateways, over all of it that doesn't change. */
  seal: string;
}

export interface PasskeyRow {
  id: string;
  person: string;
  credential: string;
  /** What is vouched for, and once somebody has: the envelope. */
  statement: string;
  envelope: string | null;
  /** The authenticator's own count of its signatures; a clone shows by it. */
  counter: number;
  registered_at: string;
}

export interface PersonTokenRow {
  id: string;
  token_hash: string;
  /** What it may, signed by the person. */
  envelope: string;
  expires_at: string;
}

export interface NodeRow {
  id: string;
  pid: number;
  pg: string;
  http: string;
  started_at: string;
  heartbeat_ms: number;
}

/** Builds and types statements; it has no connection, so nothing it makes runs by itself. */
export const statements = new Kysely<StateSchema>({
  dialect: {
    createAdapter: () => new SqliteAdapter(),
    createDriver: () => new DummyDriver(),
    createIntrospector: (db) => new SqliteIntrospector(db),
    createQueryCompiler: () => new SqliteQueryCompiler(),
  },
});
