import type { Config } from '../config/load.ts';
import { digestOf, type Json } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';

/**
 * What decides, as one digest: the policies, and of the configuration all that a decision, a right or an approval depends
 * on. Not what differs from node to node by rights: addresses it listens on, files, keys and passwords.
 */
export function governingDigest(config: Config, policies: Digest): Digest {
  const byId = (entries: ReadonlyMap<string, unknown>) => Object.fromEntries(entries);
  return digestOf(
    JSON.parse(
      JSON.stringify({
        policies,
        origin: config.origin,
        environments: byId(config.environments),
        targets: Object.fromEntries(
          [...config.targets].map(([id, { target, session, apply }]) => [
            id,
            { ...target, session: session.user, apply: apply.user },
          ]),
        ),
        actors: Object.fromEntries(
          [...config.actors].map(([id, actor]) => [
            id,
            actor.kind === 'person'
              ? { ...actor, publicKeys: actor.publicKeys.map((key) => Buffer.from(key).toString('base64')) }
              : actor,
          ]),
        ),
        agentTokens: byId(config.agentTokens),
        roles: byId(config.roles),
        freezes: config.freezes,
      }),
    ) as Json,
  );
}
