/**
 * Views of `information_schema` that show their rows only to whoever owns a table, or may change it. No task's login does,
 * so tools that look for keys there would find none. For each the server's own definition, in which whoever may SELECT from
 * a table counts as its owner. It runs with the session's own rights, over catalogues that PostgreSQL lets everybody read:
 * it tells nothing that the session could not have asked `pg_catalog`.
 *
 * A definition in which that condition isn't found as it is known is left out: then the view is what it always was.
 */
export async function loadSchemaViews(
  ask: (sql: string) => Promise<readonly Record<string, unknown>[]>,
): Promise<ReadonlyMap<string, string>> {
  const names = Object.keys(READABLE).map((name) => `'${name}'`);
  const rows = await ask(`
    SELECT c.relname AS name, pg_catalog.pg_get_viewdef(c.oid) AS definition
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = 'information_schema' AND c.relkind = 'v' AND c.relname IN (${names.join(', ')})`);
  const views = new Map<string, string>();
  for (const row of rows) {
    const name = String(row['name']);
    const readable = READABLE[name]?.(String(row['definition']));
    if (readable !== undefined) views.set(name, `(${readable.trim().replace(/;$/, '')})`);
  }
  return views;
}

type Rewrite = (definition: string) => string | undefined;

const MAY_READ = (relation: string) => `has_table_privilege(${relation}.oid, 'SELECT'::text)`;

/** Under this condition one passes where the owner does. */
function ownerOr(owner: string, condition: string): Rewrite {
  const asked = `pg_has_role(${owner}, 'USAGE'::text)`;
  return (definition) =>
    definition.includes(asked) ? definition.replaceAll(asked, () => `(${asked} OR ${condition})`) : undefined;
}

const readerOf = (relation: string): Rewrite => ownerOr(`${relation}.relowner`, MAY_READ(relation));

const inTurn =
  (...rewrites: readonly Rewrite[]): Rewrite =>
  (definition) =>
    rewrites.reduce<string | undefined>(
      (text, rewrite) => (text === undefined ? undefined : rewrite(text)),
      definition,
    );

/** Where it does not occur in this version of the server, nothing is missing. */
const ifAny =
  (rewrite: Rewrite): Rewrite =>
  (definition) =>
    rewrite(definition) ?? definition;

/** The owner is looked at outside of where the table is: whoever may read it stands there as its owner. */
const ownerColumn: Rewrite = (definition) => {
  const column = /\br\.relowner,/g;
  if (!column.test(definition)) return undefined;
  return definition.replaceAll(
    column,
    `CASE WHEN ${MAY_READ('r')} THEN ((CURRENT_USER)::text)::regrole::oid ELSE r.relowner END AS relowner,`,
  );
};

/** Everybody may use most types; whoever reaches nothing of their schema has no use for it. */
const USES_TYPE = "(has_type_privilege(t.oid, 'USAGE'::text) AND has_schema_privilege(t.typnamespace, 'USAGE'::text))";

const READABLE: Readonly<Record<string, Rewrite>> = {
  table_constraints: readerOf('r'),
  referential_constraints: readerOf('c'),
  check_constraints: inTurn(
    ownerOr('COALESCE(c.relowner, t.typowner)', `${MAY_READ('c')} OR ${USES_TYPE}`),
    ifAny(readerOf('r')),
  ),
  constraint_column_usage: ownerColumn,
  constraint_table_usage: readerOf('r'),
  triggers: readerOf('c'),
  triggered_update_columns: readerOf('c'),
  views: readerOf('c'),
  view_column_usage: ownerOr('t.relowner', `(${MAY_READ('t')} AND ${MAY_READ('v')})`),
  view_table_usage: ownerOr('t.relowner', `(${MAY_READ('t')} AND ${MAY_READ('v')})`),
  column_column_usage: readerOf('c'),
  column_domain_usage: ownerOr('t.typowner', `(${MAY_READ('c')} AND ${USES_TYPE})`),
  column_udt_usage: ownerOr('COALESCE(bt.typowner, t.typowner)', `(${MAY_READ('c')} AND ${USES_TYPE})`),
};
