/** A file that the gateway makes while it is taken; where it can’t, the browser says that the download failed. */
export function TakeAway({ href, children }: { readonly href: string; readonly children: string }) {
  return (
    <a className="take-away" href={href} download>
      {children}
    </a>
  );
}

/** All about one action in one file, for anybody to verify offline. */
export function proofOf(id: string): string {
  return `/api/ledger/proofs/${encodeURIComponent(id)}`;
}
