import { type McpServer, ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import { FOREIGN_CURSOR } from './cursor.ts';
import type { ToolDeclaration } from './tool.ts';

/** Answers `tools/list` with what was written out once: in 2026-07-28 a server is made for each request. */
export function answerToolList(server: McpServer, tools: readonly ToolDeclaration[]): void {
  server.server.setRequestHandler('tools/list', ({ params }) => {
    onOnePage(params?.cursor);
    return { tools: [...tools] };
  });
}

/** @throws ProtocolError for any cursor: a list that comes on one page has given none out. */
export function onOnePage(cursor: string | undefined): void {
  if (cursor !== undefined) throw foreignCursor();
}

/** A cursor of the protocol's own lists that was not given out for it (MCP, "Pagination": -32602). */
export function foreignCursor(): ProtocolError {
  return new ProtocolError(ProtocolErrorCode.InvalidParams, `${FOREIGN_CURSOR.message} ${FOREIGN_CURSOR.hint}`);
}
