import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Analysis } from '../domain/effect.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import { analyse } from './analyse.ts';
import { NOTHING_PREPARED, type PreparedLookup } from './findings.ts';
import { splitStatements } from './parse.ts';

/** Analyses by text: the same text under the same catalogue and search path means the same. */
export type Analyse = (
  text: string,
  catalogue: Catalogue,
  searchPath: readonly string[],
  prepared?: PreparedLookup,
) => Analysis | DatabaseFailure;

const MAX_ENTRIES = 5000;
/** Longer texts are analysed anew each time, so that few of them can't fill the memory. */
const MAX_CACHED_CHARS = 16 * 1024;

/** @param analyseAnew what is asked for a text that is not known. */
export function createAnalysisCache(analyseAnew: Analyse = analyse): Analyse {
  const cache = new Map<string, Analysis | DatabaseFailure>();
  let version = '';
  return (text, catalogue, searchPath, prepared = NOTHING_PREPARED) => {
    if (text.length > MAX_CACHED_CHARS) return analyseAnew(text, catalogue, searchPath, prepared);
    if (catalogue.version !== version) {
      cache.clear();
      version = catalogue.version;
    }
    // As JSON: a schema's name may hold anything, also a line feed.
    const key = `${JSON.stringify(searchPath)}\n${text}`;
    let found = cache.get(key);
    if (found === undefined) {
      found = analyseAnew(text, catalogue, searchPath, prepared);
      if (isOfOneSession(found)) return found;
      if (cache.size >= MAX_ENTRIES) cache.clear();
      cache.set(key, found);
    }
    return found;
  };
}

/** What a name stands for differs from session to session, and changes within one. */
export function isOfOneSession(found: Analysis | DatabaseFailure): boolean {
  return 'sqlstate' in found ? found.sqlstate === NOT_PREPARED : found.executes !== undefined;
}

/** `invalid_sql_statement_name` (PostgreSQL, "Error Codes"). */
const NOT_PREPARED = '26000';

/** Cuts texts into statements, and remembers how: a driver sends the same few over and over. */
export function createSplitCache(): typeof splitStatements {
  const cache = new Map<string, ReturnType<typeof splitStatements>>();
  return (text) => {
    const known = cache.get(text);
    if (known !== undefined) return known;
    const split = splitStatements(text);
    if (text.length > MAX_CACHED_CHARS) return split;
    if (cache.size >= MAX_ENTRIES) cache.clear();
    cache.set(text, split);
    return split;
  };
}
