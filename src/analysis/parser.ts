/// <reference path="./libpg-query.d.ts" />
import createModule, { type Module } from 'libpg-query/wasm/libpg-query.js';
import { compiledOnce } from './compiled-once.ts';

/** What PostgreSQL's parser says against a text. */
export interface SyntaxComplaint {
  readonly message: string;
  /** In characters, from 0; below 0 where it has none. */
  readonly cursorPosition: number;
  readonly fileName: string | undefined;
}

/** The parser has come to the end of its memory or its stack over a text: nothing is said of the text but that. */
export class ParserExhausted extends Error {
  constructor(options?: ErrorOptions) {
    super('the statement is too large or nested too deeply', options);
    this.name = 'ParserExhausted';
  }
}

/**
 * One copy of the parser works, others stand by. A text that brings a copy to its end leaves it with memory that nothing
 * frees: it would parse no statement of anybody any more. So that copy is given up, and another takes its place.
 */
let working: Module | null = null;
const standby: Module[] = [];
const STANDING_BY = 2;
let loading: Promise<void> | null = null;

/** What a copy may keep after a large text: its memory grows and never shrinks. */
const MOST_KEPT_BYTES = 256 * 1024 * 1024;

export async function loadParser(): Promise<void> {
  while (working === null || standby.length < STANDING_BY) {
    loading ??= loadOne().finally(() => {
      loading = null;
    });
    await loading;
  }
}

async function loadOne(): Promise<void> {
  const made = await compiledOnce(async () => {
    // What it prints when it is at its end is a list of memory contexts.
    const module = await createModule({ printErr: () => undefined });
    tryOut(module);
    return module;
  });
  if (working === null) working = made;
  else standby.push(made);
}

/** The first call compiles what it calls. */
function tryOut(module: Module): void {
  const pointer = module._malloc(16);
  module.stringToUTF8('SELECT 1', pointer, 16);
  module._wasm_free_parse_result(module._wasm_parse_query_raw(pointer));
  module._free(pointer);
}

function giveUp(module: Module): void {
  if (working !== module) return;
  working = standby.shift() ?? null;
  loadParser().catch(() => undefined /* whoever parses next is told that there is none, and tries again */);
}

/** Runs one call of the parser. @throws ParserExhausted when it did not come through. */
function withText<Result>(text: string, call: (module: Module, pointer: number) => Result): Result {
  const module = working;
  if (module === null) {
    loadParser().catch(() => undefined /* as above */);
    throw new ParserExhausted();
  }
  try {
    const size = module.lengthBytesUTF8(text) + 1;
    const pointer = module._malloc(size);
    if (pointer === 0) throw new ParserExhausted();
    module.stringToUTF8(text, pointer, size);
    const result = call(module, pointer);
    module._free(pointer);
    if (module.HEAPU8.length > MOST_KEPT_BYTES) giveUp(module);
    return result;
  } catch (error) {
    giveUp(module);
    throw error instanceof ParserExhausted ? error : new ParserExhausted({ cause: error });
  }
}

/** The parse tree as JSON, or what is wrong with the text. @throws ParserExhausted */
export function parseToJson(text: string): { readonly tree: string } | { readonly wrong: SyntaxComplaint } {
  return withText(text, (module, pointer) => {
    const result = module._wasm_parse_query_raw(pointer);
    if (result === 0) throw new ParserExhausted();
    // PgQueryParseResult: tree, stderr, error. PgQueryError: message, function, file, line, cursor (from 1).
    const [tree, error] = [module.getValue(result, 'i32'), module.getValue(result + 8, 'i32')];
    const text = (at: number): string | undefined => (at === 0 ? undefined : module.UTF8ToString(at));
    const parsed = text(tree);
    const wrong =
      error === 0
        ? undefined
        : {
            message: text(module.getValue(error, 'i32')) ?? 'syntax error',
            fileName: text(module.getValue(error + 8, 'i32')),
            cursorPosition: Math.max(0, module.getValue(error + 16, 'i32') - 1),
          };
    module._wasm_free_parse_result(result);
    // Said of the parser's memory, not of the text: the copy is at its end.
    if (wrong?.message.startsWith('out of memory') === true) throw new ParserExhausted();
    if (wrong !== undefined) return { wrong };
    if (parsed === undefined) throw new ParserExhausted();
    return { tree: parsed };
  });
}

/** The text with its constants taken out; `undefined` where that can't be done. @throws ParserExhausted */
export function normalise(text: string): string | undefined {
  return withText(text, (module, pointer) => {
    const result = module._wasm_normalize_query(pointer);
    if (result === 0) throw new ParserExhausted();
    const normalised = module.UTF8ToString(result);
    module._wasm_free_string(result);
    return /^(?:syntax error|deparse error|ERROR)/.test(normalised) ? undefined : normalised;
  });
}

/** A word of a text, and where it stands in bytes of UTF-8. */
export interface Token {
  readonly text: string;
  /** As libpg_query calls it: `SQL_COMMENT`, `IDENT` … */
  readonly tokenName: string;
  readonly start: number;
  readonly end: number;
}

/** The words of a text, comments among them; none of one that can't be cut into words. @throws ParserExhausted */
export function tokensOf(text: string): readonly Token[] {
  return withText(text, (module, pointer) => {
    const result = module._wasm_scan(pointer);
    if (result === 0) throw new ParserExhausted();
    const scanned = module.UTF8ToString(result);
    module._wasm_free_string(result);
    if (!scanned.startsWith('{')) return [];
    return (JSON.parse(scanned) as { tokens: Token[] }).tokens;
  });
}
