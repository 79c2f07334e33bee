import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import type { Logger } from 'pino';
import { initAnalyser } from '../analysis/parse.ts';
import { type MountedChannel, startHttp } from '../channels/http/server.ts';
import { createMcpEndpoint } from '../channels/mcp/endpoint.ts';
import { listenPgwire } from '../channels/pgwire/listener.ts';
import { createWireSessions } from '../channels/pgwire/serve-connection.ts';
import { backedUp } from '../config/backup.ts';
import { instantOf } from '../domain/ids.ts';
import { DEFAULT_MAX_SESSIONS } from '../domain/target.ts';
import { createWorkloads } from '../identity/workloads.ts';
import { backupFigures } from '../ledger/backup-figures.ts';
import { lastRedTeamRun } from '../ledger/red-team-runs.ts';
import type { Metrics } from '../observing/metrics.ts';
import type { Tracing } from '../observing/open-tracing.ts';
import { createGateway } from '../pipeline/create-gateway.ts';
import { decisionsByAgent, decisionsByPerson } from '../pipeline/decisions.ts';
import { expirePlans } from '../pipeline/expire-plans.ts';
import { expireUndo } from '../pipeline/expire-undo.ts';
import { createSessionDesk } from '../pipeline/open-session.ts';
import { createLedgerTail } from '../pipeline/oversight/ledger-tail.ts';
import { createOversight } from '../pipeline/oversight/oversight.ts';
import { createReadLog } from '../pipeline/read-log.ts';
import { createProfileRetirement } from '../pipeline/retire-profiles.ts';
import { targetNamed } from '../pipeline/target-named.ts';
import { incidents } from '../store/incidents.ts';
import { openIntents } from '../store/intents.ts';
import { liveNodes } from '../store/nodes.ts';
import { countMessages } from '../store/outbox.ts';
import { countPlans, waitingSince } from '../store/plans.ts';
import { openTasks, taskById } from '../store/tasks.ts';
import { askWitnesses } from './ask-witnesses.ts';
import type { OwnCommand } from './begin-command.ts';
import { createConsoleParts } from './console-parts.ts';
import { followBreakers } from './follow-breakers.ts';
import { type Notifier, startNotifier } from './notifier.ts';
import type { Countersign } from './open-countersign.ts';
import { createReadiness } from './readiness.ts';
import { createReload } from './reload.ts';
import { repeat } from './repeat.ts';
import { scheduleBackups } from './schedule-backups.ts';
import { scheduleDrift } from './schedule-drift.ts';
import { createSlackCallbacks } from './slack.ts';
import { watchFiles } from './watch-files.ts';
import type { Workers } from './workers.ts';

/** A gateway that serves. */
export interface Running {
  /** `host:port` */
  readonly pg: string;
  readonly http: string;
  readonly mcp: string;
  /** Loads configuration and policies anew, as a change of the files does by itself. */
  reload(): Promise<void>;
  /** Lets what runs end, up to a grace; then everything is closed. */
  close(): Promise<void>;
}

export interface ServeOptions {
  readonly metrics: Metrics;
  readonly tracing: Tracing | undefined;
  /** How it begins commands beside itself. */
  readonly own: OwnCommand;
  /** Set when several processes take PostgreSQL clients on one port. */
  readonly share?: {
    /** Which of them this is: the first (0) speaks HTTP and MCP too. */
    readonly issuer: number;
    /** The port, where the first has chosen it already. */
    readonly port?: number;
    /** Begins or joins the others, once this one listens. */
    readonly join: (port: number, onCancel: (processId: number, secret: Buffer) => void) => Workers;
  };
}

const MAX_CONNECTIONS = 2000;
/** A login is dropped once two looks have found nobody who needs it. */
const RETIRE_EVERY_MS = 5 * 60_000;
const EXPIRE_UNDO_EVERY_MS = 60 * 60_000;
const DROP_BRANCHES_EVERY_MS = 60_000;
const STARTUP_TIMEOUT_MS = 15_000;
const CLOSE_GRACE_MS = 5000;
/** How often unfinished work of gateways that died is looked for. */
const RECOVER_EVERY_MS = 1000;
const EXPIRE_EVERY_MS = 10_000;

