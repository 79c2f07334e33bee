import { ProtocolError, ProtocolErrorCode } from '@modelcontextprotocol/server';
import type { Desk } from './desk.ts';

/**
 * Answers requests other than tool calls: what goes wrong inside is logged, and told without its inner workings. What is
 * refused on purpose is a `ProtocolError` already.
 */
export async function guarded<Result>(desk: Desk, method: string, answer: () => Promise<Result>): Promise<Result> {
  try {
    return await answer();
  } catch (error) {
    if (error instanceof ProtocolError) throw error;
    desk.log.error({ err: error, method }, 'an MCP request failed');
    throw new ProtocolError(
      ProtocolErrorCode.InternalError,
      'The gateway failed to answer this request; its log says why.',
    );
  }
}
