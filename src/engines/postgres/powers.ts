import type pg from 'pg';

/** A login of the server, and what it may do to the target's database, by itself and through memberships. */
export interface Login {
  readonly login: string;
  readonly superuser: boolean;
  readonly createRole: boolean;
  readonly bypassRls: boolean;
  readonly replication: boolean;
  /** Tables of users that it owns, may change rows of, may read: by any role that it can take on. */
  readonly owns: number;
  readonly writes: number;
  readonly reads: number;
  /** Every role that it can take on, itself first. */
  readonly roles: readonly string[];
  readonly mayConnect: boolean;
  /** When its password ends; `null`: never. Whether it has one no login of ours may see. */
  readonly passwordEnds: Date | null;
}

/** Connections of one kind that are open to the database, or for replication. */
export interface OpenConnections {
  readonly login: string;
  readonly address: string | null;
  readonly application: string;
  readonly connections: number;
  readonly since: Date | null;
}

/** What gives others power, or leads out of the database, without being a login. */
export interface StandingPower {
  readonly kind: 'slot' | 'foreign login' | 'dblink' | 'event trigger' | 'definer';
  readonly name: string;
  /** Whose power it is, or where it leads. */
  readonly of: string;
  /** Of what is worse than the others of its kind. */
  readonly worse: boolean;
  /** What closes it. */
  readonly sql: string;
}

export interface Powers {
  readonly logins: readonly Login[];
  readonly connections: readonly OpenConnections[];
  readonly standing: readonly StandingPower[];
}

/**
 * Asks who can get at the database, and by what.
 *
 * @param client a connection under the session login, with names pinned (`connectOwn`).
 */
export async function readPowers(client: pg.Client): Promise<Powers> {
  const ask = async <Row>(sql: string) => (await client.query(sql)).rows as Row[];
  return {
    logins: await ask<Login>(LOGINS),
    connections: await ask<OpenConnections>(CONNECTIONS),
    standing: [
      ...(await ask<StandingPower>(SLOTS)),
      ...(await ask<StandingPower>(FOREIGN_LOGINS)),
      ...(await ask<StandingPower>(DBLINK)),
      ...(await ask<StandingPower>(EVENT_TRIGGERS)),
      ...(await ask<StandingPower>(DEFINERS)),
    ],
  };
}

const USER_SCHEMA = `n.nspname !~ '^(pg_|countersign_quarantine_)' AND n.nspname NOT IN ('information_schema', 'countersign', 'countersign_masks')`;

// A member without INHERIT may SET ROLE, so what counts is every role that it can take on.
const LOGINS = `
  WITH RECURSIVE held AS (
    SELECT oid AS login, oid AS role FROM pg_catalog.pg_roles WHERE rolcanlogin
    UNION
    SELECT h.login, m.roleid FROM held AS h JOIN pg_catalog.pg_auth_members AS m ON m.member = h.role
  ), tables AS (
    SELECT c.oid, c.relowner FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p') AND ${USER_SCHEMA}
  ), can AS (
    SELECT h.role, pg_catalog.count(*) FILTER (WHERE t.relowner = h.role)::int AS owns,
           pg_catalog.count(*) FILTER (WHERE pg_catalog.has_table_privilege(h.role, t.oid, 'INSERT, UPDATE, DELETE, TRUNCATE'))::int AS writes,
           pg_catalog.count(*) FILTER (WHERE pg_catalog.has_any_column_privilege(h.role, t.oid, 'SELECT'))::int AS reads
    FROM (SELECT DISTINCT role FROM held) AS h CROSS JOIN tables AS t GROUP BY h.role
  )
  SELECT l.rolname::text AS login, pg_catalog.bool_or(r.rolsuper) AS superuser, pg_catalog.bool_or(r.rolcreaterole) AS "createRole",
         pg_catalog.bool_or(r.rolbypassrls) AS "bypassRls", pg_catalog.bool_or(r.rolreplication) AS replication,
         COALESCE(pg_catalog.sum(c.owns), 0)::int AS owns, COALESCE(pg_catalog.max(c.writes), 0)::int AS writes, COALESCE(pg_catalog.max(c.reads), 0)::int AS reads,
         pg_catalog.array_agg(r.rolname::text ORDER BY r.oid <> l.oid, r.rolname) AS roles,
         pg_catalog.bool_or(pg_catalog.has_database_privilege(r.oid, pg_catalog.current_database(), 'CONNECT')) AS "mayConnect",
         NULLIF(l.rolvaliduntil, 'infinity') AS "passwordEnds"
  FROM held AS h
  JOIN pg_catalog.pg_roles AS l ON l.oid = h.login
  JOIN pg_catalog.pg_roles AS r ON r.oid = h.role
  LEFT JOIN can AS c ON c.role = h.role
  GROUP BY l.oid, l.rolname, l.rolvaliduntil ORDER BY 1`;

