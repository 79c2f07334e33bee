import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { instantOf } from '../../../domain/ids.ts';
import type { Identity } from '../../../identity/identity.ts';
import type { PasskeyDelegations } from '../../../identity/passkey-delegations.ts';
import { sendRefusal } from '../http-error.ts';
import { originOf } from '../own-origin.ts';
import { type PersonGuard, signedInOf } from '../person-session.ts';
import { ASSERTION, assertionOf } from '../webauthn-bodies.ts';
import { answeredQuery } from './query.ts';

const name = z.string().min(1).max(200);
const reason = z.string().trim().min(3, 'say why in a few words').max(4000);
const GIVEN = z.strictObject({ to: name, environment: name, until: z.iso.datetime({ offset: true }), reason });
const ENDED = z.strictObject({ reason });
const SIGNED = z.strictObject({ payload: z.base64().max(16_384), assertion: ASSERTION });

/** Who decides in whose place: shown with the people, given and ended by what a device signed. */
export function serveDelegations(
  app: FastifyInstance,
  deps: {
    readonly delegations: PasskeyDelegations;
    readonly identity: Pick<Identity, 'sessions'>;
    readonly guard: PersonGuard;
    readonly publicUrl: string | undefined;
  },
): void {
  const { delegations, identity, publicUrl } = deps;
  const may = (right: Parameters<PersonGuard>[0]) => ({ preHandler: deps.guard(right) });

  app.get('/api/delegations', may('task.read'), async (request) => ({
    delegations: await delegations.list(),
    choices: delegations.choices(signedInOf(request).person),
  }));

  app.post('/api/delegations/options', may('plan.decide'), (request, reply) =>
    answeredQuery(reply, GIVEN, request.body, async ({ until, ...asked }) => {
      const { person } = signedInOf(request);
      const from = { person, origin: originOf(request, publicUrl) };
      const options = delegations.ask({ ...asked, ...from, until: instantOf(Date.parse(until)) });
      return 'refused' in options ? sendRefusal(reply, options.refused) : options;
    }),
  );

  app.post('/api/delegations', may('plan.decide'), (request, reply) =>
    answeredQuery(reply, SIGNED, request.body, async ({ payload, assertion }) => {
      const session = signedInOf(request);
      const signed = { person: session.person, payload, assertion: assertionOf(assertion) };
      const given = await delegations.receive(signed);
      if ('refused' in given) return sendRefusal(reply, given.refused);
      await identity.sessions.steppedUp(session);
      return given;
    }),
  );

  // Either of the two may, and who may end sessions: the signature says who it is.
  app.post<{ Params: { id: string } }>('/api/delegations/:id/end/options', may('task.read'), (request, reply) =>
    answeredQuery(reply, ENDED, request.body, async (asked) => {
      const { person } = signedInOf(request);
      const from = { person, origin: originOf(request, publicUrl) };
      const options = delegations.askToEnd({ ...asked, ...from, delegation: request.params.id });
      return 'refused' in options ? sendRefusal(reply, options.refused) : options;
    }),
  );

  app.post<{ Params: { id: string } }>('/api/delegations/:id/end', may('task.read'), (request, reply) =>
    answeredQuery(reply, SIGNED, request.body, async ({ payload, assertion }) => {
      const session = signedInOf(request);
      const signed = { person: session.person, payload, assertion: assertionOf(assertion) };
      const ended = await delegations.end(request.params.id, signed);
      if ('refused' in ended) return sendRefusal(reply, ended.refused);
      await identity.sessions.steppedUp(session);
      return ended;
    }),
  );
}
