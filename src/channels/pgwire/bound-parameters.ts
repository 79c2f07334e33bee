import type { Parameter } from '../../domain/intent.ts';
import { type Bind, describe } from '../../engines/postgres/wire-messages.ts';
import type { PreparedStatement } from '../../execution/prepared-statements.ts';
import type { ActorSession } from '../../pipeline/actor-session.ts';
import { decodeParameters } from '../../pipeline/decode-parameters.ts';
import type { Carried, ClientStatements } from './client-statements.ts';
import type { Outbox } from './outbox.ts';

/** Values in text form, as plans show and keep them; values in binary form are asked of the server. */
export async function boundParameters(
  { session, statements, outbox }: BoundBy,
  statement: PreparedStatement,
  judgement: Carried,
  bind: Bind,
): Promise<readonly Parameter[]> {
  if (bind.values.length === 0) return [];
  const opened = session.connectionFor(judgement);
  const connection = opened instanceof Promise ? await opened : opened;
  const binary = bind.formats.includes(1);
  if (binary && (statement.types.length < bind.values.length || statement.types.includes(0))) {
    await outbox.turnTo(connection);
    await statements.know(statement, connection);
    if (outbox.skipping) return [];
    outbox.add(connection, describe('statement', statement.name), {
      to: 'describe statement',
      hidden: true,
      onParameterTypes: (types) => {
        statement.types = types;
      },
    });
  }
  await outbox.send('sync');
  if (outbox.skipping) return [];
  return decodeParameters(connection, bind, statement.types);
}

interface BoundBy {
  readonly session: ActorSession;
  readonly statements: Pick<ClientStatements, 'know'>;
  readonly outbox: Outbox;
}
