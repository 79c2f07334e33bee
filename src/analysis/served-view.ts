import type { OwnView, ServedView } from '../domain/effect.ts';
import type { Findings } from './findings.ts';
import { names, type Tree } from './parse.ts';

/** `countersign.plans` and `countersign.status`, where they stand in the text in plain sight. */
export function ownViewAt({ ownViews, text }: Findings, node: Tree): OwnView | undefined {
  const view = node['relname'];
  if (ownViews === null || (view !== 'plans' && view !== 'status')) return undefined;
  const found = standsAt(text, node, true);
  return found === undefined ? undefined : { view, ...found };
}

/** Takes note of a view of `information_schema` that shows a task less than it may know, where it stands in plain sight. */
export function noteSchemaView(findings: Findings, node: Tree): void {
  const { schemaViews, text, catalogue, searchPath } = findings;
  const view = String(node['relname']);
  // The definitions that stand in for them name what is in pg_catalog, and must find it there.
  if (schemaViews === null || !catalogue.schemaViews.has(view) || searchPath.indexOf('pg_catalog') > 0) return;
  const found = standsAt(text, node, node['schemaname'] !== undefined);
  if (found !== undefined) schemaViews.push({ view, ...found });
}

/** `information_schema.tables.table_name`: such a name needs the relation as it is. */
export function namesSchemaView(node: Tree): boolean {
  const fields = names(node['fields']);
  return fields.length > 2 && fields.includes('information_schema');
}

function standsAt(text: string, node: Tree, qualified: boolean): Omit<ServedView, 'view'> | undefined {
  if (node['catalogname'] !== undefined) return undefined;
  const start = Number(node['location'] ?? 0);
  const word = (name: unknown) => `(?:${String(name)}|"${String(name)}")`;
  const name = qualified ? `${word(node['schemaname'])}\\s*\\.\\s*${word(node['relname'])}` : word(node['relname']);
  const [written] =
    new RegExp(`^${name}(?![\\w$"])`, 'i').exec(Buffer.from(text, 'utf8').subarray(start).toString('utf8')) ?? [];
  if (written === undefined) return undefined;
  return { start, end: start + Buffer.byteLength(written), named: node['alias'] !== undefined };
}
