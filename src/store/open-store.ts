import type { StateLocation } from '../domain/state-location.ts';
import { openPostgresStore } from './postgres-store.ts';
import { openSqliteStore } from './sqlite-store.ts';
import type { Store, StoreOptions } from './store.ts';

/**
 * Opens the store, making and migrating it where needed.
 *
 * @throws StoreUnavailable when it can't be opened, or was written by a newer version.
 */
export function openStore(location: StateLocation, options: StoreOptions = {}): Promise<Store> {
  return typeof location === 'string'
    ? openSqliteStore(location.slice('sqlite:'.length), options)
    : openPostgresStore(location, options);
}
