import type { Catalogue, Routine, UserOperator } from '../engines/catalogue.ts';

/** Types as people write them, and as the catalogue does. */
const SPOKEN_TYPES: ReadonlyMap<string, string> = new Map([
  ['int', 'integer'],
  ['int4', 'integer'],
  ['int8', 'bigint'],
  ['int2', 'smallint'],
  ['bool', 'boolean'],
  ['float8', 'double precision'],
  ['float4', 'real'],
  ['varchar', 'character varying'],
  ['bpchar', 'character'],
  ['decimal', 'numeric'],
  ['timestamptz', 'timestamp with time zone'],
  ['timestamp', 'timestamp without time zone'],
  ['timetz', 'time with time zone'],
]);

/** Functions that a person may mean by `schema.name(type, type)`, or by `schema.name` alone. */
export function namedRoutines(named: string, { functions }: Catalogue): readonly Routine[] {
  return [...functions.values()].flat().filter(({ signature }) => means(named, signature));
}

/** Operators that a person may mean by `schema.symbol(type, type)`, or by `schema.symbol` alone. */
export function namedOperators(named: string, { userOperators }: Catalogue): readonly UserOperator[] {
  return [...userOperators.values()].flat().filter(({ signature }) => means(named, signature));
}

function means(named: string, signature: string): boolean {
  const written = parts(named);
  const known = parts(signature);
  return written.name === known.name && (written.types === null || written.types === known.types);
}

function parts(text: string): { readonly name: string; readonly types: string | null } {
  const [, name = '', types] = /^(.*?)(?:\((.*)\))?$/s.exec(text.trim()) ?? [];
  if (types === undefined) return { name: name.trim(), types: null };
  const normal = types.split(',').map((type) => {
    const [, bare = '', array = ''] = /^(.*?)((?:\[\])*)$/.exec(type.trim()) ?? [];
    return (SPOKEN_TYPES.get(bare) ?? bare) + array;
  });
  return { name: name.trim(), types: normal.join(', ') };
}
