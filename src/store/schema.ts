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
  vouchers: VoucherRow;
  policy_epochs: { epoch: number; digest: string; by: string; at: string };
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

/** For SQLite; `postgres-migrations.ts` makes the same tables. Each is run once, in order, in a transaction of its own. Never edited, only added to. */
export const MIGRATIONS: readonly string[] = [
  `
  CREATE TABLE tasks (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE,
    scram_salt BLOB NOT NULL, scram_iterations INTEGER NOT NULL, scram_stored_key BLOB NOT NULL, scram_server_key BLOB NOT NULL,
    rows_used INTEGER NOT NULL DEFAULT 0, rows_limit INTEGER NOT NULL, expires_at TEXT NOT NULL, closed_at TEXT
  ) STRICT;
  CREATE TABLE plans (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, target TEXT NOT NULL, wish TEXT NOT NULL, state TEXT NOT NULL, note TEXT,
    plan TEXT NOT NULL, created_at TEXT NOT NULL, changed_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX plans_by_wish ON plans (task, wish);
  CREATE INDEX plans_by_state ON plans (state, created_at);
  CREATE TABLE approvals (
    plan TEXT NOT NULL REFERENCES plans (id), person TEXT NOT NULL, verdict TEXT NOT NULL, envelope TEXT NOT NULL, at TEXT NOT NULL,
    PRIMARY KEY (plan, person)
  ) STRICT;
  CREATE TABLE halts (
    id TEXT PRIMARY KEY, scope TEXT NOT NULL, scope_id TEXT, reason TEXT NOT NULL, by TEXT NOT NULL, at TEXT NOT NULL,
    lifted_at TEXT, lifted_by TEXT
  ) STRICT;
  CREATE TABLE intents (
    id TEXT PRIMARY KEY, task TEXT NOT NULL, target TEXT NOT NULL, node TEXT NOT NULL, rows INTEGER NOT NULL, at TEXT NOT NULL,
    outcome TEXT, closed_at TEXT
  ) STRICT;
  CREATE INDEX intents_open ON intents (id) WHERE outcome IS NULL;
  CREATE TABLE nodes (
    id TEXT PRIMARY KEY, pid INTEGER NOT NULL, pg TEXT NOT NULL, http TEXT NOT NULL, started_at TEXT NOT NULL, heartbeat_ms INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE ledger_head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL) STRICT;
  INSERT INTO ledger_head VALUES (1, 0);
  CREATE TABLE ledger_entries (
    idx INTEGER PRIMARY KEY, kind TEXT NOT NULL, subject TEXT NOT NULL, at TEXT NOT NULL, entry TEXT NOT NULL
  ) STRICT;
  CREATE INDEX ledger_by_subject ON ledger_entries (subject);
  CREATE TABLE ledger_nodes (level INTEGER NOT NULL, idx INTEGER NOT NULL, hash BLOB NOT NULL, PRIMARY KEY (level, idx)) STRICT, WITHOUT ROWID;
  CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE policy_epochs (epoch INTEGER PRIMARY KEY, digest TEXT NOT NULL, by TEXT NOT NULL, at TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE vouchers (
    target TEXT NOT NULL, signature TEXT NOT NULL, envelope TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (target, signature)
  ) STRICT;
  `,
];
