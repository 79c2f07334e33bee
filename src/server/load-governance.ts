import { type Config, loadConfig } from '../config/load.ts';
import { PolicyError, type PolicySet, parsePolicies } from '../policy/policy-set.ts';
import { readPolicies, SHIPPED_POLICIES } from '../policy/read-policies.ts';

/** What governs: the configuration and the policies, checked as one. */
export interface Governance {
  readonly config: Config;
  readonly policies: PolicySet;
}

/** @throws ConfigError or PolicyError with all that is wrong. */
export async function loadGovernance(file: string): Promise<Governance> {
  return withPolicies(await loadConfig(file));
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

/** With policies that are wrong, one that forbids everything: for what decides on nothing. */
export async function withPoliciesOrNone(config: Config): Promise<Governance> {
  try {
    return await withPolicies(config);
  } catch {
    // What is wrong with them is told by every command that needs them.
    const { schema } = await readPolicies(SHIPPED_POLICIES);
    const files = [{ name: '(none)', text: FORBID_ALL }];
    return { config, policies: parsePolicies({ schema, files }) };
  }
}

const FORBID_ALL = '@id("policies-are-wrong") @reason("The policies are wrong") forbid (principal, action, resource);';

/** Policies are copied once and then belong to whom they govern: newer ones must be taken over by hand. */
function unheededBy(what: string, attribute: string): string {
  return `the configuration has ${what}, but no policy looks at context.${attribute}; take over 5-times.cedar from Countersign's own policies`;
}
