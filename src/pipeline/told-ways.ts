import type { ActorId, PlanId } from '../domain/ids.ts';
import { messagesAbout } from '../store/outbox.ts';
import type { Store } from '../store/store.ts';

/** By so many ways people must hear of it when somebody acts alone. */
export const WAYS_TOLD = 2;

/**
 * The ways that receivers are reached by and that don't fail together: all mail is one, and so are all webhooks of one
 * host. A mail to whoever acts tells nobody.
 *
 * @param receivers as the outbox calls them: `webhook:…`, `email:…`.
 */
export function waysOf(receivers: readonly string[], acting: ActorId): readonly string[] {
  return [...new Set(receivers.filter((name) => name !== `email:${acting}`).map(wayOf))];
}

function wayOf(receiver: string): string {
  const colon = receiver.indexOf(':');
  const [kind, where] = [receiver.slice(0, colon), receiver.slice(colon + 1)];
  return URL.canParse(where) ? `${kind} ${new URL(where).host}` : kind;
}

/** The ways by which an incident is told, as the outbox has taken its messages. */
export async function toldOf(
  store: Store,
  { plan, incident, person }: { readonly plan: PlanId; readonly incident: string; readonly person: ActorId },
): Promise<readonly string[]> {
  const messages = await messagesAbout(store, plan, 'glass.broken');
  const its = messages.filter(({ notice }) => notice.data['incident'] === incident);
  return waysOf(
    its.map(({ receiver }) => receiver),
    person,
  );
}
