import type { ReactNode } from 'react';
import { ApiError, Unreachable } from '../api.ts';
import { type Known, refetchAll } from '../live.ts';

/** Nothing is there, and that is said with what it means. */
export function Empty({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <div className="state">
      <h2>{title}</h2>
      <div className="quiet">{children}</div>
    </div>
  );
}

/** Something could not be had: what, why, and what to do now. */
export function Trouble({ error }: { readonly error: Error }) {
  const title =
    error instanceof Unreachable
      ? 'The gateway does not answer.'
      : error instanceof ApiError && error.status === 403
        ? 'This is not yours to see.'
        : 'This could not be read.';
  const hint =
    error instanceof Unreachable
      ? 'Nothing was changed from here. It may be restarting, or this machine has no network. Statements that are held stay held.'
      : error instanceof ApiError
        ? error.hint
        : 'Reload the page; if it stays so, the gateway’s log says more.';
  return (
    <div className="state" role="alert">
      <h2>{title}</h2>
      {error instanceof Unreachable ? null : <p>{error.message}</p>}
      <p className="quiet">{hint}</p>
      <button type="button" className="button" onClick={refetchAll}>
        Ask again
      </button>
    </div>
  );
}

/** What somebody did came to nothing: why, and what to do next. */
export function Failed({ error }: { readonly error: Error }) {
  return (
    <div className="banner" role="alert">
      <strong>{error.message}</strong>
      {error instanceof ApiError && error.hint !== '' ? <span>{error.hint}</span> : null}
    </div>
  );
}

/** Shows what is known, or why nothing is; what is shown while it can’t be renewed says so. */
export function Shown<Data>({
  known,
  children,
}: {
  readonly known: Known<Data>;
  readonly children: (data: Data) => ReactNode;
}) {
  if (known.data === undefined)
    return known.error === undefined ? (
      <p className="waiting" role="status">
        Reading …
      </p>
    ) : (
      <Trouble error={known.error} />
    );
  return (
    <>
      {known.error === undefined ? null : (
        <div className="banner warn" role="status">
          <strong>What you see may be out of date.</strong>
          <span>{known.error.message}</span>
        </div>
      )}
      {children(known.data)}
    </>
  );
}
