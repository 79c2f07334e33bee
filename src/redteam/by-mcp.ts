import { Client, StreamableHTTPClientTransport } from '@modelcontextprotocol/client';
import type { Heard, Reply, Timed, Way } from './carriage.ts';
import type { Attempt } from './scenario.ts';
import { filledIn } from './surroundings.ts';

/** Sends an attempt as tool calls. */
export async function byMcp({ attempt, way, words, signal }: Timed): Promise<Reply> {
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
