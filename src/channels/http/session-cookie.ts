/** Of a gateway that is reached by TLS: browsers take it from no other host, path or plain connection (RFC 6265bis §4.1.3). */
const OVER_TLS = '__Host-countersign';
const ON_LOOPBACK = 'countersign';

/** The token of the session cookie. Several of one name mean that somebody else set one: then none counts. */
export function sessionToken(header: string | undefined): string | undefined {
  const pairs = (header ?? '').split(';').map((pair) => pair.trim());
  for (const name of [OVER_TLS, ON_LOOPBACK]) {
    const values = pairs.flatMap((pair) => (pair.startsWith(`${name}=`) ? [pair.slice(name.length + 1)] : []));
    if (values.length > 1) return undefined;
    if (values[0] !== undefined) return /^[\w-]{43}$/.test(values[0]) ? values[0] : undefined;
  }
  return undefined;
}

/** `Set-Cookie` for a session: no script reads it, no other site sends it, and it ends with the browser at the latest. */
export function sessionCookie(token: string, origin: string): string {
  return `${nameFor(origin)}=${token}; Path=/; HttpOnly; SameSite=Strict${secure(origin)}`;
}

export function noSessionCookie(origin: string): string {
  return `${nameFor(origin)}=; Path=/; HttpOnly; SameSite=Strict; Max-Age=0${secure(origin)}`;
}

function nameFor(origin: string): string {
  return origin.startsWith('https:') ? OVER_TLS : ON_LOOPBACK;
}

function secure(origin: string): string {
  return origin.startsWith('https:') ? '; Secure' : '';
}