const CONNECTIONS = `
  SELECT COALESCE(usename::text, '') AS login, pg_catalog.host(client_addr) AS address, COALESCE(application_name, '') AS application,
         pg_catalog.count(*)::int AS connections, pg_catalog.min(backend_start) AS since
  FROM pg_catalog.pg_stat_activity
  WHERE pid <> pg_catalog.pg_backend_pid() AND usename IS NOT NULL AND (datname = pg_catalog.current_database() OR datname IS NULL)
    AND COALESCE(backend_type, 'client backend') IN ('client backend', 'walsender')
  GROUP BY 1, 2, 3 ORDER BY 1, 2, 3`;

const SLOTS = `
  SELECT 'slot' AS kind, slot_name::text AS name,
         CASE WHEN slot_type = 'logical' THEN 'every change, decoded by ' || plugin ELSE 'the whole server' END || CASE WHEN active THEN '' ELSE ', used by nobody' END AS of,
         NOT active AS worse, pg_catalog.format('SELECT pg_catalog.pg_drop_replication_slot(%L);', slot_name) AS sql
  FROM pg_catalog.pg_replication_slots
  WHERE NOT temporary AND (database IS NULL OR database = pg_catalog.current_database()) ORDER BY 2`;

// Options are shown to few; that one is there is shown to all.
const FOREIGN_LOGINS = `
  SELECT 'foreign login' AS kind, srvname::text AS name, usename::text AS of,
         COALESCE(umoptions::text ~* '(\\{|,)"?(password|passfile|sslkey)', true) AND umuser = 0 AS worse,
         pg_catalog.format('DROP USER MAPPING FOR %s SERVER %I;', CASE WHEN umuser = 0 THEN 'PUBLIC' ELSE pg_catalog.quote_ident(usename) END, srvname) AS sql
  FROM pg_catalog.pg_user_mappings ORDER BY 2, 3`;

const DBLINK = `
  SELECT 'dblink' AS kind, n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name, 'PUBLIC' AS of, false AS worse,
         pg_catalog.format('REVOKE EXECUTE ON FUNCTION %I.%I(%s) FROM PUBLIC;', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS sql
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_proc'::pg_catalog.regclass AND d.objid = p.oid AND d.deptype = 'e'
  JOIN pg_catalog.pg_extension AS e ON e.oid = d.refobjid AND e.extname = 'dblink'
  WHERE p.proname IN ('dblink_connect', 'dblink', 'dblink_exec') AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE') ORDER BY 2`;

const EVENT_TRIGGERS = `
  SELECT 'event trigger' AS kind, evtname::text AS name, pg_catalog.pg_get_userbyid(p.proowner)::text AS of, NOT f.rolsuper AS worse,
         pg_catalog.format('ALTER FUNCTION %I.%I() OWNER TO %I;', n.nspname, p.proname, pg_catalog.pg_get_userbyid(evtowner)) AS sql
  FROM pg_catalog.pg_event_trigger
  JOIN pg_catalog.pg_proc AS p ON p.oid = evtfoid
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_roles AS f ON f.oid = p.proowner
  WHERE evtenabled <> 'D' ORDER BY 2`;

const DEFINERS = `
  SELECT 'definer' AS kind, n.nspname || '.' || p.proname || '(' || pg_catalog.pg_get_function_identity_arguments(p.oid) || ')' AS name, o.rolname::text AS of,
         NOT EXISTS (SELECT FROM pg_catalog.unnest(p.proconfig) AS c WHERE c LIKE 'search_path=%') AS worse,
         pg_catalog.format('REVOKE EXECUTE ON ROUTINE %I.%I(%s) FROM PUBLIC;', n.nspname, p.proname, pg_catalog.pg_get_function_identity_arguments(p.oid)) AS sql
  FROM pg_catalog.pg_proc AS p
  JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
  JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner
  WHERE p.prosecdef AND ${USER_SCHEMA} AND pg_catalog.has_function_privilege('public', p.oid, 'EXECUTE')
    AND p.prorettype NOT IN ('pg_catalog.trigger'::pg_catalog.regtype, 'pg_catalog.event_trigger'::pg_catalog.regtype)
    AND (o.rolsuper OR o.rolbypassrls OR o.rolcreaterole OR EXISTS (
      SELECT FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS m ON m.oid = c.relnamespace
      WHERE c.relowner = o.oid AND c.relkind IN ('r', 'p') AND m.nspname !~ '^pg_' AND m.nspname <> 'information_schema'))
  ORDER BY 2`;
