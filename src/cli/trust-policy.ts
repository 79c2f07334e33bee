import type { Config } from '../config/load.ts';

/** A trust policy as the independent verifier reads it (verifier/README.md), made from a configuration. */
export function trustPolicy(config: Config, verifierKey: string) {
  const people = [...config.actors.values()].flatMap((actor) =>
    actor.kind === 'person' && actor.publicKeys.length > 0
      ? [
          [
            actor.id,
            {
              keys: actor.publicKeys.map((key) => `ed25519:${Buffer.from(key).toString('base64')}`),
              approves: [...actor.approves],
            },
          ] as const,
        ]
      : [],
  );
  const targets = [...config.targets.values()].map(({ target }) => target);
  const environments = [...config.environments.values()].map(({ id, quorum, quorumUnmeasured }) => {
    const identities = targets.filter(({ environment }) => environment === id).map((one) => [one.id, one.identity]);
    return [id, { quorum, quorumUnmeasured, identities: Object.fromEntries(identities) }] as const;
  });
  return {
    countersign: 'trust/v1',
    log: verifierKey,
    people: Object.fromEntries(people),
    environments: Object.fromEntries(environments),
    witnesses: {
      keys: (config.witnesses?.known ?? []).map(({ key }) => key),
      quorum: config.witnesses?.quorum ?? 0,
      unwitnessed: 0,
    },
  };
}
