import { type ActorId, asId } from '../domain/ids.ts';
import type { Report } from './people.ts';
import type { ConfigDocument } from './schema.ts';

/** Agents whose platform names them in tokens, by issuer and subject with a space between, and who issues these. */
export interface ConfiguredWorkloads {
  readonly issuers: readonly { readonly issuer: string; readonly jwks: string; readonly audience: string }[];
  readonly agents: ReadonlyMap<string, ActorId>;
}

export function workloadsOf(value: ConfigDocument): ConfiguredWorkloads {
  const own = value.listen.public?.http.replace(/\/+$/, '');
  return {
    issuers: value.identity.issuers.map(({ issuer, jwks, audience }) => ({
      issuer,
      jwks,
      audience: audience ?? `${own}/mcp`,
    })),
    agents: new Map(
      Object.entries(value.actors.agents).flatMap(([id, { workload }]) =>
        workload === undefined ? [] : [[`${workload.issuer} ${workload.subject}`, asId<ActorId>(id)] as const],
      ),
    ),
  };
}

/** One subject is one agent, of an issuer that is known, and tokens are made for this gateway alone. */
export function checkWorkloads(value: ConfigDocument, report: Report): void {
  const issuers = new Set<string>();
  for (const [index, { issuer, audience }] of value.identity.issuers.entries()) {
    if (issuers.has(issuer)) report(['identity', 'issuers', index, 'issuer'], 'this issuer stands here twice');
    if (audience === undefined && value.listen.public === undefined)
      report(
        ['identity', 'issuers', index],
        'without listen.public it needs an audience: what tokens must be made for',
      );
    issuers.add(issuer);
  }
  const subjects = new Map<string, string>();
  for (const [id, { workload }] of Object.entries(value.actors.agents)) {
    if (workload === undefined) continue;
    const subject = `${workload.issuer} ${workload.subject}`;
    const other = subjects.get(subject);
    if (!issuers.has(workload.issuer))
      report(['actors', 'agents', id, 'workload', 'issuer'], 'there is no such issuer under identity.issuers');
    if (other !== undefined) report(['actors', 'agents', id, 'workload'], `this is ${other}`);
    subjects.set(subject, id);
  }
  for (const [id, { workload }] of Object.entries(value.actors.services)) {
    if (workload !== undefined)
      report(['actors', 'services', id, 'workload'], 'only agents come with tokens of a platform');
  }
}