/**
 * Opens the channels of a gateway. What another gateway left unfinished is found out first, as far as its targets can be
 * reached; until then it stays unfinished and is asked for again.
 *
 * @throws Error when an address can't be listened on.
 */
export async function serve(
  countersign: Countersign,
  version: string,
  log: Logger,
  { metrics, tracing, share, own }: ServeOptions,
): Promise<Running> {
  await initAnalyser();
  const { config, store, ledger, proof, halts, clock } = countersign;
  const now = () => clock.now();
  const readLog = createReadLog({
    ledger,
    clock,
    onFailure: (error) =>
      log.error({ err: error }, 'reads could not be brought into the ledger; they are kept and tried again'),
  });
  const sessions = createSessionDesk({
    target: countersign.target,
    store,
    proof,
    readLog,
    halts,
    over: countersign.over,
    declared: countersign.branches.declared,
    maxSessions: (id) => countersign.targets.get(id)?.target.maxSessions ?? DEFAULT_MAX_SESSIONS,
    applyPlan: countersign.applyPlan,
    status: (task) => gateway.status(task),
    observer: countersign.observer,
    now,
  });
  const readiness = createReadiness(countersign);
  const witnesses = share === undefined || share.issuer === 0 ? askWitnesses(countersign) : null;
  const consoleParts = createConsoleParts(countersign, { own, witnesses });
  metrics.watch({
    plans: () => countPlans(store),
    waitingSince: () => waitingSince(store),
    unreviewedIncidents: async () => (await incidents(store, { unreviewed: true })).length,
    gateways: async () => (await liveNodes(store, await store.nowMs())).filter((node) => node.pg !== '').length,
    halts: () => halts.active(),
    readsWaiting: () => readLog.waiting,
    reloadFailed: () => reload.status() !== null,
    messages: () => countMessages(store),
    decisions: (days) => decisionsByPerson(store, { sinceMs: now() - days * 86_400_000, nowMs: now() }),
    agentDecisions: () => decisionsByAgent(store, { sinceMs: now() - 86_400_000 }),
    redTeam: async () => {
      const runs = await Promise.all([...countersign.targets.keys()].map((id) => lastRedTeamRun(ledger, id)));
      return runs.filter((run) => run !== undefined);
    },
    backups: () => backupFigures(store, backedUp(countersign.config)),
    drifts: () => [...countersign.targets.keys()].flatMap((id) => countersign.drifts.known(id) ?? []),
    needs: readiness.needs,
    ledgerVerdict: () => consoleParts.verification().last?.verdict.verdict ?? null,
    ...(witnesses === null ? {} : { witnesses }),
    nowMs: now,
    onTrouble: (error) => log.warn({ err: error }, 'a figure could not be read'),
  });
  const reload = createReload(countersign, { endSessions: () => sessions.endOver() });
  const workloads = createWorkloads({ settings: () => countersign.config.workloads, now, log });
  const gateway = createGateway({
    store,
    tasks: countersign.tasks,
    halts,
    views: countersign.views,
    applyPlan: countersign.applyPlan,
    changes: countersign.changes,
    branches: countersign.branches,
    sessions,
    targets: () => countersign.targets,
    target: countersign.target,
    rules: countersign.rules,
    agentTokens: () => countersign.config.agentTokens,
    workload: (token) => workloads.agent(token),
    policyDigest: () => countersign.policies.digest,
    reload: () => reload.status(),
    now,
  });
  const oversight = createOversight({
    store,
    views: countersign.views,
    halts,
    breakers: countersign.breakers,
    drifts: countersign.drifts,
    branches: countersign.branches,
    changes: countersign.changes,
    applyPlan: countersign.applyPlan,
    gateway,
    rules: countersign.rules,
    targets: () => countersign.targets,
    actors: () => countersign.config.actors,
    roles: () => countersign.config.roles,
    onFailure: (error) =>
      log.warn({ err: error }, 'what is kept for the console beside the ledger could not be written'),
    now,
  });
  const tail = createLedgerTail({
    activity: oversight.activity,
    onFailure: (error) => log.warn({ err: error }, 'the console could not be told what is new in the ledger'),
  });
  let seenBranches = '';
  /** Once for each epoch: whoever looks at the files sees what comes later. */
  let followed = 0;
  const onChange = () => {
    tail.look();
    Promise.all([sessions.refresh(), followPolicies(), followBranches()]).catch((error: unknown) =>
      log.error({ err: error }, 'a change of the state could not be read'),
    );
  };
  store.onChange(onChange);

  /** The same for every gateway of this configuration, and known to nobody else. */
  const secretFor = (purpose: string): Buffer =>
    createHmac('sha256', readFileSync(config.ledgerKey)).update(purpose).digest();
  const wire = createWireSessions(async (user, database) => {
    const stored = await taskById(store, user);
    if (stored === undefined)
      return { refused: { refused: 'denied', message: 'The task is over.', hint: 'Open a new task.' } };
    const targets = [...countersign.targets.values()].map((known) => known.target);
    const target = targetNamed(database, stored.task, targets);
    return sessions.open({
      task: stored.task,
      target,
      channel: 'pgwire',
      onLost: (reason) => log.warn({ err: reason, task: user, target }, 'a connection to the target was lost'),
    });
  });
  let others: Workers | undefined;
  let notifier: Notifier | null = null;
  const slack = createSlackCallbacks(countersign, {
    http: () => config.reachedAt?.http ?? http?.url ?? '',
    decided: () => notifier?.look(),
  });
  const pg = await listenPgwire({
    ...config.listen.pg,
    ...(share?.port === undefined ? {} : { port: share.port }),
    ...(share === undefined
      ? {}
      : {
          shared: {
            issuer: share.issuer,
            cancel: (issuer, processId, secret) => others?.cancel({ issuer, processId, secret }),
          },
        }),
    ...(config.tls === null
      ? {}
      : {
          tls: {
            certificate: readFileSync(config.tls.certificate, 'utf8'),
            key: readFileSync(config.tls.key, 'utf8'),
            required: config.tls.required,
          },
        }),
    authenticate: (user) => gateway.scramVerifier(user),
    onSession: (connection) => wire.serve(connection),
    onCancel: (processId) => wire.cancel(processId),
    limits: { maxConnections: MAX_CONNECTIONS, startupTimeoutMs: STARTUP_TIMEOUT_MS },
    log,
    mockSecret: secretFor('unknown users'),
  });
  const isFirst = share === undefined || share.issuer === 0;
  const http = isFirst ? await startChannels() : undefined;
  others = share?.join(pg.address.port, pg.cancel);
  const addresses = { pg: `${pg.address.host}:${pg.address.port}`, http: http?.url ?? '' };
  // Commands go to the first.
  await countersign.announce(isFirst ? (config.reachedAt ?? addresses) : { pg: '', http: '' });
  notifier = http === undefined ? null : startNotifier(countersign, config.reachedAt?.http ?? http.url);
  const expiring = repeat({
    everyMs: EXPIRE_EVERY_MS,
    run: () => expirePlans({ store, proof, nowMs: now }),
    onError: (error) => log.error({ err: error }, 'plans that are over could not be written down as such'),
  });
  const recovering = repeat({
    everyMs: RECOVER_EVERY_MS,
    run: recover,
    onError: (error) => log.error({ err: error }, 'unfinished work could not be looked for'),
  });
  const retire = createProfileRetirement({
    async targets() {
      const opened = await Promise.all([...countersign.config.targets.keys()].map((id) => countersign.target(id)));
      return opened.filter((target) => 'engine' in target);
    },
    openTasks: () => openTasks(store, instantOf(now())),
    onRetired: (target, logins) => log.info({ target, logins }, 'logins that no task needs any more were dropped'),
  });
  const retiring = repeat({
    everyMs: RETIRE_EVERY_MS,
    run: retire,
    onError: (error) => log.warn({ err: error }, 'logins that no task needs could not be looked for'),
  });
  const lettingGo = repeat({
    everyMs: EXPIRE_UNDO_EVERY_MS,
    run: () =>
      expireUndo({ proof, openIntents: () => openIntents(store), targets: () => countersign.keepingTargets() }),
    onError: (error) => log.warn({ err: error }, 'what is kept for undo could not be looked through'),
  });
  const droppingBranches = !isFirst
    ? undefined
    : repeat({
        everyMs: DROP_BRANCHES_EVERY_MS,
        async run() {
          const gone = await countersign.branches.dropOver();
          if (gone.length > 0) log.info({ branches: gone }, 'branches that are over were dropped');
        },
        onError: (error) => log.warn({ err: error }, 'branches that are over could not be looked for'),
      });
  const schedule = isFirst ? scheduleBackups(countersign, own) : undefined;
  const stopping = isFirst ? followBreakers(countersign) : undefined;
  const drifting = isFirst ? scheduleDrift(countersign) : undefined;
  const warm = warmUp();
  await recovering.now();
  const watching = watchFiles({
    watched: () => ({ files: countersign.config.files, directory: countersign.config.policies }),
    onChange: (lieStill) => reload.now(lieStill),
    onError: (error) => log.error({ err: error }, 'the configuration could not be watched'),
  });

  return {
    ...addresses,
    mcp: http === undefined ? '' : `${http.url}/mcp`,
    async reload() {
      await reload.now();
    },
    async close() {
      readiness.drain();
      await Promise.all([
        watching.close(),
        schedule?.close(),
        drifting?.close(),
        stopping?.close(),
        consoleParts.close(),
      ]);
      // Whoever asks meanwhile is told that it ends.
      await Promise.all([
        others?.close(),
        pg.close(CLOSE_GRACE_MS),
        recovering.close(),
        expiring.close(),
        retiring.close(),
        lettingGo.close(),
        droppingBranches?.close(),
      ]);
      await http?.close(CLOSE_GRACE_MS);
      await slack.close();
      await notifier?.close();
      await tail.close();
      await oversight.close();
      await sessions.closeAll();
      await warm;
      await readLog.close();
      await witnesses?.close();
      await countersign.close();
    },
  };

  function startChannels() {
    return startHttp({
      ...config.listen.http,
      ...(config.reachedAt === null
        ? {}
        : { hostnames: [new URL(config.reachedAt.http).hostname], publicUrl: config.reachedAt.http }),
      gateway,
      proxies: config.proxies,
      identity: countersign.identity,
      resource() {
        const [first, ...others] = countersign.config.workloads.issuers;
        if (first === undefined) return undefined;
        return { resource: first.audience, issuers: [first, ...others].map(({ issuer }) => issuer) };
      },
      console: { oversight, ...consoleParts, tail },
      receiveApproval: countersign.receiveVerdict,
      receiveCallback: slack.receive,
      mcp: inTheirTrace(createMcpEndpoint({ gateway, version, log, cursorKey: secretFor('cursors') }), tracing),
      ...(tracing === undefined ? {} : { within: tracing.within }),
      needs: readiness.needs,
      metrics: {
        contentType: metrics.contentType,
        text: async () => metrics.text(await others?.figures()),
        token: () => countersign.config.metricsToken?.reveal() ?? null,
      },
      version,
      log,
    });
  }

  /** Who is connected to one that somebody has dropped is told so. */
  async function followBranches(): Promise<void> {
    await countersign.branches.refresh();
    const there = countersign.branches
      .list()
      .map(({ id }) => id)
      .join();
    if (there === seenBranches) return;
    seenBranches = there;
    await sessions.endOver();
    await countersign.closeGoneTargets();
  }

  async function followPolicies(): Promise<void> {
    const behind = await countersign.agreement.check();
    if (behind === undefined || behind.epoch === followed) return;
    followed = behind.epoch;
    await reload.follow(behind.digest);
  }

  /** Targets are opened ahead of the first statement; one that can't be is tried again when it is asked for. */
  async function warmUp(): Promise<void> {
    for (const id of countersign.config.targets.keys()) {
      const opened = await countersign.target(id);
      if ('refused' in opened) log.error({ target: id, why: opened.message }, 'a target can’t be reached');
    }
  }

  async function recover(): Promise<void> {
    const found = await countersign.recover();
    for (const { subject, outcome } of found) {
      if (outcome !== 'still unknown') log.warn({ subject, outcome }, 'the end of unfinished work was found out');
    }
  }
}

/** A tool call names its trace in its own message, and not only in the request that brings it. */
function inTheirTrace(channel: MountedChannel, tracing: Tracing | undefined): MountedChannel {
  if (tracing === undefined) return channel;
  return {
    handle: (request, response, token, body) =>
      tracing.within({ headers: request.headers, body }, () => channel.handle(request, response, token, body)),
    close: () => channel.close(),
  };
}
