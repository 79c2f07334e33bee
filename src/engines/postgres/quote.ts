/** Quotes a name so that PostgreSQL takes it as it is (PostgreSQL, "Identifiers and Key Words"). */
export function quoteIdentifier(name: string): string {
  if (name.includes('\0')) throw new Error('a name can’t hold a NUL');
  return `"${name.replaceAll('"', '""')}"`;
}

export function quoteLiteral(value: string): string {
  if (value.includes('\0')) throw new Error('a string can’t hold a NUL');
  const quoted = `'${value.replaceAll("'", "''")}'`;
  return value.includes('\\') ? `E${quoted.replaceAll('\\', '\\\\')}` : quoted;
}

/** Splits `schema.name` of the catalogue, where the schema holds no dot, and quotes both. */
export function quoteQualified(qualified: string): string {
  const dot = qualified.indexOf('.');
  if (dot === -1) throw new Error(`${qualified} has no schema`);
  return `${quoteIdentifier(qualified.slice(0, dot))}.${quoteIdentifier(qualified.slice(dot + 1))}`;
}
