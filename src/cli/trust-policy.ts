import type { Config } from '../config/load.ts';
import type { Person } from '../domain/actor.ts';
import type { ActorId } from '../domain/ids.ts';

/** A trust policy as the independent verifier reads it (verifier/README.md), made from a configuration. @param known its people, with their passkeys. */
export function trustPolicy(config: Config, known: ReadonlyMap<ActorId, Person>, verifierKey: string) {
  const people = [...known.values()].flatMap((actor) =>
    actor.publicKeys.length + actor.passkeys.length > 0 || (config.slack !== null && actor.slack !== undefined)
      ? [
          [
            actor.id,
            {
              keys: actor.publicKeys.map((key) => `ed25519:${Buffer.from(key).toString('base64')}`),
              ...(actor.passkeys.length === 0
                ? {}
                : {
                    passkeys: actor.passkeys.map(({ publicKey: key, credential, rpId, origin }) => ({
                      key,
                      credential,
                      rpId,
                      origin,
                    })),
                  }),
              ...(config.slack === null || actor.slack === undefined ? {} : { slack: actor.slack }),
              approves: [...actor.approves],
              ...(actor.breaksGlass.length === 0 ? {} : { breaksGlass: [...actor.breaksGlass] }),
            },
          ] as const,
        ]
      : [],
  );
  const targets = [...config.targets.values()].map(({ target }) => target);
  const environments = [...config.environments.values()].map(
    ({ id, quorum, quorumUnmeasured, clicks, approvalAgents }) => {
      const identities = targets.filter(({ environment }) => environment === id).map((one) => [one.id, one.identity]);
      return [
        id,
        {
          quorum,
          quorumUnmeasured,
          clicks: config.slack === null ? 'never' : clicks,
          ...(approvalAgents === null ? {} : { approvalAgents }),
          identities: Object.fromEntries(identities),
        },
      ] as const;
    },
  );
  return {
    countersign: 'trust/v1',
    log: verifierKey,
    people: Object.fromEntries(people),
    environments: Object.fromEntries(environments),
    ...agentsOf(config),
    ...(config.slack === null ? {} : { slack: { team: config.slack.team } }),
    ...(config.delegationMs === null ? {} : { delegationDays: Math.ceil(config.delegationMs / 86_400_000) }),
    witnesses: {
      keys: (config.witnesses?.known ?? []).map(({ key }) => key),
      quorum: config.witnesses?.quorum ?? 0,
      unwitnessed: 0,
    },
  };
}

/** Which agents countersign, and of what kind those are whose plans they may; nothing where none does. */
function agentsOf({ actors }: Config) {
  const all = [...actors.values()];
  const approving = all.flatMap((actor) => (actor.kind === 'approval agent' ? [actor] : []));
  if (approving.length === 0) return {};
  const proposing = all.flatMap((actor) => (actor.kind === 'agent' || actor.kind === 'service' ? [actor] : []));
  return {
    approvalAgents: Object.fromEntries(
      approving.map(({ id, owner, family, publicKey, approves }) => [
        id,
        { keys: [`ed25519:${Buffer.from(publicKey).toString('base64')}`], owner, family, approves: [...approves] },
      ]),
    ),
    agents: Object.fromEntries(
      proposing.flatMap(({ id, owner, family }) => (family === undefined ? [] : [[id, { owner, family }] as const])),
    ),
  };
}
