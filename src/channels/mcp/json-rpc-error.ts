import type { ServerResponse } from 'node:http';

const SERVER_ERROR = -32000;

/** Answers an HTTP request that holds no JSON-RPC message to be answered, with an error of no id (JSON-RPC 2.0 §5.1). */
export function sendJsonRpcError(
  response: ServerResponse,
  status: number,
  message: string,
  headers: Readonly<Record<string, string>> = {},
  code: number = SERVER_ERROR,
): void {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify({ jsonrpc: '2.0', id: null, error: { code, message } }));
}
