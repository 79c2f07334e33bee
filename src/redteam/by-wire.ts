import type { KeyPart, ProtocolAct } from '../config/scenario-schema.ts';
import {
  bind,
  describe,
  execute,
  message,
  parse,
  query,
  readFailure,
  SYNC,
} from '../engines/postgres/wire-messages.ts';
import { bytesOf, frameOf } from './act-frames.ts';
import type { CancelKey, Heard, Reply, Timed } from './carriage.ts';
import { cancelRequest, connectRaw, dialRaw, type RawClient, type ServerMessage } from './raw-client.ts';
import { filledIn } from './surroundings.ts';

/** Sends an attempt as messages of PostgreSQL's protocol. */
export async function byWire(carriage: Timed): Promise<Reply> {
  const { attempt, channel, way, words, signal } = carriage;
  const heard: Heard = { errors: [], said: '', received: '' };
  const startup = Object.fromEntries(
    Object.entries(attempt.startup).map(([name, value]) => [name, filledIn(value, words)]),
  );
  let client: RawClient;
  let crowd: readonly RawClient[] = [];
  try {
    client = await connectRaw(way.postgres, startup);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return { errors: ['not let in'], said, received: said };
  }
  const stop = () => client.socket.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    crowd = await openMany(attempt.sessions, way.postgres, startup);
    carriage.onOpen?.(client);
    for (let time = 0; time < attempt.times; time++) {
      if (attempt.acts !== null) await speak(client, attempt.acts, carriage, heard);
      else
        for (const [at, text] of attempt.statements.entries()) {
          const sql = filledIn(text, { ...words, n: String(time + 1) });
          const values = at === attempt.statements.length - 1 ? (attempt.values ?? []) : [];
          const frames = channel === 'simple' ? [query(sql)] : asExtended(sql, values);
          await transmit(client, Buffer.concat(frames), attempt.split);
          await listen(client, 1, heard);
        }
    }
    await client.close();
    hear(await client.closed, heard);
  } catch (error) {
    client.socket.destroy();
    hear(await client.closed, heard);
    heard.errors.push(signal.aborted ? 'timeout' : 'closed');
    heard.said ||= error instanceof Error ? error.message : String(error);
  } finally {
    signal.removeEventListener('abort', stop);
    for (const { socket } of crowd) socket.destroy();
  }
  return heard;
}

function asExtended(sql: string, values: readonly (string | number | boolean | null)[]): readonly Buffer[] {
  return [
    parse('', sql, []),
    bind({ portal: '', statement: '', formats: [], values: values.map(bytesOf), resultFormats: [] }),
    describe('portal', ''),
    execute('', 0),
    SYNC,
  ];
}

async function transmit(client: RawClient, bytes: Buffer, split: boolean): Promise<void> {
  if (!split) {
    client.send(bytes);
    return;
  }
  for (let at = 0; at < bytes.length; at++) {
    client.send(bytes.subarray(at, at + 1));
    await new Promise((resolve) => setImmediate(resolve));
  }
}

/** Waits until the server is ready that many times; a COPY that waits for rows gets none. */
async function listen(client: RawClient, times: number, heard: Heard, noRows = true): Promise<void> {
  for (let ready = 0; ready < times; ) {
    const messages = await client.until('Z', 'G');
    hear(messages, heard);
    if (messages.at(-1)?.type === 'Z') ready++;
    else if (noRows) client.send(message('c', Buffer.alloc(0)), SYNC);
  }
}

function hear(messages: readonly ServerMessage[], heard: Heard): void {
  for (const { type, body } of messages) {
    heard.received += `${body.toString('utf8')}\n`;
    if (type !== 'E') continue;
    const { sqlstate, message: said } = readFailure(body);
    heard.errors.push(sqlstate);
    heard.said ||= said;
  }
}

async function speak(client: RawClient, acts: readonly ProtocolAct[], carriage: Timed, heard: Heard): Promise<void> {
  let frames: Buffer[] = [];
  let awaited = 0;
  const flush = async () => {
    client.send(...frames);
    await listen(client, awaited, heard, false);
    frames = [];
    awaited = 0;
  };
  for (const act of acts) {
    if ('wait' in act) await flush();
    else if ('cancel' in act) {
      client.send(...frames);
      frames = [];
      await requestCancel(act, client, carriage);
    } else {
      frames.push(frameOf(act, carriage.words));
      if ('query' in act || 'sync' in act || 'call' in act) awaited++;
    }
  }
  await flush();
}

const AT_ONCE = 70;

/** As many sessions as are let in. */
async function openMany(
  wanted: number,
  url: string,
  startup: Readonly<Record<string, string>>,
): Promise<readonly RawClient[]> {
  const open: RawClient[] = [];
  for (let left = wanted; left > 0; left -= AT_ONCE) {
    const some = Array.from({ length: Math.min(left, AT_ONCE) }, () => connectRaw(url, startup));
    for (const one of await Promise.allSettled(some)) if (one.status === 'fulfilled') open.push(one.value);
  }
  return open;
}

/** By a connection of its own, as the protocol has it; nobody answers that. */
async function requestCancel(
  { cancel, secret }: { readonly cancel: KeyPart; readonly secret: KeyPart },
  own: CancelKey,
  { way, neighbour }: Timed,
): Promise<void> {
  const made: CancelKey = { processId: 1, secret: Buffer.alloc(own.secret.length, 7) };
  const of = (part: KeyPart): CancelKey => (part === 'own' ? own : part === 'none' ? made : (neighbour?.() ?? made));
  const { hostname, port } = new URL(way.postgres);
  const caller = await dialRaw(hostname, Number(port));
  caller.send(cancelRequest(of(cancel).processId, of(secret).secret));
  await caller.closed;
}
