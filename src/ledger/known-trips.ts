import type { Breaker, BreakerScope, Trip } from '../domain/breaker.ts';
import { asId, type HaltId } from '../domain/ids.ts';
import type { Reader } from '../store/store.ts';
import { readEntries } from './read-entries.ts';

/** Trips of breakers as the ledger tells them, the newest last. */
export async function knownTrips(
  store: Reader,
  limit = 1000,
): Promise<readonly (Trip & { readonly target: string | null })[]> {
  const found = await readEntries(store, { kind: 'trip', limit });
  return found.map(({ entry }) => {
    const body = entry.body as Readonly<Record<string, unknown>>;
    const text = (key: string) => (typeof body[key] === 'string' ? (body[key] as string) : null);
    return {
      halt: asId<HaltId>(entry.subject),
      incident: String(body['incident']),
      breaker: body['breaker'] as Breaker,
      scope: { scope: body['scope'], id: body['id'] } as BreakerScope,
      at: entry.at,
      reason: String(body['reason']),
      again: body['again'] === true,
      agent: text('actor'),
      owner: text('owner'),
      target: text('target'),
      timeline: body['timeline'] as Trip['timeline'],
    };
  });
}
