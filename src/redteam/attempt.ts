import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Channel, ProtocolAct } from '../config/scenario-schema.ts';
import {
  bind,
  close,
  describe,
  execute,
  FLUSH,
  message,
  parse,
  query,
  readFailure,
  SYNC,
} from '../engines/postgres/wire-messages.ts';
import { connectRaw, type RawClient, type ServerMessage } from './raw-client.ts';
import type { Attempt } from './scenario.ts';
import { filledIn } from './surroundings.ts';

/** How an actor reaches a database: a gateway by a task, or the bare database by a login. */
export interface Way {
  readonly postgres: string;
  readonly mcp?: { readonly url: string; readonly token: string };
  readonly target: string;
}

/** What came back, as far as it matters. */
export interface Reply {
  /** SQLSTATEs of errors, in order; `closed` for a connection that ended, `timeout` for one that was ended here. */
  readonly errors: readonly string[];
  /** The first error in words. */
  readonly said: string;
  /** All that the actor received. */
  readonly received: string;
}

const PATIENCE_MS = 12_000;

/** Sends an attempt and collects what comes back. Whatever is answered, it goes on to its end. */
export async function send(
  attempt: Attempt,
  channel: Channel,
  way: Way,
  words: Readonly<Record<string, string>>,
  signal: AbortSignal = AbortSignal.timeout(PATIENCE_MS),
): Promise<Reply> {
  return channel === 'mcp' ? byMcp(attempt, way, words, signal) : byWire(attempt, channel, way, words, signal);
}

interface Heard {
  readonly errors: string[];
  said: string;
  received: string;
}

async function byWire(
  attempt: Attempt,
  channel: 'simple' | 'extended',
  way: Way,
  words: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Reply> {
  const heard: Heard = { errors: [], said: '', received: '' };
  const startup = Object.fromEntries(
    Object.entries(attempt.startup).map(([name, value]) => [name, filledIn(value, words)]),
  );
  let client: RawClient;
  try {
    client = await connectRaw(way.postgres, startup);
  } catch (error) {
    const said = error instanceof Error ? error.message : String(error);
    return { errors: ['not let in'], said, received: said };
  }
  const stop = () => client.socket.destroy();
  signal.addEventListener('abort', stop, { once: true });
  try {
    for (let time = 0; time < attempt.times; time++) {
      if (attempt.acts !== null) await speak(client, attempt.acts, words, heard);
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

function bytesOf(value: string | number | boolean | null): Buffer | null {
  return value === null ? null : Buffer.from(String(value), 'utf8');
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

async function speak(
  client: RawClient,
  acts: readonly ProtocolAct[],
  words: Readonly<Record<string, string>>,
  heard: Heard,
): Promise<void> {
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
    else {
      frames.push(frameOf(act, words));
      if ('query' in act || 'sync' in act || 'call' in act) awaited++;
    }
  }
  await flush();
}

function frameOf(act: Exclude<ProtocolAct, { wait: true }>, words: Readonly<Record<string, string>>): Buffer {
  const text = (value: string) => filledIn(value, words);
  if ('query' in act) return query(text(act.query));
  if ('parse' in act) return parse(act.as, text(act.parse), []);
  if ('bind' in act)
    return bind({
      portal: act.portal,
      statement: act.bind,
      formats: [],
      values: act.values.map(bytesOf),
      resultFormats: [],
    });
  if ('describe' in act) return describe(act.describe, act.name);
  if ('execute' in act) return execute(act.execute, act.rows);
  if ('close' in act) return close(act.close, act.name);
  if ('call' in act) return functionCall(act.call, act.arguments.map(text));
  if ('copyData' in act) return message('d', Buffer.from(text(act.copyData), 'utf8'));
  if ('copyDone' in act) return message('c', Buffer.alloc(0));
  if ('hex' in act) return Buffer.from(act.hex, 'hex');
  return 'sync' in act ? SYNC : FLUSH;
}

/** FunctionCall: arguments and result as text (PostgreSQL, "Message Formats"). */
function functionCall(oid: number, values: readonly string[]): Buffer {
  const int16 = (value: number) => {
    const bytes = Buffer.alloc(2);
    bytes.writeInt16BE(value);
    return bytes;
  };
  const int32 = (value: number) => {
    const bytes = Buffer.alloc(4);
    bytes.writeInt32BE(value);
    return bytes;
  };
  const given = values.map((value) => Buffer.from(value, 'utf8')).flatMap((bytes) => [int32(bytes.length), bytes]);
  return message('F', Buffer.concat([int32(oid), int16(0), int16(values.length), ...given, int16(0)]));
}

async function byMcp(
  attempt: Attempt,
  way: Way,
  words: Readonly<Record<string, string>>,
  signal: AbortSignal,
): Promise<Reply> {
  if (way.mcp === undefined) throw new Error('there is no MCP on this way');
  const heard: Heard = { errors: [], said: '', received: '' };
  const client = new Client({ name: 'countersign-redteam', version: '1' });
  const headers = { authorization: `Bearer ${way.mcp.token}` };
  try {
    await client.connect(new StreamableHTTPClientTransport(new URL(way.mcp.url), { requestInit: { headers } }));
    for (let time = 0; time < attempt.times; time++) {
      for (const { name, arguments: given } of callsOf(attempt, way, { ...words, n: String(time + 1) })) {
        const answer = await client.callTool({ name, arguments: given }, { signal });
        heard.received += `${JSON.stringify(answer)}\n`;
        const { outcome, code, message: said, failure } = (answer.structuredContent ?? {}) as McpAnswer;
        const failed = failure?.sqlstate ?? code ?? (answer.isError === true ? String(outcome ?? 'error') : undefined);
        if (failed !== undefined) heard.errors.push(failed);
        heard.said ||= said ?? failure?.message ?? '';
      }
    }
  } catch (error) {
    heard.errors.push(signal.aborted ? 'timeout' : 'error');
    heard.said ||= error instanceof Error ? error.message : String(error);
    heard.received += `${heard.said}\n`;
  } finally {
    await client.close().catch(() => undefined /* it may never have been open */);
  }
  return heard;
}

interface McpAnswer {
  readonly outcome?: string;
  readonly code?: string;
  readonly message?: string;
  readonly failure?: { readonly sqlstate?: string; readonly message?: string };
}

function callsOf(attempt: Attempt, way: Way, words: Readonly<Record<string, string>>) {
  if (attempt.tool !== null) {
    const given = Object.entries(attempt.tool.arguments).map(([name, value]) => [
      name,
      typeof value === 'string' ? filledIn(value, words) : value,
    ]);
    return [{ name: attempt.tool.name, arguments: { target: way.target, ...Object.fromEntries(given) } }];
  }
  return attempt.statements.map((sql, at) => ({
    name: 'execute_sql',
    arguments: {
      target: way.target,
      sql: filledIn(sql, words),
      ...(attempt.values !== null && at === attempt.statements.length - 1 ? { parameters: [...attempt.values] } : {}),
    },
  }));
}
