import type pg from 'pg';
import { CAPTURE_FUNCTION } from './capture-function.ts';
import { KEEPING_TRIGGER } from './kept-writes.ts';

/** What a PostgreSQL target says of itself, of the logins of Countersign, and of other ways into it. Plain data; nothing is changed. */
export interface Examination {
  readonly serverVersion: number;
  /** The server's clock less ours, in milliseconds, give or take half of what the question took. */
  readonly clockAheadMs: number;
  /** The address that this connection comes from, as the server sees it; `null` over a socket. */
  readonly clientAddress: string | null;
  readonly encrypted: boolean;
  readonly settings: ReadonlyMap<string, string>;
  /** Each login and every role that it is a member of, however far away. */
  /** What the session login may do beside passing on tables. */
  readonly powers: {
    readonly readsStatistics: boolean;
    readonly endsSessions: boolean;
    readonly boundsTempFiles: boolean;
    readonly makesMasks: boolean;
  };
  readonly roles: readonly HeldRole[];
  readonly relations: readonly ExaminedRelation[];
  readonly otherLogins: readonly OtherLogin[];
  /** Databases of the server that everybody may connect to. */
  readonly openDatabases: readonly { readonly database: string; readonly own: boolean }[];
  /** `null` when the session login may not read them. */
  readonly hbaRules: readonly HbaRule[] | null;
  readonly proofSchema: ProofSchema;
  readonly replicationSlots: readonly {
    readonly name: string;
    readonly active: boolean;
    readonly walStatus: string | null;
  }[];
}

export interface HeldRole {
  readonly login: string;
  readonly role: string;
  /** The role through which it is held: the login itself, or one that it is a member of. */
  readonly through: string;
  readonly superuser: boolean;
  readonly bypassRls: boolean;
  readonly createRole: boolean;
  readonly createDatabase: boolean;
  readonly replication: boolean;
}

export interface ExaminedRelation {
  readonly schema: string;
  readonly name: string;
  readonly owner: string;
  readonly kind: string;
  /** May the session login pass these rights on? */
  readonly schemaUsable: boolean;
  readonly readable: boolean;
  readonly writable: boolean;
  /** Is the apply login a member of the owner? */
  readonly changeable: boolean;
  /** Is the trigger there that keeps the rows of writes within limits? */
  readonly kept: boolean;
}

export interface OtherLogin {
  readonly login: string;
  readonly superuser: boolean;
  readonly bypassRls: boolean;
  /** How many tables of users it may change rows of. */
  readonly writes: number;
}

export interface HbaRule {
  readonly line: number;
  readonly type: string;
  readonly databases: readonly string[];
  readonly users: readonly string[];
  readonly address: string | null;
  readonly netmask: string | null;
  readonly method: string;
  readonly error: string | null;
}

export interface ProofSchema {
  /** Tables of the schema `countersign` that are missing, or have other columns than `init` gives them. */
  readonly wrong: readonly string[];
  readonly captureFunction: 'as made' | 'altered' | 'missing';
  /** Who else may write to what proves that something was applied. */
  readonly strangers: readonly string[];
}

/**
 * Asks a target all that `countersign doctor` looks at.
 *
 * @param client a connection under the session login, with names pinned (`connectOwn`).
 */
export async function examine(
  client: pg.Client,
  logins: { readonly session: string; readonly apply: string },
): Promise<Examination> {
  const ask = async <Row extends pg.QueryResultRow>(sql: string, values: readonly unknown[] = []): Promise<Row[]> =>
    (await client.query<Row>(sql, [...values])).rows;
  const [facts] = await ask<{ version: number; address: string | null; encrypted: boolean }>(FACTS);
  const ours = [logins.session, logins.apply];
  return {
    serverVersion: facts?.version ?? 0,
    clockAheadMs: await clockAhead(client),
    clientAddress: facts?.address ?? null,
    encrypted: facts?.encrypted === true,
    settings: new Map((await ask<{ name: string; value: string }>(SETTINGS)).map(({ name, value }) => [name, value])),
    powers: { ...NO_POWERS, ...(await ask<Examination['powers'] & pg.QueryResultRow>(POWERS))[0] },
    roles: await ask<HeldRole & pg.QueryResultRow>(HELD_ROLES, [ours]),
    relations: await ask<ExaminedRelation & pg.QueryResultRow>(RELATIONS, ours),
    otherLogins: await ask<OtherLogin & pg.QueryResultRow>(OTHER_LOGINS, [ours]),
    openDatabases: await ask(OPEN_DATABASES),
    hbaRules: await readHbaRules(client),
    proofSchema: await readProofSchema(client, logins),
    replicationSlots: await ask(REPLICATION_SLOTS),
  };
}

const NO_POWERS: Examination['powers'] = {
  readsStatistics: false,
  endsSessions: false,
  boundsTempFiles: false,
  makesMasks: false,
};

