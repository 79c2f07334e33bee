import type {
  CallToolResult,
  Tool as Declaration,
  McpServer,
  ServerContext,
  ToolAnnotations,
} from '@modelcontextprotocol/server';
import { z } from 'zod';
import { RefusalError } from '../../domain/refusal.ts';
import type { Answer } from './answer.ts';
import type { Desk } from './desk.ts';
import { refusalAnswer } from './refusal-answer.ts';
import { UNTRUSTED_META } from './untrusted.ts';

/** What a tool is to an agent, and how it answers. */
export interface Tool<Input extends z.ZodObject, Output extends z.ZodObject> {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  readonly annotations: ToolAnnotations;
  readonly input: Input;
  /** Covers refusals too: every answer of a tool is of this shape, errors included. */
  readonly output: Output;
  answer(input: z.output<Input>, call: Call): Promise<Answer<z.input<Output>>>;
}

/** One call of a tool. */
export interface Call extends Desk {
  /** Fires when the client cancels the call or, where the protocol says that this means the same, goes away. */
  readonly signal: AbortSignal;
  /** Tells a client that asked for it that the call is alive. */
  progress(elapsedSeconds: number, message: string): Promise<void>;
}

/** A tool as `tools/list` tells of it. */
export type ToolDeclaration = Declaration;

/**
 * Puts a tool on a server. What goes wrong inside is logged here and told to the agent without its inner workings.
 *
 * @returns how it is listed.
 */
export function addTool<Input extends z.ZodObject, Output extends z.ZodObject>(
  server: McpServer,
  desk: Desk,
  tool: Tool<Input, Output>,
): ToolDeclaration {
  const { name, title, description, annotations, input: inputSchema, output: outputSchema } = tool;
  const answer = async (input: z.output<Input>, context: ServerContext): Promise<CallToolResult> => {
    try {
      return asResult(await tool.answer(input, { ...desk, ...callOf(context) }));
    } catch (error) {
      if (error instanceof RefusalError) return asResult(refusalAnswer(error.refusal));
      if (context.mcpReq.signal.aborted) return asResult(CANCELLED);
      desk.log.error({ err: error, tool: name }, 'a tool call failed');
      return asResult(FAILED);
    }
  };
  server.registerTool<Output, z.ZodObject>(
    name,
    { title, description, annotations: { ...annotations, title }, inputSchema, outputSchema },
    // The SDK hands over what this schema has parsed.
    (input, context) => answer(input as z.output<Input>, context),
  );
  return declarationOf(tool);
}

const declared = new WeakMap<object, ToolDeclaration>();

/** Schemas are written out once: that takes longer than most calls. */
function declarationOf<Input extends z.ZodObject, Output extends z.ZodObject>(
  tool: Tool<Input, Output>,
): ToolDeclaration {
  const known = declared.get(tool);
  if (known !== undefined) return known;
  const { name, title, description, annotations } = tool;
  const declaration: ToolDeclaration = {
    name,
    title,
    description,
    annotations: { ...annotations, title },
    inputSchema: OBJECT.parse(tool.input['~standard'].jsonSchema.input(DIALECT)),
    outputSchema: OBJECT.parse(tool.output['~standard'].jsonSchema.output(DIALECT)),
  };
  declared.set(tool, declaration);
  return declaration;
}

const DIALECT = { target: 'draft-2020-12' } as const;
const OBJECT = z.looseObject({ type: z.literal('object') });

function callOf(context: ServerContext): Pick<Call, 'signal' | 'progress'> {
  const token = context.mcpReq._meta?.progressToken;
  return {
    signal: context.mcpReq.signal,
    async progress(elapsedSeconds, message) {
      if (token === undefined) return;
      await context.mcpReq.notify({
        method: 'notifications/progress',
        params: { progressToken: token, progress: elapsedSeconds, message },
      });
    },
  };
}

function asResult(answer: Answer<Record<string, unknown>>): CallToolResult {
  return {
    content: [{ type: 'text', text: answer.text }],
    structuredContent: { ...answer.structured },
    ...(answer.isError === true ? { isError: true } : {}),
    ...(answer.untrusted === undefined ? {} : { _meta: { [UNTRUSTED_META]: answer.untrusted } }),
  };
}

const CANCELLED = refusalAnswer({
  refused: 'unavailable',
  message: 'The call was cancelled.',
  hint: 'A statement that had not been committed took no effect; get_status and get_plan say what stands.',
});

const FAILED = refusalAnswer({
  refused: 'unavailable',
  message: 'The gateway failed to answer this call.',
  hint: 'Its log says why. Don’t repeat a write before you have looked whether it took effect; ask a person.',
});
