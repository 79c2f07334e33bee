import type { Socket } from 'node:net';

/** How long a client may take to read the last word, before it is cut off. */
const FAREWELL_MS = 1000;

/** Sends the last word, if there is one and somebody to hear it, and closes, within a second whatever the client does. */
export function farewell(socket: Socket, word?: Buffer): void {
  if (socket.destroyed) return;
  if (word === undefined) socket.end();
  else socket.end(word);
  // What the client still says is thrown away, or its unread bytes would turn the close into a reset that eats the word.
  socket.resume();
  destroyAfter(socket, FAREWELL_MS);
}

export function destroyAfter(socket: Socket, timeMs: number): void {
  if (socket.destroyed) return;
  const timer = setTimeout(() => socket.destroy(), timeMs);
  timer.unref();
  socket.once('close', () => clearTimeout(timer));
}
