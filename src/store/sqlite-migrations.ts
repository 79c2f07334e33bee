/** The state store's tables in SQLite; `postgres-migrations.ts` makes the same. Each is run once, in order, in a transaction of its own. Never edited, only added to. */
export const SQLITE_MIGRATIONS: readonly string[] = [
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
  `
  CREATE TABLE proven_backups (
    target TEXT PRIMARY KEY, backup TEXT NOT NULL, at TEXT NOT NULL, drilled_at TEXT NOT NULL, recovery_ms INTEGER NOT NULL
  ) STRICT;
  `,
  `
  CREATE TABLE openings (commitment TEXT PRIMARY KEY, subject TEXT NOT NULL, salt TEXT NOT NULL) STRICT, WITHOUT ROWID;
  CREATE INDEX openings_by_subject ON openings (subject);
  `,
  `
  CREATE TABLE person_sessions (
    id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, person TEXT NOT NULL, via TEXT NOT NULL, credential TEXT NOT NULL,
    opened_at TEXT NOT NULL, seen_at TEXT NOT NULL, stepped_up_at TEXT NOT NULL, ends_at TEXT NOT NULL, ended_at TEXT
  ) STRICT;
  CREATE TABLE sign_in_codes (token_hash TEXT PRIMARY KEY, envelope TEXT NOT NULL, expires_at TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE passkeys (
    id TEXT PRIMARY KEY, person TEXT NOT NULL, credential TEXT NOT NULL UNIQUE, statement TEXT NOT NULL, envelope TEXT,
    counter INTEGER NOT NULL, registered_at TEXT NOT NULL
  ) STRICT;
  CREATE TABLE spent_challenges (challenge TEXT PRIMARY KEY, expires_at TEXT NOT NULL) STRICT;
  `,
  `
  CREATE TABLE activity_head (id INTEGER PRIMARY KEY CHECK (id = 1), size INTEGER NOT NULL) STRICT;
  INSERT INTO activity_head VALUES (1, 0);
  CREATE TABLE activity_words (word TEXT NOT NULL, idx INTEGER NOT NULL, PRIMARY KEY (word, idx)) STRICT, WITHOUT ROWID;
  CREATE INDEX plans_by_change ON plans (changed_at);
  CREATE INDEX tasks_by_expiry ON tasks (expires_at);
  `,
  `
  CREATE TABLE outbox_position (id INTEGER PRIMARY KEY CHECK (id = 1), next INTEGER NOT NULL) STRICT;
  CREATE TABLE outbox (
    id TEXT PRIMARY KEY, receiver TEXT NOT NULL, subject TEXT NOT NULL, type TEXT NOT NULL, notice TEXT NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL, next_ms INTEGER NOT NULL, said TEXT, changed_at TEXT NOT NULL
  ) STRICT;
  CREATE INDEX outbox_due ON outbox (next_ms) WHERE state = 'waiting';
  CREATE INDEX outbox_by_subject ON outbox (subject, receiver);
  `,
  `
  CREATE TABLE turns (
    name TEXT PRIMARY KEY, holder TEXT NOT NULL, until_ms INTEGER NOT NULL, tried_ms INTEGER NOT NULL, failures INTEGER NOT NULL,
    why TEXT
  ) STRICT;
  `,
  `
  ALTER TABLE person_sessions ADD COLUMN roles TEXT;
  `,
  `
  CREATE TABLE person_tokens (id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, envelope TEXT NOT NULL, expires_at TEXT NOT NULL) STRICT;
  `,
  `
  DELETE FROM person_sessions;
  ALTER TABLE person_sessions ADD COLUMN seal TEXT NOT NULL DEFAULT '';
  `,
  `
  CREATE TABLE baselines (target TEXT PRIMARY KEY, digest TEXT NOT NULL, major INTEGER NOT NULL, definitions TEXT NOT NULL, at TEXT NOT NULL) STRICT;
  CREATE TABLE baseline_moves (plan TEXT PRIMARY KEY, target TEXT NOT NULL, moves TEXT NOT NULL, at TEXT NOT NULL) STRICT;
  CREATE INDEX baseline_moves_by_target ON baseline_moves (target, at);
  CREATE TABLE drifts (
    target TEXT PRIMARY KEY, checked_at TEXT NOT NULL, since TEXT, objects INTEGER NOT NULL, digest TEXT NOT NULL, listed TEXT NOT NULL
  ) STRICT;
  `,
  `
  ALTER TABLE halts ADD COLUMN breaker TEXT;
  `,
  `
  CREATE TABLE sights (plan TEXT NOT NULL, person TEXT NOT NULL, at TEXT NOT NULL, by TEXT NOT NULL, PRIMARY KEY (plan, person)) STRICT;
  CREATE INDEX approvals_by_time ON approvals (at);
  `,
  `
  CREATE TABLE incidents (
    id TEXT PRIMARY KEY, plan TEXT NOT NULL, person TEXT NOT NULL, envelope TEXT NOT NULL, opened_at TEXT NOT NULL,
    reviewed_by TEXT, review TEXT, reviewed_at TEXT
  ) STRICT;
  CREATE INDEX incidents_by_plan ON incidents (plan);
  `,
  `
  CREATE TABLE delegations (
    id TEXT PRIMARY KEY, environment TEXT NOT NULL, envelope TEXT NOT NULL, until TEXT NOT NULL, ended_at TEXT
  ) STRICT;
  CREATE INDEX delegations_by_environment ON delegations (environment);
  `,
  `
  CREATE TABLE branches (
    id TEXT PRIMARY KEY, target TEXT NOT NULL, task TEXT NOT NULL, asked_by TEXT NOT NULL, state TEXT NOT NULL, made_at TEXT NOT NULL,
    expires_at TEXT NOT NULL, base TEXT NOT NULL, copied_at TEXT, identity TEXT, base_identity TEXT
  ) STRICT;
  `,
];
