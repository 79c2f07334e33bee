import { z } from 'zod';
import { asId, type TargetId } from '../../domain/ids.ts';

/** Arguments that several tools share. */
export const TASK = z
  .string()
  .max(100)
  .optional()
  .describe('The task to act in. Needed only when you have opened it yourself with open_task.');

export const TARGET = z
  .string()
  .min(1)
  .max(200)
  .describe('The target’s name, as list_targets shows it.')
  .transform((name) => asId<TargetId>(name));

export const SQL = z
  .string()
  .min(1)
  .max(500_000)
  .describe('One statement in the target’s own dialect. Write values as $1, $2 … and pass them in `parameters`.');

/** Values in JSON; the database is told their text and finds out the type itself. */
export const PARAMETERS = z
  .array(z.union([z.string().max(500_000), z.number(), z.boolean(), z.null()]))
  .max(1000)
  .default([])
  .describe('The values of $1, $2 … in order. Pass numbers beyond 2^53, dates, JSON and arrays as text.');

export function statementOf(sql: string, values: z.output<typeof PARAMETERS>) {
  return {
    text: sql,
    parameters: values.map((value) => ({ type: 'unknown', value: value === null ? null : String(value) })),
  };
}
