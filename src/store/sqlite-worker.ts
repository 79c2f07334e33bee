import { parentPort, workerData } from 'node:worker_threads';
import { createSqliteConnection, type StoreReply, type StoreRequest } from './sqlite-connection.ts';

/** The thread that holds the SQLite connection of a gateway, so that waiting for the disk never stops the event loop. */

/** What the thread says: of a change, or in answer to the request of that number. */
export type ThreadMessage =
  | { readonly kind: 'changed' }
  | { readonly kind: 'error'; readonly id: number; readonly message: string }
  | { readonly kind: 'answer'; readonly id: number; readonly reply: StoreReply };

const port = parentPort;
if (port === null) throw new Error('this file runs in a worker thread');
const say = (message: ThreadMessage) => port.postMessage(message);

const answer = createSqliteConnection(workerData as { readonly path: string; readonly readOnly: boolean }, () =>
  say({ kind: 'changed' }),
);

port.on('message', ({ id, ...request }: StoreRequest & { readonly id: number }) => {
  try {
    say({ kind: 'answer', id, reply: answer(request as StoreRequest) });
  } catch (error) {
    say({ kind: 'error', id, message: error instanceof Error ? error.message : String(error) });
  }
});
