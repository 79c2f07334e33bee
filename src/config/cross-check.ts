import { isBranchId } from '../domain/branch.ts';
import { checkApprovalAgents } from './approval-agents.ts';
import type { Problem, ProblemAt } from './parse-yaml.ts';
import { checkPeople, type Report } from './people.ts';
import type { ConfigDocument } from './schema.ts';
import { checkSlack } from './slack.ts';
import { checkWorkloads } from './workloads.ts';

/** What no single key can say: that names refer to something, and that environments are really separate (G9). */
export function crossCheck(value: ConfigDocument, problem: ProblemAt): Problem[] {
  const problems: Problem[] = [];
  const report = (path: readonly PropertyKey[], message: string) => problems.push(problem(path, message));
  const needPerson = (path: readonly PropertyKey[], id: string) => {
    if (!Object.hasOwn(value.actors.people, id)) report(path, `there is no person ${id} under actors.people`);
  };
  const needEnvironment = (path: readonly PropertyKey[], id: string) => {
    if (!Object.hasOwn(value.environments, id)) report(path, `there is no environment ${id}`);
  };
  for (const [id, { owner, quorum, quorumUnmeasured }] of Object.entries(value.environments)) {
    needPerson(['environments', id, 'owner'], owner);
    if (quorumUnmeasured !== undefined && quorumUnmeasured < (quorum ?? 1)) {
      report(['environments', id, 'quorumUnmeasured'], `what can't be measured needs at least the quorum of ${quorum}`);
    }
  }
  const seen = new Map<string, { id: string; environment: string }>();
  for (const [id, target] of Object.entries(value.targets)) {
    needPerson(['targets', id, 'owner'], target.owner);
    needEnvironment(['targets', id, 'environment'], target.environment);
    if (target.credentials.session.user === target.credentials.apply.user) {
      report(
        ['targets', id, 'credentials', 'apply', 'user'],
        'plans are applied under another login than sessions (G4)',
      );
    }
    checkBranches(id, target, value, report);
    const { host, port, database } = target.address;
    for (const key of [target.identity, `${host.toLowerCase().replace(/\.$/, '')}:${port}/${database}`]) {
      const other = seen.get(key);
      if (other !== undefined && other.environment !== target.environment) {
        report(['targets', id], `this is the same database as ${other.id}, which is in another environment`);
        break;
      }
      seen.set(key, { id, environment: target.environment });
    }
  }
  checkPeople(value, report, needEnvironment);
  checkSlack(value, report, needEnvironment);
  checkWorkloads(value, report);
  checkMachines(value, report, needPerson);
  checkApprovalAgents(value, report, { needPerson, needEnvironment });
  for (const [index, freeze] of value.freezes.entries()) {
    if (freeze.environment !== '*') needEnvironment(['freezes', index, 'environment'], freeze.environment);
    for (const [at, person] of freeze.override.entries()) needPerson(['freezes', index, 'override', at], person);
  }
  return problems;
}

/** What works in a branch asks nobody: it must not be where any target is. */
function checkBranches(
  id: string,
  { branches, credentials }: ConfigDocument['targets'][string],
  { targets }: ConfigDocument,
  report: Report,
): void {
  if (isBranchId(id)) report(['targets', id], 'names that begin with branch_ are those of branches');
  if (branches === undefined) return;
  if (credentials.backup === undefined)
    report(['targets', id, 'branches'], 'a branch is copied by the login of credentials.backup: name one');
  const at = ({ host, port }: { host: string; port: number }) => `${host.toLowerCase().replace(/\.$/, '')}:${port}`;
  for (const [other, { address }] of Object.entries(targets))
    if (at(address) === at(branches.address))
      report(
        ['targets', id, 'branches', 'address'],
        `the target ${other} is there: branches need a server of their own`,
      );
}

/** A name or a token that two actors have would make one of them speak as the other. */
function checkMachines(value: ConfigDocument, report: Report, needPerson: Report): void {
  const tokens = new Map<string, string>();
  for (const kind of ['agents', 'services'] as const) {
    for (const [id, { owner, role, tokenHash }] of Object.entries(value.actors[kind])) {
      needPerson(['actors', kind, id, 'owner'], owner);
      if (!Object.hasOwn(value.roles, role)) report(['actors', kind, id, 'role'], `there is no role ${role}`);
      if (Object.hasOwn(value.actors.people, id)) report(['actors', kind, id], 'a person has this name already');
      if (kind === 'services' && Object.hasOwn(value.actors.agents, id))
        report(['actors', kind, id], 'an agent has this name already');
      const other = tokenHash === undefined ? undefined : tokens.get(tokenHash);
      if (other !== undefined) report(['actors', kind, id, 'tokenHash'], `this is the token of ${other}`);
      if (tokenHash !== undefined) tokens.set(tokenHash, id);
    }
  }
}
