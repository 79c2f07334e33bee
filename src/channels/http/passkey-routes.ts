import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import type { Identity } from '../../identity/identity.ts';
import { sendError, sendRefusal } from './http-error.ts';
import { originOf } from './own-origin.ts';
import { type PersonGuard, signedInOf } from './person-session.ts';
import { type SignInRoute, whyNot } from './sign-in-route.ts';
import type { NeedsStepUp } from './step-up-routes.ts';
import { ASSERTION, assertionOf, REGISTRATION } from './webauthn-bodies.ts';

/** `/api/passkeys`: a person’s own. `/api/session/passkey`: signing in with one. */
export function servePasskeys(
  app: FastifyInstance,
  deps: {
    readonly identity: Identity;
    readonly guard: PersonGuard;
    readonly needsStepUp: NeedsStepUp;
    readonly signIn: SignInRoute;
    readonly publicUrl: string | undefined;
  },
): void {
  const { guard, needsStepUp, signIn, publicUrl } = deps;
  const { passkeys, vouching } = deps.identity;

  app.get('/api/passkeys', { preHandler: guard('passkey.own') }, async (request) => ({
    passkeys: await passkeys.list(signedInOf(request).person),
  }));

  app.post('/api/passkeys/options', { preHandler: guard('passkey.own') }, async (request, reply) => {
    const shown = needsStepUp(request, reply, 'passkey.register');
    if (shown !== undefined) return shown;
    const options = await passkeys.registrationOptions(signedInOf(request), originOf(request, publicUrl));
    return 'refused' in options ? sendRefusal(reply, options.refused) : options;
  });

  app.post('/api/passkeys', { preHandler: guard('passkey.own') }, async (request, reply) => {
    const body = REGISTRATION.safeParse(request.body);
    const session = signedInOf(request);
    if (!body.success) return malformed(reply, body.error);
    const shown = needsStepUp(request, reply, 'passkey.register');
    if (shown !== undefined) return shown;
    const registered = await passkeys.register(session, originOf(request, publicUrl), {
      ...body.data,
      clientExtensionResults: {},
    });
    if ('refused' in registered) return sendRefusal(reply, registered.refused);
    const { passkey } = registered;
    return reply.code(201).send({
      passkey,
      confirm: passkey.confirmed ? null : `countersign passkey confirm ${passkey.id} --as ${passkey.person}`,
    });
  });

  app.post<{ Params: { id: string } }>(
    '/api/passkeys/:id/confirm/options',
    { preHandler: guard('passkey.own') },
    async (request, reply) => {
      const { person } = signedInOf(request);
      const asked = await vouching.ask(request.params.id, person, originOf(request, publicUrl));
      return 'refused' in asked ? sendRefusal(reply, asked.refused) : asked;
    },
  );

  app.post<{ Params: { id: string } }>(
    '/api/passkeys/:id/confirm',
    { preHandler: guard('passkey.own') },
    async (request, reply) => {
      const body = ASSERTION.safeParse(request.body);
      if (!body.success) return malformed(reply, body.error);
      const { person } = signedInOf(request);
      const confirmed = await vouching.receive(request.params.id, person, assertionOf(body.data));
      return 'refused' in confirmed ? sendRefusal(reply, confirmed.refused) : confirmed;
    },
  );

  app.delete<{ Params: { id: string } }>(
    '/api/passkeys/:id',
    { preHandler: guard('passkey.own') },
    async (request, reply) => {
      const { person, rights } = signedInOf(request);
      const whose = rights.includes('passkey.revoke') ? undefined : person;
      const found = (await passkeys.list(whose)).some(({ id }) => id === request.params.id);
      if (found && (await passkeys.revoke(request.params.id, person, 'in the console'))) return reply.code(204).send();
      return sendError(reply, 404, {
        code: 'unknown_passkey',
        message: `${person} has no passkey ${JSON.stringify(request.params.id.slice(0, 80))}.`,
        hint: 'GET /api/passkeys lists them.',
      });
    },
  );

  app.post('/api/session/passkey/options', async (request, reply) => {
    const origin = originOf(request, publicUrl);
    const refused = whyNot(request, origin);
    if (refused !== undefined) return sendError(reply, 403, refused);
    const options = await passkeys.signInOptions(origin);
    return 'refused' in options ? sendRefusal(reply, options.refused) : options;
  });

  app.post('/api/session/passkey', async (request, reply) =>
    signIn(request, reply, async ({ origin, replaces }) => {
      const body = ASSERTION.safeParse(request.body);
      return body.success ? passkeys.signIn(origin, assertionOf(body.data), replaces) : 'malformed';
    }),
  );

  async function malformed(reply: Parameters<typeof sendError>[0], error: z.ZodError) {
    return sendError(reply, 400, {
      code: 'malformed_passkey',
      message: `The body is not what an authenticator answers: ${z.prettifyError(error)}`,
      hint: 'Send what navigator.credentials.create gave, as its toJSON() writes it.',
    });
  }
}
