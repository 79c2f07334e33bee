/** The schemas of a `search_path` value, as far as they are literal: `$user` is none that anybody has. */
export function schemasOf(searchPath: string): readonly string[] {
  return [...searchPath.matchAll(/"((?:[^"]|"")*)"|([^,\s"]+)/g)]
    .map(([, quoted, plain]) => quoted?.replaceAll('""', '"') ?? plain?.toLowerCase() ?? '')
    .filter((schema) => schema !== '' && schema !== '$user');
}
