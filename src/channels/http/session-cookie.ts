/** Of a gateway that is reached by TLS: browsers take it from no other host, path or plain connection (RFC 6265bis §4.1.3). */
const OVER_TLS = '__Host-countersign';
const ON_LOOPBACK = 'countersign';
const TICKET = '-sign-in';

/** The token of the session cookie. Several of one name mean that somebody else set one: then none counts. */
export function sessionToken(header: string | undefined): string | undefined {
  return cookie(header, '', /^[\w-]{43}$/);
}

/** What a browser keeps while it is at the provider. */
export function signInTicket(header: string | undefined): string | undefined {
  return cookie(header, TICKET, /^[\w-]{20,200}$/);
}

function cookie(header: string | undefined, suffix: string, form: RegExp): string | undefined {
  const pairs = (header ?? '').split(';').map((pair) => pair.trim());
  for (const name of [`${OVER_TLS}${suffix}`, `${ON_LOOPBACK}${suffix}`]) {
    const values = pairs.flatMap((pair) => (pair.startsWith(`${name}=`) ? [pair.slice(name.length + 1)] : []));
    if (values.length > 1) return undefined;
    if (values[0] !== undefined) return form.test(values[0]) ? values[0] : undefined;
  }
  return undefined;
}

/**
 * `Set-Cookie` for the way to the provider and back. `Lax`: it comes back from there, by a link. An empty one ends it.
 */
export function ticketCookie(ticket: string, origin: string): string {
  const lifetimeS = ticket === '' ? 0 : 300;
  return `${nameFor(origin)}${TICKET}=${ticket}; Path=/; HttpOnly; SameSite=Lax; Max-Age=${lifetimeS}${secure(origin)}`;
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
