import { MASK_SCHEMA } from '../domain/masking.ts';

/** The schemas by which Countersign proves what was applied and masks what is read: nobody's to change, or to read but by its means. */
export function isOwnSchema(schema: string): boolean {
  return schema === 'countersign' || schema === MASK_SCHEMA;
}
