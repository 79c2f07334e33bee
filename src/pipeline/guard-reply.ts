import { createSecretGuard, type SecretMode } from '../domain/secrets.ts';
import type { StatementReply } from './gateway.ts';

/** Looks through what the database answered for secrets: rows, notices and errors, which quote rows. */
export function guardReply(reply: StatementReply, mode: SecretMode): StatementReply {
  if (mode === 'off' || reply.reply === 'refused') return reply;
  const secrets = createSecretGuard(mode);
  const guarded = guardedBy(reply, secrets.guard);
  return secrets.found.length === 0
    ? guarded
    : { ...guarded, secrets: { found: secrets.found, redacted: mode === 'redact' } };
}

function guardedBy(
  reply: Exclude<StatementReply, { reply: 'refused' }>,
  guard: <Text extends string | null | undefined>(text: Text) => Text,
): Exclude<StatementReply, { reply: 'refused' }> {
  switch (reply.reply) {
    case 'rows':
      return { ...reply, rows: reply.rows.map((row) => row.map(guard)), notices: reply.notices.map(guard) };
    case 'done':
      return { ...reply, notices: reply.notices.map(guard) };
    case 'failed': {
      const { message, detail, hint } = reply.failure;
      const failure = {
        ...reply.failure,
        message: guard(message),
        ...(detail === undefined ? {} : { detail: guard(detail) }),
        ...(hint === undefined ? {} : { hint: guard(hint) }),
      };
      return { ...reply, failure };
    }
    default:
      return reply satisfies never;
  }
}
