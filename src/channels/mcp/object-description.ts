import { z } from 'zod';
import type { ObjectDescription } from '../../pipeline/browse.ts';
import { OBJECT_SUMMARY } from './object-summary.ts';

const FOREIGN_KEY = z.object({
  name: z.string(),
  from: z.string(),
  to: z.string(),
  onDelete: z.string(),
  onUpdate: z.string(),
  columns: z.array(z.string()),
  referencedColumns: z.array(z.string()),
});

/** One relation as an agent sees it. */
export const OBJECT_DESCRIPTION = z.object({
  ...OBJECT_SUMMARY,
  definition: z.string().nullable().describe('A view’s query.'),
  columns: z.array(
    z.object({
      name: z.string(),
      type: z.string(),
      nullable: z.boolean(),
      default: z.string().nullable(),
      generated: z.boolean(),
      comment: z.string().nullable(),
      mask: z
        .string()
        .optional()
        .describe('Its values are shown as this mask, also to WHERE; it can’t be used in a change.'),
    }),
  ),
  primaryKey: z.array(z.string()),
  indexes: z.array(z.object({ name: z.string(), definition: z.string() })),
  triggers: z.array(
    z.object({ name: z.string(), function: z.string(), events: z.array(z.string()), enabled: z.boolean() }),
  ),
  rules: z.array(z.string()),
  references: z.array(FOREIGN_KEY),
  referencedBy: z
    .array(FOREIGN_KEY)
    .describe('Keys that point here: with onDelete cascade, a delete takes those rows along.'),
  rowSecurity: z.boolean(),
  partitionOf: z.string().nullable(),
  partitions: z.array(z.string()),
});
type Description = z.output<typeof OBJECT_DESCRIPTION>;

/** A list that was cut, with how long it is. */
export const CUT = z.object({ list: z.string(), shown: z.number(), of: z.number() });

/** Far more than people make by hand; partitions and the columns of exports are what goes beyond. */
const LONGEST = {
  columns: 400,
  indexes: 100,
  triggers: 100,
  rules: 100,
  references: 200,
  referencedBy: 200,
  partitions: 200,
} as const satisfies Partial<Record<keyof Description, number>>;
const LONGEST_DEFINITION_CHARS = 20_000;

/** A relation with its long lists cut, and what was cut. */
export function describedWithin(object: ObjectDescription): {
  readonly description: Description;
  readonly cut: readonly z.output<typeof CUT>[];
} {
  const { columnsInOrder, columns: _count, ...rest } = object;
  const whole = OBJECT_DESCRIPTION.parse({ ...rest, columns: columnsInOrder });
  const cut: z.output<typeof CUT>[] = [];
  const within = <Entry>(list: keyof typeof LONGEST, entries: readonly Entry[]): Entry[] => {
    const shown = LONGEST[list];
    if (entries.length > shown) cut.push({ list, shown, of: entries.length });
    return entries.slice(0, shown);
  };
  const length = whole.definition?.length ?? 0;
  if (length > LONGEST_DEFINITION_CHARS) cut.push({ list: 'definition', shown: LONGEST_DEFINITION_CHARS, of: length });
  return {
    description: {
      ...whole,
      definition: whole.definition?.slice(0, LONGEST_DEFINITION_CHARS) ?? null,
      columns: within('columns', whole.columns),
      indexes: within('indexes', whole.indexes),
      triggers: within('triggers', whole.triggers),
      rules: within('rules', whole.rules),
      references: within('references', whole.references),
      referencedBy: within('referencedBy', whole.referencedBy),
      partitions: within('partitions', whole.partitions),
    },
    cut,
  };
}

/** The lists of a description an entry a line, so that a wide table can be read. */
export function linesOf(description: Description): readonly unknown[] {
  const { columns, indexes, triggers, references, referencedBy, ...rest } = description;
  return [
    rest,
    ...columns.map((column) => ({ column })),
    ...indexes.map((index) => ({ index })),
    ...triggers.map((trigger) => ({ trigger })),
    ...references.map((key) => ({ references: key })),
    ...referencedBy.map((key) => ({ referencedBy: key })),
  ];
}
