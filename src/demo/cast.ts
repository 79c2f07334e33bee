import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import pg from 'pg';

/** The agent, over MCP: a client as any agent has it. */
export interface McpAgent {
  call(tool: string, args?: Record<string, unknown>): Promise<ToolAnswer>;
  leave(): Promise<void>;
}

/** What the demo looks at of a tool's structured answer. */
export interface ToolAnswer {
  readonly outcome: string;
  readonly rows?: readonly (readonly (string | null)[])[];
  readonly plan?: { readonly id: string };
  readonly [key: string]: unknown;
}

export async function mcpAgent(url: string, token: string): Promise<McpAgent> {
  const client = new Client({ name: 'countersign-demo', version: '1' });
  const headers = { authorization: `Bearer ${token}` };
  await client.connect(new StreamableHTTPClientTransport(new URL(url), { requestInit: { headers } }));
  return {
    async call(tool, args = {}) {
      const { structuredContent } = await client.callTool({ name: tool, arguments: args });
      return structuredContent as unknown as ToolAnswer;
    },
    leave: () => client.close(),
  };
}

/** What a PostgreSQL client was answered. */
export type WireAnswer =
  | {
      readonly rows: readonly Record<string, unknown>[];
      readonly rowCount: number | null;
      readonly notices: readonly string[];
    }
  | { readonly sqlstate: string; readonly message: string; readonly detail: string; readonly hint: string };

/** The agent, over the PostgreSQL protocol: node-postgres, which knows nothing of Countersign. */
export async function wireAgent(url: string): Promise<{
  send(sql: string): Promise<WireAnswer>;
  leave(): Promise<void>;
}> {
  const notices: string[] = [];
  let client = await connect();

  async function connect(): Promise<pg.Client> {
    const made = new pg.Client({ connectionString: url });
    made.on('notice', (notice) => notices.push(notice.message ?? ''));
    // Whoever waits for an answer hears of it.
    made.on('error', () => undefined);
    await made.connect();
    return made;
  }

  async function query(sql: string): Promise<pg.QueryResult<Record<string, unknown>>> {
    try {
      return await client.query(sql);
    } catch (error) {
      if (error instanceof pg.DatabaseError) throw error;
      // A statement that heeds no cancellation in time is ended with its connection: agents connect again.
      client = await connect();
      return client.query(sql);
    }
  }

  return {
    async send(sql) {
      notices.length = 0;
      try {
        const { rows, rowCount } = await query(sql);
        return { rows, rowCount, notices: [...notices] };
      } catch (error) {
        if (!(error instanceof pg.DatabaseError)) throw error;
        return {
          sqlstate: error.code ?? '',
          message: error.message,
          detail: error.detail ?? '',
          hint: error.hint ?? '',
        };
      }
    },
    leave: () => client.end(),
  };
}

/** Asks the database itself, as its superuser, around the gateway. */
export async function askDirectly<Row extends pg.QueryResultRow>(url: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}
