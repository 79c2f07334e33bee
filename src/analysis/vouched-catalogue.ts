import type { Catalogue, Routine } from '../engines/catalogue.ts';

/** A definition that a person has vouched for. */
export interface VouchedFor {
  readonly signature: string;
  readonly definition: string;
}

/** Marks what is vouched for, and remembers it for as long as neither the catalogue nor the vouchers are others. */
export function createVouchedCatalogue(): (of: Catalogue, vouchers: readonly VouchedFor[]) => Catalogue {
  let known: { readonly of: Catalogue; readonly vouchers: readonly VouchedFor[]; readonly marked: Catalogue } | null =
    null;
  return (of, vouchers) => {
    if (known === null || known.of !== of || known.vouchers !== vouchers)
      known = { of, vouchers, marked: withVouchers(of, vouchers) };
    return known.marked;
  };
}

/**
 * The catalogue with those functions marked that somebody has vouched for, as they are defined now: a function that was
 * replaced, changed or given to another owner since is unknown again.
 */
function withVouchers(catalogue: Catalogue, vouchers: readonly VouchedFor[]): Catalogue {
  const definitions = new Map(vouchers.map(({ signature, definition }) => [signature, definition]));
  const counts = ({ signature, definition }: Routine) =>
    definition !== null && definitions.get(signature) === definition;
  const functions = new Map(catalogue.functions);
  const marked: string[] = [];
  for (const [name, routines] of catalogue.functions) {
    if (!routines.some(counts)) continue;
    functions.set(
      name,
      routines.map((routine) => {
        if (!counts(routine)) return routine;
        marked.push(routine.signature);
        return { ...routine, vouched: true as const };
      }),
    );
  }
  // Analyses are kept by version: it says who is trusted, too.
  return marked.length === 0
    ? catalogue
    : { ...catalogue, functions, version: JSON.stringify([catalogue.version, ...marked.sort()]) };
}
