/**
 * How a column's values are shown instead of what they are. `null`: nothing. `fixed`: the same for all. `hash`: equal for
 * equal values, and no more. `last4`: the last four characters of a long value. `email`: the first letter and the domain.
 */
export const MASKS = ['null', 'fixed', 'hash', 'last4', 'email'] as const;
export type Mask = (typeof MASKS)[number];

/** Which columns a mask is for, each part a name or `*`. `none` takes a column out that a wider rule names. */
export interface MaskRule {
  readonly schema: string;
  readonly table: string;
  readonly column: string;
  readonly mask: Mask | 'none';
}

/** The schema of a target that holds the masking views. */
export const MASK_SCHEMA = 'countersign_masks';

/** A relation of which some columns are masked, and the view through which alone these are read. */
export interface MaskedRelation {
  /** `schema.name` */
  readonly relation: string;
  /** Its name in `MASK_SCHEMA`. Another set of columns or masks is another view, so that nodes never disagree on one. */
  readonly view: string;
  readonly columns: readonly { readonly name: string; readonly type: string; readonly mask: Mask | null }[];
}

/** What is masked on a target as its catalogue is now. */
export interface Masking {
  readonly byRelation: ReadonlyMap<string, MaskedRelation>;
  readonly byView: ReadonlyMap<string, MaskedRelation>;
  /** Relations that would show masked values and can't be masked themselves: nobody reads them. With the reason. */
  readonly closed: ReadonlyMap<string, string>;
}

export const NOTHING_MASKED: Masking = { byRelation: new Map(), byView: new Map(), closed: new Map() };

export function isMasked(masking: Masking, relation: string, column: string): boolean {
  return masking.byRelation.get(relation)?.columns.some(({ name, mask }) => name === column && mask !== null) === true;
}

/** `schema.table.column` with its mask, as the configuration writes it. */
export function maskRule(pattern: string, mask: MaskRule['mask']): MaskRule {
  const [schema = '*', table = '*', column = '*'] = pattern.split('.');
  return { schema, table, column, mask };
}

/** The mask of a column: that of the rule that names the most of it; of two that name as much, the stricter. */
export function maskOf(rules: readonly MaskRule[], schema: string, table: string, column: string): Mask | null {
  const fits = (pattern: string, name: string) => pattern === '*' || pattern === name;
  const [best] = rules
    .filter((rule) => fits(rule.schema, schema) && fits(rule.table, table) && fits(rule.column, column))
    .sort((a, b) => named(b) - named(a) || STRICTEST.indexOf(a.mask) - STRICTEST.indexOf(b.mask));
  return best === undefined || best.mask === 'none' ? null : best.mask;
}

const STRICTEST: readonly MaskRule['mask'][] = [...MASKS, 'none'];

function named({ schema, table, column }: MaskRule): number {
  return [schema, table, column].filter((part) => part !== '*').length;
}
