import type { Config } from '../config/load.ts';
import { PolicyError, type PolicySet, parsePolicies } from '../policy/policy-set.ts';
import { readPolicies } from '../policy/read-policies.ts';

/** What governs: the configuration and the policies, checked as one. */
export interface Governance {
  readonly config: Config;
  readonly policies: PolicySet;
}

/** @throws PolicyError also where the configuration says what no policy heeds. */
export async function withPolicies(config: Config): Promise<Governance> {
  const policies = parsePolicies(await readPolicies(config.policies));
  const unheeded = [
    ...[...config.environments.values()].flatMap(({ id, windows }) =>
      windows.length > 0 && !policies.heeds.has('inWindow') ? [unheededBy(`windows of ${id}`, 'inWindow')] : [],
    ),
    ...(config.freezes.length > 0 && !policies.heeds.has('frozen') ? [unheededBy('freezes', 'frozen')] : []),
  ];
  if (unheeded.length > 0) throw new PolicyError(unheeded.map((message) => ({ file: config.policies, message })));
  return { config, policies };
}

/** Policies are copied once and then belong to whom they govern: newer ones must be taken over by hand. */
function unheededBy(what: string, attribute: string): string {
  return `the configuration has ${what}, but no policy looks at context.${attribute}; take over 5-times.cedar from Countersign's own policies`;
}
