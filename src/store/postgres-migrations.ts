/**
 * The same tables as in `schema.ts`, in PostgreSQL's words. Each is run once, in order; never edited, only added to.
 * Text is compared byte for byte, as SQLite does: ids are found by their beginning, instants are put in order.
 */
export const POSTGRES_MIGRATIONS: readonly string[] = [
  `
  CREATE DOMAIN word AS text COLLATE "C";
  CREATE TABLE tasks (
    id word PRIMARY KEY, task word NOT NULL, token_hash word NOT NULL UNIQUE,
    scram_salt bytea NOT NULL, scram_iterations integer NOT NULL, scram_stored_key bytea NOT NULL, scram_server_key bytea NOT NULL,
    rows_used bigint NOT NULL DEFAULT 0, rows_limit bigint NOT NULL, expires_at word NOT NULL, closed_at word
  );
  CREATE TABLE plans (
    id word PRIMARY KEY, task word NOT NULL, target word NOT NULL, wish word NOT NULL, state word NOT NULL, note word,
    plan word NOT NULL, created_at word NOT NULL, changed_at word NOT NULL
  );
  CREATE INDEX plans_by_wish ON plans (task, wish);
  CREATE INDEX plans_by_state ON plans (state, created_at);
  CREATE TABLE approvals (
    plan word NOT NULL REFERENCES plans (id), person word NOT NULL, verdict word NOT NULL, envelope word NOT NULL, at word NOT NULL,
    PRIMARY KEY (plan, person)
  );
  CREATE TABLE halts (
    id word PRIMARY KEY, scope word NOT NULL, scope_id word, reason word NOT NULL, by word NOT NULL, at word NOT NULL,
    lifted_at word, lifted_by word
  );
  CREATE TABLE intents (
    id word PRIMARY KEY, task word NOT NULL, target word NOT NULL, node word NOT NULL, rows bigint NOT NULL, at word NOT NULL,
    outcome word, closed_at word
  );
  CREATE INDEX intents_open ON intents (id) WHERE outcome IS NULL;
  CREATE TABLE nodes (
    id word PRIMARY KEY, pid integer NOT NULL, pg word NOT NULL, http word NOT NULL, started_at word NOT NULL, heartbeat_ms bigint NOT NULL
  );
  CREATE TABLE ledger_head (id integer PRIMARY KEY CHECK (id = 1), size bigint NOT NULL);
  INSERT INTO ledger_head VALUES (1, 0);
  CREATE TABLE ledger_entries (
    idx bigint PRIMARY KEY, kind word NOT NULL, subject word NOT NULL, at word NOT NULL, entry word NOT NULL
  );
  CREATE INDEX ledger_by_subject ON ledger_entries (subject);
  CREATE TABLE ledger_nodes (level integer NOT NULL, idx bigint NOT NULL, hash bytea NOT NULL, PRIMARY KEY (level, idx));
  CREATE TABLE checkpoints (size bigint PRIMARY KEY, note word NOT NULL);

  CREATE FUNCTION tell_change() RETURNS trigger LANGUAGE plpgsql AS $$
  BEGIN
    PERFORM pg_catalog.pg_notify('countersign_state', TG_TABLE_NAME);
    RETURN NULL;
  END $$;
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON halts FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  CREATE TRIGGER tell AFTER INSERT OR DELETE OR UPDATE OF closed_at ON tasks FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OF state ON plans FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
  `
  CREATE TABLE policy_epochs (epoch bigint PRIMARY KEY, digest word NOT NULL, by word NOT NULL, at word NOT NULL);
  CREATE TRIGGER tell AFTER INSERT ON policy_epochs FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
  `
  CREATE TABLE vouchers (
    target word NOT NULL, signature word NOT NULL, envelope word NOT NULL, at word NOT NULL, PRIMARY KEY (target, signature)
  );
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON vouchers FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
  `
  CREATE TABLE proven_backups (
    target word PRIMARY KEY, backup word NOT NULL, at word NOT NULL, drilled_at word NOT NULL, recovery_ms bigint NOT NULL
  );
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OR DELETE ON proven_backups FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
  `
  CREATE TABLE openings (commitment word PRIMARY KEY, subject word NOT NULL, salt word NOT NULL);
  CREATE INDEX openings_by_subject ON openings (subject);
  `,
  `
  CREATE TABLE person_sessions (
    id word PRIMARY KEY, token_hash word NOT NULL UNIQUE, person word NOT NULL, via word NOT NULL, credential word NOT NULL,
    opened_at word NOT NULL, seen_at word NOT NULL, stepped_up_at word NOT NULL, ends_at word NOT NULL, ended_at word
  );
  CREATE TABLE sign_in_codes (token_hash word PRIMARY KEY, envelope word NOT NULL, expires_at word NOT NULL);
  `,
  `
  CREATE TABLE passkeys (
    id word PRIMARY KEY, person word NOT NULL, credential word NOT NULL UNIQUE, statement word NOT NULL, envelope word,
    counter bigint NOT NULL, registered_at word NOT NULL
  );
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OF envelope OR DELETE ON passkeys FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  CREATE TABLE spent_challenges (challenge word PRIMARY KEY, expires_at word NOT NULL);
  `,
  `
  CREATE TABLE activity_head (id integer PRIMARY KEY CHECK (id = 1), size bigint NOT NULL);
  INSERT INTO activity_head VALUES (1, 0);
  CREATE TABLE activity_words (word word NOT NULL, idx bigint NOT NULL, PRIMARY KEY (word, idx));
  CREATE INDEX plans_by_change ON plans (changed_at);
  CREATE INDEX tasks_by_expiry ON tasks (expires_at);
  `,
  `
  CREATE TABLE outbox_position (id integer PRIMARY KEY CHECK (id = 1), next bigint NOT NULL);
  CREATE TABLE outbox (
    id word PRIMARY KEY, receiver word NOT NULL, subject word NOT NULL, type word NOT NULL, notice text NOT NULL,
    state word NOT NULL, attempts bigint NOT NULL, next_ms bigint NOT NULL, said text, changed_at word NOT NULL
  );
  CREATE INDEX outbox_due ON outbox (next_ms) WHERE state = 'waiting';
  CREATE INDEX outbox_by_subject ON outbox (subject, receiver);
  `,
  `
  CREATE TABLE turns (
    name word PRIMARY KEY, holder word NOT NULL, until_ms bigint NOT NULL, tried_ms bigint NOT NULL, failures bigint NOT NULL, why word
  );
  `,
  `
  ALTER TABLE person_sessions ADD COLUMN roles word;
  `,
  `
  CREATE TABLE person_tokens (id word PRIMARY KEY, token_hash word NOT NULL UNIQUE, envelope word NOT NULL, expires_at word NOT NULL);
  `,
  `
  DELETE FROM person_sessions;
  ALTER TABLE person_sessions ADD COLUMN seal word NOT NULL DEFAULT '';
  `,
  `
  CREATE TABLE baselines (target word PRIMARY KEY, digest word NOT NULL, major bigint NOT NULL, definitions text NOT NULL, at word NOT NULL);
  CREATE TABLE baseline_moves (plan word PRIMARY KEY, target word NOT NULL, moves text NOT NULL, at word NOT NULL);
  CREATE INDEX baseline_moves_by_target ON baseline_moves (target, at);
  CREATE TABLE drifts (
    target word PRIMARY KEY, checked_at word NOT NULL, since word, objects bigint NOT NULL, digest word NOT NULL, listed text NOT NULL
  );
  CREATE TRIGGER tell AFTER INSERT OR UPDATE OF digest OR DELETE ON drifts FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
  `
  ALTER TABLE halts ADD COLUMN breaker word;
  `,
  `
  CREATE TABLE sights (plan word NOT NULL, person word NOT NULL, at word NOT NULL, by word NOT NULL, PRIMARY KEY (plan, person));
  CREATE INDEX approvals_by_time ON approvals (at);
  `,
  `
  CREATE TABLE incidents (
    id word PRIMARY KEY, plan word NOT NULL, person word NOT NULL, envelope word NOT NULL, opened_at word NOT NULL,
    reviewed_by word, review word, reviewed_at word
  );
  CREATE INDEX incidents_by_plan ON incidents (plan);
  `,
  `
  CREATE TABLE delegations (
    id word PRIMARY KEY, environment word NOT NULL, envelope word NOT NULL, until word NOT NULL, ended_at word
  );
  CREATE INDEX delegations_by_environment ON delegations (environment);
  `,
  `
  CREATE TABLE commits (connection word PRIMARY KEY, transaction bigint NOT NULL, at timestamptz NOT NULL);
  `,
  `
  CREATE TABLE branches (
    id word PRIMARY KEY, target word NOT NULL, task word NOT NULL, asked_by word NOT NULL, state word NOT NULL, made_at word NOT NULL,
    expires_at word NOT NULL, base word NOT NULL, copied_at word, identity word, base_identity word
  );
  CREATE TRIGGER tell AFTER INSERT OR UPDATE ON branches FOR EACH STATEMENT EXECUTE FUNCTION tell_change();
  `,
];
