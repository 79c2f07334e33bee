import { useEffect, useRef } from 'react';

export type KeyMap = Readonly<Record<string, (() => void) | undefined>>;

/** Single keys, as long as nobody writes into a field and no dialog is open. `Escape` works in fields, too. */
export function useKeys(keys: KeyMap): void {
  const current = useRef(keys);
  current.current = keys;
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
      const act = current.current[event.key];
      if (act === undefined) return;
      const target = event.target instanceof HTMLElement ? event.target : null;
      if (document.querySelector('dialog[open]') !== null) return;
      const writing = target?.closest('input, textarea, select, [contenteditable]') != null;
      if (writing && event.key !== 'Escape') return;
      // Enter on a link or a button means that one.
      if (event.key === 'Enter' && target?.closest('a, button, summary') != null) return;
      event.preventDefault();
      act();
    };
    addEventListener('keydown', onKey);
    return () => removeEventListener('keydown', onKey);
  }, []);
}