const POWERS = `
  SELECT pg_catalog.pg_has_role('pg_read_all_stats', 'USAGE') AS "readsStatistics",
         pg_catalog.pg_has_role('pg_signal_backend', 'USAGE') AS "endsSessions",
         pg_catalog.has_parameter_privilege('temp_file_limit', 'SET') AS "boundsTempFiles",
         EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = 'countersign_masks' AND pg_catalog.has_schema_privilege(oid, 'CREATE')) AS "makesMasks"`;

const FACTS = `
  SELECT current_setting('server_version_num')::int AS version, pg_catalog.host(pg_catalog.inet_client_addr()) AS address,
         COALESCE((SELECT s.ssl FROM pg_catalog.pg_stat_ssl AS s WHERE s.pid = pg_catalog.pg_backend_pid()), false) AS encrypted`;

const SETTINGS = `
  SELECT name, setting AS value FROM pg_catalog.pg_settings
  WHERE name IN ('listen_addresses', 'track_counts', 'fsync', 'full_page_writes', 'synchronous_commit', 'ssl', 'password_encryption',
                 'max_connections', 'superuser_reserved_connections')`;

const HELD_ROLES = `
  WITH RECURSIVE held AS (
    SELECT r.oid AS login, r.oid AS role, r.oid AS through FROM pg_catalog.pg_roles AS r WHERE r.rolname = ANY ($1::text[])
    UNION
    SELECT h.login, m.roleid, m.member FROM held AS h JOIN pg_catalog.pg_auth_members AS m ON m.member = h.role
  )
  SELECT l.rolname AS login, r.rolname AS role, t.rolname AS through, r.rolsuper AS superuser, r.rolbypassrls AS "bypassRls",
         r.rolcreaterole AS "createRole", r.rolcreatedb AS "createDatabase", r.rolreplication AS replication
  FROM held AS h
  JOIN pg_catalog.pg_roles AS l ON l.oid = h.login
  JOIN pg_catalog.pg_roles AS r ON r.oid = h.role
  JOIN pg_catalog.pg_roles AS t ON t.oid = h.through
  ORDER BY 1, 2`;

const USER_TABLES = `
  pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
  WHERE n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')`;

const RELATIONS = `
  SELECT n.nspname AS schema, c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner, c.relkind::text AS kind,
         pg_catalog.has_schema_privilege($1, n.oid, 'USAGE WITH GRANT OPTION') AS "schemaUsable",
         pg_catalog.has_table_privilege($1, c.oid, 'SELECT WITH GRANT OPTION') AS readable,
         pg_catalog.has_table_privilege($1, c.oid, 'INSERT WITH GRANT OPTION')
           AND pg_catalog.has_table_privilege($1, c.oid, 'UPDATE WITH GRANT OPTION')
           AND pg_catalog.has_table_privilege($1, c.oid, 'DELETE WITH GRANT OPTION') AS writable,
         pg_catalog.pg_has_role($2, c.relowner, 'MEMBER') AS changeable,
         EXISTS (SELECT FROM pg_catalog.pg_trigger AS t WHERE t.tgrelid = c.oid AND t.tgname = '${KEEPING_TRIGGER}' AND t.tgenabled = 'A') AS kept
  FROM ${USER_TABLES} AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend AS d WHERE d.classid = 'pg_catalog.pg_class'::pg_catalog.regclass AND d.objid = c.oid AND d.deptype = 'e')
  ORDER BY 1, 2`;

const OTHER_LOGINS = `
  SELECT r.rolname AS login, r.rolsuper AS superuser, r.rolbypassrls AS "bypassRls",
         (SELECT pg_catalog.count(*)::int FROM ${USER_TABLES} AND c.relkind IN ('r', 'p')
            AND pg_catalog.has_table_privilege(r.oid, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE')) AS writes
  FROM pg_catalog.pg_roles AS r
  WHERE r.rolcanlogin AND r.rolname <> ALL ($1::text[]) AND r.rolname !~ '^cs_[0-9a-f]{16}_[rw]$'
    AND pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')
  ORDER BY 1`;

/** As `init` has it: templates hold nothing. */
const OPEN_DATABASES = `
  SELECT d.datname AS database, d.datname = pg_catalog.current_database() AS own
  FROM pg_catalog.pg_database AS d
  WHERE d.datallowconn AND d.datname NOT IN ('template0', 'template1') AND EXISTS (
    SELECT FROM pg_catalog.aclexplode(COALESCE(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS a
    WHERE a.grantee = 0 AND a.privilege_type = 'CONNECT')
  ORDER BY 1`;

const REPLICATION_SLOTS = `
  SELECT slot_name AS name, active, wal_status AS "walStatus" FROM pg_catalog.pg_replication_slots ORDER BY 1`;

