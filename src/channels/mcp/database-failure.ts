import { z } from 'zod';
import type { DatabaseFailure } from '../../domain/database-failure.ts';
import type { Answer } from './answer.ts';
import { fenced } from './untrusted.ts';

/** A database's error, field for field. */
export const FAILURE = z.object({
  sqlstate: z.string(),
  severity: z.string(),
  message: z.string(),
  detail: z.string().optional(),
  hint: z.string().optional(),
  position: z.string().optional(),
});

/** The database's own error as it gave it. Its words quote rows and names, so they are data as rows are. */
export function failureAnswer(failure: DatabaseFailure) {
  const { sqlstate, severity, message, detail, hint, position } = failure;
  const told = {
    severity,
    sqlstate,
    message,
    ...(detail === undefined ? {} : { detail }),
    ...(hint === undefined ? {} : { hint }),
    ...(position === undefined ? {} : { position }),
  };
  return {
    structured: { outcome: 'failed' as const, untrusted: true as const, code: sqlstate, failure: told },
    text: [`The database refused the statement [${sqlstate}]; it took no effect.`, fenced([told])].join('\n'),
    isError: true,
    untrusted: ['failure'],
  } satisfies Answer<unknown>;
}
