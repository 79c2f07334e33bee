import { useSyncExternalStore } from 'react';

/** Where the page is: the address alone says it, so that every view can be linked, opened twice and gone back from. */
export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const listeners = new Set<() => void>();
let place = read();

addEventListener('popstate', moved);

export function usePlace(): Place {
  return useSyncExternalStore(subscribe, () => place);
}

/** Goes to an address of the console. @param replace without leaving a step to go back to. */
export function go(to: string, { replace = false }: { readonly replace?: boolean } = {}): void {
  if (to === location.pathname + location.search) return;
  if (replace) history.replaceState(null, '', to);
  else history.pushState(null, '', to);
  moved();
  if (!replace) scrollTo(0, 0);
}

function moved(): void {
  place = read();
  for (const listener of listeners) listener();
}

function read(): Place {
  return { path: pathOf(location.pathname), query: new URLSearchParams(location.search) };
}

/** Links from elsewhere escape what need not be: the colon in the id of a plan. */
function pathOf(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch (error) {
    if (error instanceof URIError) return path;
    throw error;
  }
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}
