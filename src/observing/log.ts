import pino, { type Logger } from 'pino';
import { EngineFailure } from '../engines/session.ts';

/**
 * The log: one event a line, as JSON, on standard error. Who writes a line names ids (task, plan, change, target) and
 * never a secret, a statement's text or a row's content; what errors bring along is held to that here.
 */
export function createLog(level: string, write?: (line: string) => void): Logger {
  return pino(
    {
      level,
      base: null,
      timestamp: pino.stdTimeFunctions.isoTime,
      serializers: { err: describeError, error: describeError },
      redact: { paths: SECRET_KEYS.flatMap((key) => [key, `*.${key}`]), censor: '[secret]' },
    },
    write === undefined ? pino.destination(2) : { write },
  );
}

/** Nobody should log these; if somebody does, nothing is given away. */
const SECRET_KEYS = [
  'password',
  'token',
  'secret',
  'authorization',
  'connectionString',
  'parameters',
  'values',
  'rows',
];

/** Errors of the database that speak of the connection or of rights: their messages quote no row. */
const TELLING = /^(08|28|3D|53|55|57|58|42501)/;
const MAX_CAUSES = 3;

interface Described {
  readonly type: string;
  readonly message?: string;
  readonly code?: string;
  readonly at?: readonly string[];
  readonly cause?: Described;
}

/** An error as it may be logged: the database's own messages and details are left out where they may quote a row. */
function describeError(error: unknown, depth = 0): Described {
  if (!(error instanceof Error)) return { type: typeof error };
  const code = error instanceof EngineFailure ? error.failure.sqlstate : codeOf(error);
  const fromDatabase = error instanceof EngineFailure || 'severity' in error;
  const at = (error.stack ?? '')
    .split('\n')
    .filter((line) => /^\s+at /.test(line))
    .map((line) => line.trim());
  return {
    type: error.name,
    ...(fromDatabase && !TELLING.test(code ?? '') ? {} : { message: error.message }),
    ...(code === undefined ? {} : { code }),
    at,
    ...(error.cause === undefined || depth >= MAX_CAUSES ? {} : { cause: describeError(error.cause, depth + 1) }),
  };
}

function codeOf(error: Error): string | undefined {
  return 'code' in error && typeof error.code === 'string' ? error.code : undefined;
}
