import { directoryStore } from './directory-store.ts';
import { keeperStore } from './keeper-store.ts';
import type { BackupStore } from './store.ts';

/** @param place as the configuration names it; its token is revealed here. */
export function openStore(
  place: { readonly directory: string } | { readonly keeper: string; readonly token: { reveal(): string } },
): BackupStore {
  return 'directory' in place ? directoryStore(place.directory) : keeperStore(place.keeper, place.token.reveal());
}
