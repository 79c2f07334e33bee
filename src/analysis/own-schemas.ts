import { MASK_SCHEMA } from '../domain/masking.ts';
import { QUARANTINE_PREFIX } from '../domain/quarantine.ts';

/** The schemas by which Countersign proves what was applied, masks what is read and keeps what was dropped: nobody's to change, or to read but by its means. */
export function isOwnSchema(schema: string): boolean {
  return schema === 'countersign' || schema === MASK_SCHEMA || schema.startsWith(QUARANTINE_PREFIX);
}
