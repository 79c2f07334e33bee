import type { Config } from '../config/load.ts';
import { type BreakGlass, createBreakGlass } from '../pipeline/break-glass.ts';
import { createIncidents, type Incidents } from '../pipeline/incidents.ts';
import { noticesOf } from '../pipeline/notices.ts';
import { liveNodes } from '../store/nodes.ts';
import { getPlan } from '../store/plans.ts';
import { outboxOf, receiversOf } from './notifier.ts';
import type { Countersign } from './open-countersign.ts';

/** Broken glass of an installation, with those who are told of it. */
export async function glassOf(countersign: Countersign): Promise<
  BreakGlass & {
    readonly incidents: Incidents;
    /** Sends what waits, where no gateway is there to do it. */
    deliver(): Promise<void>;
  }
> {
  const { store, ledger, proof, clock, halts, rules, config } = countersign;
  const now = () => clock.now();
  const gateways = (await liveNodes(store, await store.nowMs())).filter(({ http }) => http !== '');
  const { http } = config.reachedAt ?? gateways[0] ?? { http: httpOf(config) };
  const outbox = outboxOf(countersign, http);
  const glass = createBreakGlass({
    store,
    proof,
    rules,
    now,
    delegations: countersign.delegations,
    approvalAgents: countersign.approvalAgents,
    stopped: ({ plan }) => halts.covering({ agent: plan.actor, task: plan.task, target: plan.target }),
    follow: () => outbox.follow(),
    async receivers(entry) {
      const notices = await noticesOf(entry, 0, {
        plan: (id) => getPlan(store, id),
        url: () => '',
        owner: (target) => [...config.targets.values()].find((each) => each.target.id === target)?.target.owner,
      });
      const wanted = receiversOf(config, countersign.people).filter((each) => notices.some((one) => each.wants(one)));
      return wanted.map(({ name }) => name);
    },
  });
  return {
    ...glass,
    incidents: createIncidents({ store, ledger, proof, rules, now }),
    async deliver() {
      if (gateways.length === 0) await outbox.deliver();
    },
  };
}

/** Where people will reach the console once a gateway is there. */
function httpOf({ listen: { http } }: Config): string {
  return `http://${http.host}:${http.port}`;
}
