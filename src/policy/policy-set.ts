import {
  type Policy as CedarPolicy,
  type DetailedError,
  policySetTextToParts,
  policyToJson,
  preparsePolicySet,
  preparseSchema,
  validate,
} from '@cedar-policy/cedar-wasm/nodejs';
import { digestOf } from '../domain/digest.ts';
import type { Digest } from '../domain/ids.ts';
import type { PolicyFiles } from './read-policies.ts';

/** Parsed, checked policies, ready to be asked. */
export interface PolicySet {
  /** Under this name Cedar holds it. */
  readonly handle: string;
  /** Changes when one byte of a policy does. */
  readonly digest: Digest;
  readonly policies: ReadonlyMap<string, PolicyText>;
  /** What of the circumstances any of them looks at: `inWindow`, `frozen` … */
  readonly heeds: ReadonlySet<string>;
}

export interface PolicyText {
  readonly id: string;
  readonly file: string;
  readonly effect: 'permit' | 'forbid';
  /** Why, as one sentence without its full stop. */
  readonly reason: string;
  /** What would be allowed instead, where it says so. */
  readonly instead?: string;
}

/** What is wrong with the policies, by file. */
export class PolicyError extends Error {
  readonly problems: readonly { readonly file: string; readonly message: string }[];
  constructor(problems: readonly { readonly file: string; readonly message: string }[]) {
    super(problems.map(({ file, message }) => `${file}: ${message}`).join('\n'));
    this.name = 'PolicyError';
    this.problems = problems;
  }
}

/**
 * Parses the policies and checks them strictly by the schema.
 *
 * @throws PolicyError with everything that is wrong: a policy without an `@id`, one that names what doesn't exist …
 */
export function parsePolicies({ schema, files }: PolicyFiles): PolicySet {
  const problems: { file: string; message: string }[] = [];
  const policies = new Map<string, PolicyText>();
  const byId: Record<string, CedarPolicy> = {};
  const unchecked: Record<string, CedarPolicy> = {};
  const heeds = new Set<string>();
  for (const { name: file, text, shipped } of files) {
    const parts = policySetTextToParts(text);
    if (parts.type === 'failure') {
      problems.push(...parts.errors.map((error) => ({ file, message: sentence(error, text) })));
      continue;
    }
    if (parts.policy_templates.length > 0) problems.push({ file, message: 'templates are not supported' });
    for (const part of parts.policies) {
      const read = policyToJson(part);
      if (read.type === 'failure') {
        problems.push(...read.errors.map((error) => ({ file, message: sentence(error, part) })));
        continue;
      }
      const { annotations = {}, effect } = read.json;
      const { id, reason, instead } = annotations;
      if (!id || !reason) {
        problems.push({ file, message: `a policy has no ${id ? '@reason' : '@id'}: ${part.slice(0, 60)}…` });
        continue;
      }
      if (policies.has(id)) problems.push({ file, message: `there are two policies ${id}` });
      policies.set(id, { id, file, effect, reason, ...(instead ? { instead } : {}) });
      byId[id] = part;
      if (shipped !== true) unchecked[id] = part;
      for (const attribute of circumstancesIn(read.json)) heeds.add(attribute);
    }
  }
  if (problems.length === 0) problems.push(...validated(schema, unchecked, policies));
  if (problems.length > 0) throw new PolicyError(problems);
  const digest = digestOf({ schema, files: files.map(({ name, text }) => ({ name, text })) });
  let prepared = false;
  return {
    // What decides on nothing needs them only checked.
    get handle() {
      if (!prepared) prepare(digest, schema, byId);
      prepared = true;
      return digest;
    },
    digest,
    policies,
    heeds,
  };
}

function prepare(handle: Digest, schema: string, byId: Record<string, CedarPolicy>): void {
  const parsed = preparsePolicySet(handle, { staticPolicies: byId });
  const known = preparseSchema(SCHEMA_HANDLE, schema);
  if (parsed.type === 'failure' || known.type === 'failure') throw new Error('Cedar refused policies it had accepted');
}

export const SCHEMA_HANDLE = 'countersign';

/** The attributes of `context` that a parsed policy names, wherever in it. */
function circumstancesIn(policy: unknown): string[] {
  if (typeof policy !== 'object' || policy === null) return [];
  const inside = Object.values(policy).flatMap(circumstancesIn);
  if (!('left' in policy && 'attr' in policy)) return inside;
  const { left, attr } = policy;
  const ofContext = typeof left === 'object' && left !== null && 'Var' in left && left.Var === 'context';
  return ofContext && typeof attr === 'string' ? [attr, ...inside] : inside;
}

function validated(
  schema: string,
  byId: Record<string, CedarPolicy>,
  policies: ReadonlyMap<string, PolicyText>,
): { file: string; message: string }[] {
  if (Object.keys(byId).length === 0) return [];
  const answer = validate({
    schema,
    policies: { staticPolicies: byId },
    validationSettings: { mode: 'strict' },
  });
  if (answer.type === 'failure') return answer.errors.map((error) => ({ file: 'policies', message: error.message }));
  return answer.validationErrors.map(({ policyId, error }) => ({
    file: policies.get(policyId)?.file ?? 'policies',
    message: `${policyId}: ${error.message}`,
  }));
}

function sentence(error: DetailedError, text: string): string {
  const start = error.sourceLocations?.[0]?.start;
  const where =
    start === undefined ? '' : `line ${Buffer.from(text).subarray(0, start).toString().split('\n').length}: `;
  return `${where}${error.message}${error.help === null ? '' : ` (${error.help})`}`;
}
