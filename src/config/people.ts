import { PERSON_ROLES, type Person, type PersonRole } from '../domain/actor.ts';
import { type ActorId, asId } from '../domain/ids.ts';
import type { ConfigDocument } from './schema.ts';
import { type Secret, secretReference } from './secret.ts';

type PersonEntry = ConfigDocument['actors']['people'][string];

/** Whom people sign in with. */
export interface ConfiguredOidc {
  readonly issuer: string;
  readonly clientId: string;
  readonly clientSecret: Secret;
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  /** `null` asks for no groups. */
  readonly groups: ReadonlyMap<string, readonly PersonRole[]> | null;
}

/** A person as the configuration knows them. */
export function personOf(id: string, entry: PersonEntry): Person {
  return {
    kind: 'person',
    id: asId<ActorId>(id),
    name: entry.name,
    ...(entry.email === undefined ? {} : { email: entry.email }),
    ...(entry.subject === undefined ? {} : { subject: entry.subject }),
    ...(entry.slack === undefined ? {} : { slack: entry.slack }),
    publicKeys: entry.publicKeys.map((key) => Buffer.from(key.slice('ed25519:'.length), 'base64')),
    passkeys: [],
    approves: entry.approves,
    breaksGlass: entry.breaksGlass,
    requests: entry.requests,
    roles: personRoles(entry),
  };
}

/** `approves`, `mayHalt` and `breaksGlass` say three of the roles as well. */
function personRoles({ roles = ['requester'], approves, mayHalt, breaksGlass }: PersonEntry) {
  const meant: readonly (PersonRole | false)[] = [
    ...roles,
    approves.length > 0 && 'approver',
    mayHalt && 'operator',
    breaksGlass.length > 0 && 'responder',
  ];
  return PERSON_ROLES.filter((role) => meant.includes(role));
}

export function oidcOf({ identity: { oidc } }: ConfigDocument, directory: string): ConfiguredOidc | null {
  if (oidc === undefined) return null;
  const { clientSecret, groups, ...said } = oidc;
  return {
    ...said,
    clientSecret: secretReference(clientSecret, directory),
    groups: groups === undefined ? null : new Map(Object.entries(groups)),
  };
}

export type Report = (path: readonly PropertyKey[], message: string) => void;

/** Nobody may speak as somebody else, and no duty may be beside one that it must be apart from. */
export function checkPeople(value: ConfigDocument, report: Report, needEnvironment: Report): void {
  const keys = new Map<string, string>();
  for (const [id, person] of Object.entries(value.actors.people)) {
    for (const [index, key] of person.publicKeys.entries()) {
      const other = keys.get(key);
      if (other !== undefined && other !== id)
        report(['actors', 'people', id, 'publicKeys', index], `this is the key of ${other}`);
      keys.set(key, id);
    }
    if (personRoles(person).includes('auditor') && personRoles(person).length > 1)
      report(
        ['actors', 'people', id, 'roles'],
        'an auditor reads all and changes nothing: no other role, approves, mayHalt or breaksGlass beside it',
      );
    if (person.roles?.includes('responder') === true && person.breaksGlass.length === 0)
      report(['actors', 'people', id, 'breaksGlass'], 'a responder needs environments to break the glass in');
    if (personRoles(person).includes('administrator') && person.breaksGlass.length > 0)
      report(
        ['actors', 'people', id, 'breaksGlass'],
        'who configures decides nothing alone: an administrator can’t break the glass',
      );
    if (person.roles?.includes('approver') === true && person.approves.length === 0)
      report(['actors', 'people', id, 'approves'], 'an approver needs environments to approve in');
    for (const key of ['email', 'subject', 'slack'] as const) {
      const name = person[key] === undefined ? undefined : `${key} ${person[key].toLowerCase()}`;
      const other = name === undefined ? undefined : keys.get(name);
      if (other !== undefined)
        report(['actors', 'people', id, key], `this is ${other}'s: one would pass for the other`);
      if (name !== undefined) keys.set(name, id);
    }
    for (const key of ['approves', 'breaksGlass', 'requests'] as const) {
      for (const [index, environment] of person[key].entries()) {
        if (environment !== '*') needEnvironment(['actors', 'people', id, key, index], environment);
      }
    }
  }
}
