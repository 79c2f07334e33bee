import { type ReactNode, useEffect, useId, useRef } from 'react';

/** A question in front of the page. Escape closes it, and the focus goes back to where it was: the browser sees to both. */
export function Dialog({
  title,
  onClose,
  children,
}: {
  readonly title: string;
  readonly onClose: () => void;
  readonly children: ReactNode;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    const element = dialog.current;
    if (element?.open === false) element.showModal();
    return () => element?.close();
  }, []);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <div>
        <h1 id={id}>{title}</h1>
        {children}
      </div>
    </dialog>
  );
}
