import { isNode, LineCounter, parseDocument } from 'yaml';
import type { z } from 'zod';
import { FilesRead } from './files-read.ts';

/** Something wrong in a file, where it stands, and what would be right. */
export interface Problem {
  readonly line: number;
  readonly column: number;
  readonly key: string;
  readonly message: string;
}

/** Points at the place of a key. */
export type ProblemAt = (path: readonly PropertyKey[], message: string) => Problem;

export class ConfigError extends Error {
  readonly file: string;
  readonly problems: readonly Problem[];
  constructor(file: string, problems: readonly Problem[]) {
    super(
      problems
        .map(({ line, column, key, message }) => `${file}:${line}:${column} ${key === '' ? '' : `${key}: `}${message}`)
        .join('\n'),
    );
    this.name = 'ConfigError';
    this.file = file;
    this.problems = problems;
  }
}

/** A file's content, checked, with a way to point at the place of a key. */
export interface Checked<Output> {
  readonly value: Output;
  readonly problem: ProblemAt;
}

/** Reads a YAML file by a schema. @throws ConfigError with everything that is wrong, by line and key. */
export function readYaml<Schema extends z.ZodType>(
  file: string,
  schema: Schema,
  files = new FilesRead(),
): Checked<z.output<Schema>> {
  const text = textOf(file, files);
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true });
  const at = (offset: number) => {
    const { line, col } = lines.linePos(offset);
    return { line, column: col };
  };
  if (document.errors.length > 0) {
    throw new ConfigError(
      file,
      document.errors.map((error) => ({ ...at(error.pos[0]), key: '', message: error.message.split('\n')[0] ?? '' })),
    );
  }
  const problem = (path: readonly PropertyKey[], message: string): Problem => {
    const key = path.map(String).join('.');
    // A missing key has no place of its own: what should hold it has one.
    for (let depth = path.length; depth >= 0; depth--) {
      const node: unknown =
        depth === 0
          ? document.contents
          : document.getIn(
              path.slice(0, depth).map((part) => (typeof part === 'number' ? part : String(part))),
              true,
            );
      if (isNode(node) && node.range) return { ...at(node.range[0]), key, message };
    }
    return { line: 1, column: 1, key, message };
  };
  let content: unknown;
  try {
    content = document.toJS();
  } catch (error) {
    // An alias without its anchor, or aliases of aliases without end.
    if (error instanceof ReferenceError) throw new ConfigError(file, [problem([], error.message)]);
    throw error;
  }
  const parsed = schema.safeParse(content);
  if (!parsed.success) {
    throw new ConfigError(
      file,
      parsed.error.issues.flatMap((issue) =>
        issue.code === 'unrecognized_keys'
          ? issue.keys.map((key) => problem([...issue.path, key], 'there is no such key'))
          : // What is wrong with a name says its own rule; "Invalid key in record" says nothing.
            [problem(issue.path, (issue.code === 'invalid_key' && issue.issues[0]?.message) || issue.message)],
      ),
    );
  }
  return { value: parsed.data, problem };
}

function textOf(file: string, files: FilesRead): string {
  try {
    return files.text(file);
  } catch (error) {
    const message = `can't be read: ${error instanceof Error ? error.message : String(error)}`;
    throw new ConfigError(file, [{ line: 1, column: 1, key: '', message }]);
  }
}
