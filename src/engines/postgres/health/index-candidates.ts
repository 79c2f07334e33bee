/** An index that might help a query: columns in this order. */
export interface IndexCandidate {
  readonly schema: string;
  readonly table: string;
  readonly columns: readonly string[];
}

/** A node of `EXPLAIN (VERBOSE, FORMAT JSON)`, as far as it is looked at. */
export interface PlanNode {
  readonly [key: string]: unknown;
  readonly Plans?: readonly PlanNode[];
}

const MAX_CANDIDATES = 12;
/** Where a plan says which rows it looks for, and in which order. */
const CONDITIONS = ['Filter', 'Index Cond', 'Recheck Cond', 'Hash Cond', 'Merge Cond', 'Join Filter'] as const;
const ORDERS = ['Sort Key', 'Group Key', 'Presorted Key'] as const;

/**
 * The indexes worth trying for a plan: on columns that its conditions compare or its sorts order by, alone, and in pairs that
 * begin with a column compared for equality. VERBOSE writes every column with its table's alias.
 */
export function indexCandidates(root: PlanNode): readonly IndexCandidate[] {
  const nodes = [...everyNode(root)];
  const conditions = nodes.flatMap((node) => CONDITIONS.flatMap((key) => texts(node[key]))).join('\n');
  const orders = nodes.flatMap((node) => ORDERS.flatMap((key) => texts(node[key]))).join('\n');
  const found = new Map<string, IndexCandidate>();
  for (const { alias, schema, table } of tablesIn(nodes)) {
    const compared = columnsIn(conditions, alias);
    const equal = compared.filter((column) => isComparedForEquality(conditions, alias, column));
    const ordered = columnsIn(orders, alias);
    const pairs = equal.flatMap((first) =>
      [...compared, ...ordered].filter((second) => second !== first).map((second) => [first, second]),
    );
    for (const columns of [...compared.map((column) => [column]), ...pairs, ...ordered.map((column) => [column])]) {
      found.set(JSON.stringify([schema, table, columns]), { schema, table, columns });
    }
  }
  return [...found.values()].slice(0, MAX_CANDIDATES);
}

function* everyNode(node: PlanNode): Generator<PlanNode> {
  yield node;
  for (const child of node.Plans ?? []) yield* everyNode(child);
}

function texts(value: unknown): readonly string[] {
  if (Array.isArray(value)) return value.map(String);
  return typeof value === 'string' ? [value] : [];
}

function tablesIn(nodes: readonly PlanNode[]) {
  return nodes.flatMap((node) => {
    const { Alias: alias, Schema: schema, 'Relation Name': table } = node;
    return typeof alias === 'string' && typeof schema === 'string' && typeof table === 'string'
      ? [{ alias, schema, table }]
      : [];
  });
}

/** Names stand as the server quotes them: `alias.column`, `alias."Column"`. */
function columnsIn(text: string, alias: string): readonly string[] {
  const found = text.matchAll(new RegExp(`${aliasPattern(alias)}\\.(?:"((?:[^"]|"")+)"|([a-z_][a-z0-9_$]*))`, 'g'));
  return [...new Set([...found].map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain ?? ''))];
}

function isComparedForEquality(text: string, alias: string, column: string): boolean {
  const name = `${aliasPattern(alias)}\\.(?:"${escaped(column)}"|${escaped(column)})\\)?(?:::[a-z ]+)?`;
  return new RegExp(`${name} = |= \\(?${name}(?:\\)|$)`, 'm').test(text);
}

function aliasPattern(alias: string): string {
  return `(?<![\\w".])(?:"${escaped(alias)}"|${escaped(alias)})`;
}

function escaped(text: string): string {
  return text.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