/** The quickest of a few questions tells most exactly. */
async function clockAhead(client: pg.Client): Promise<number> {
  let best = { tookMs: Number.POSITIVE_INFINITY, aheadMs: 0 };
  for (let asked = 0; asked < 3; asked++) {
    const beforeMs = Date.now();
    const { rows } = await client.query<{ now: number }>(
      'SELECT (EXTRACT(epoch FROM pg_catalog.clock_timestamp()) * 1000)::float8 AS now',
    );
    const afterMs = Date.now();
    const tookMs = afterMs - beforeMs;
    if (tookMs < best.tookMs) best = { tookMs, aheadMs: (rows[0]?.now ?? afterMs) - (beforeMs + afterMs) / 2 };
  }
  return Math.round(best.aheadMs);
}

const INSUFFICIENT_PRIVILEGE = '42501';

async function readHbaRules(client: pg.Client): Promise<readonly HbaRule[] | null> {
  try {
    const { rows } = await client.query<HbaRule & pg.QueryResultRow>(`
      SELECT line_number AS line, COALESCE(type, '') AS type, COALESCE(database, '{}') AS databases,
             COALESCE(user_name, '{}') AS users, address, netmask, COALESCE(auth_method, '') AS method, error
      FROM pg_catalog.pg_hba_file_rules ORDER BY line_number`);
    return rows;
  } catch (error) {
    if ((error as { readonly code?: string }).code === INSUFFICIENT_PRIVILEGE) return null;
    throw error;
  }
}

const PROOF_TABLES: Readonly<Record<string, string>> = {
  applied: 'plan text, state text, xid xid8, at timestamp with time zone',
  written: 'intent text, xid xid8, at timestamp with time zone, began timestamp with time zone',
  captured_rows:
    'change text, seq bigint, relation text, op text, columns text[], rows integer, before text[], after text[]',
};

async function readProofSchema(
  client: pg.Client,
  logins: { readonly session: string; readonly apply: string },
): Promise<ProofSchema> {
  const { rows: tables } = await client.query<{ name: string; columns: string; owner: string }>(`
    SELECT c.relname AS name, pg_catalog.pg_get_userbyid(c.relowner) AS owner,
           pg_catalog.string_agg(a.attname || ' ' || pg_catalog.format_type(a.atttypid, NULL), ', ' ORDER BY a.attnum) AS columns
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'countersign'
    JOIN pg_catalog.pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
    WHERE c.relkind = 'r'
    GROUP BY c.oid, c.relname, c.relowner`);
  const { rows: functions } = await client.query<{ source: string; settings: string[] | null; asOwner: boolean }>(`
    SELECT p.prosrc AS source, p.proconfig AS settings, p.prosecdef AS "asOwner" FROM pg_catalog.pg_proc AS p
    JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace AND n.nspname = 'countersign'
    WHERE p.proname = 'capture_change'`);
  const { rows: strangers } = await client.query<{ grantee: string }>(
    `
    SELECT DISTINCT COALESCE(r.rolname::text, 'PUBLIC') AS grantee
    FROM pg_catalog.pg_class AS c
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace AND n.nspname = 'countersign'
    CROSS JOIN pg_catalog.aclexplode(c.relacl) AS a
    LEFT JOIN pg_catalog.pg_roles AS r ON r.oid = a.grantee
    WHERE c.relkind = 'r' AND a.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE')
      AND COALESCE(r.rolname::text, 'PUBLIC') <> ALL ($1::text[])
      AND NOT (c.relname = 'written' AND a.privilege_type = 'INSERT' AND COALESCE(r.rolname::text, '') ~ '^cs_[0-9a-f]{16}_[rw]$')
    ORDER BY 1`,
    [[logins.session, logins.apply]],
  );
  const found = new Map(tables.map((table) => [table.name, table]));
  const wrong = Object.entries(PROOF_TABLES).flatMap(([name, columns]) => {
    const table = found.get(name);
    return table?.columns === columns && table.owner === logins.apply ? [] : [`countersign.${name}`];
  });
  const [capture] = functions;
  return {
    wrong,
    captureFunction: capture === undefined ? 'missing' : isAsMade(capture) ? 'as made' : 'altered',
    strangers: strangers.map(({ grantee }) => grantee),
  };
}

/** Its settings as well: under another search path it would take a plan's own tables for the catalogue. */
function isAsMade(found: { source: string; settings: string[] | null; asOwner: boolean }): boolean {
  const [head = '', body] = CAPTURE_FUNCTION.split('$capture$');
  const made = [...head.matchAll(/\bSET (\w+) = (?:'([^']*)'|([\w, ]+?))(?= SET |\n)/g)].map(
    ([, name, quoted, plain]) => `${name}=${quoted ?? plain}`,
  );
  const inOrder = (settings: readonly string[]) =>
    settings
      .map((setting) => setting.toLowerCase())
      .sort()
      .join('\n');
  return found.source === body && found.asOwner && inOrder(found.settings ?? []) === inOrder(made);
}
