import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';

/** 256 bits nobody guesses, in letters that a cookie, a header and a URL carry as they are. */
export function newToken(): string {
  return randomBytes(32).toString('base64url');
}

/** What is kept of a token: whoever reads the state can't speak as its holder. */
export function tokenHash(token: string): string {
  return `sha256:${createHash('sha256').update(token).digest('hex')}`;
}

/**
 * The proof that a request was made by a page that could read an answer of ours: it follows from the token in the cookie,
 * which no script and no other origin can read, and doesn't tell it.
 */
export function csrfOf(token: string): string {
  return createHmac('sha256', token).update('countersign csrf').digest('base64url');
}

export function sameText(given: string, expected: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(expected));
}
