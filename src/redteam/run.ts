import { randomBytes } from 'node:crypto';
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { initAnalyser } from '../analysis/parse.ts';
import type { Config } from '../config/load.ts';
import { CHANNELS, type Channel } from '../config/scenario-schema.ts';
import type { Role } from '../domain/actor.ts';
import type { ServerBinaries } from '../engines/postgres/server-binaries.ts';
import { openBareLane } from './bare-lane.ts';
import { LEFT_OUT } from './fingerprint.ts';
import { openGatewayLane, type TaskDesk } from './gateway-lane.ts';
import type { Lane } from './lane.ts';
import { type Master, makeMaster } from './master.ts';
import type { Attempt, Scenario } from './scenario.ts';
import type { AttackResult, BenignResult, Outcome, Report } from './score.ts';
import { type Trial, type Watcher, watch } from './trial.ts';

export interface RunRequest {
  readonly config: Config;
  readonly target: string;
  readonly database: string;
  readonly agent: string;
  readonly role: Role;
  readonly schema: string;
  /** What is tested, in words: whose configuration. */
  readonly setUp: string;
  readonly scenarios: readonly Scenario[];
  readonly binaries: ServerBinaries;
  readonly openDesk: (configFile: string) => Promise<TaskDesk>;
  readonly tell: (line: string) => void;
  readonly signal: AbortSignal;
}

/**
 * Tries every attack on a copy of the bare database and, through each channel, on copies with a gateway before them;
 * then the harmless work. The target itself is never connected to. Everything that was made is removed.
 */
export async function runRedTeam(request: RunRequest): Promise<Report> {
  await initAnalyser();
  const startedMs = performance.now();
  const startedAt = new Date().toISOString();
  const directory = mkdtempSync(join(tmpdir(), 'countersign-redteam-'));
  // The servers may run as another user, who must get through to their data; what is secret is in directories of its own.
  chmodSync(directory, 0o711);
  const lanes: Lane[] = [];
  try {
    request.tell('making the copy: schema, made-up rows, what the scenarios set up');
    const writes = request.role.write.length > 0;
    const scenarios = request.scenarios.filter(({ actor }) => writes || actor === 'reader');
    const master = await makeMaster({
      ...request,
      directory,
      scenarios,
      canary: `canary-${randomBytes(12).toString('hex')}`,
    });
    const facts = { ...request, directory };
    const opened = await Promise.allSettled([
      openBareLane(master, facts),
      ...CHANNELS.map((channel) => openGatewayLane(master, channel, facts)),
    ]);
    for (const lane of opened) if (lane.status === 'fulfilled') lanes.push(lane.value);
    for (const lane of opened) if (lane.status === 'rejected') throw lane.reason;
    // Where one ends early all do, and each comes to its end before anything is closed under it.
    const failed = new AbortController();
    const together = { ...request, signal: AbortSignal.any([request.signal, failed.signal]) };
    const ended = await Promise.allSettled(
      lanes.map((lane) =>
        along(lane, master, scenarios, together).catch((error: unknown) => {
          failed.abort(error);
          throw error;
        }),
      ),
    );
    for (const lane of ended) if (lane.status === 'rejected') throw lane.reason;
    const tried = ended.flatMap((lane) => (lane.status === 'fulfilled' ? [lane.value] : []));
    return {
      ...assembled(scenarios, tried, master),
      leftOut: [
        ...request.scenarios
          .filter((scenario) => !scenarios.includes(scenario))
          .map(({ id }) => ({ id, why: `the role ${request.role.id} writes nothing` })),
        ...tried
          .flatMap(({ notSetUp }) => [...notSetUp])
          .filter(([id], at, all) => all.findIndex(([other]) => other === id) === at)
          .map(([id, why]) => ({ id, why })),
      ],
      target: request.target,
      agent: request.agent,
      setUp: request.setUp,
      startedAt,
      seconds: Math.round((performance.now() - startedMs) / 100) / 10,
      server: `PostgreSQL ${master.major}`,
      tables: Object.fromEntries(master.filled.tables),
      empty: master.filled.empty,
      losses: master.losses,
      standsFor: master.surroundings.told,
      notCompared: [...LEFT_OUT],
    };
  } finally {
    await Promise.all(lanes.map((lane) => lane.close()));
    rmSync(directory, { recursive: true, force: true });
  }
}

interface Tried {
  readonly lane: Lane['name'];
  readonly attacks: ReadonlyMap<string, Outcome>;
  /** Errors of harmless work; empty where it worked. */
  readonly benign: ReadonlyMap<string, string>;
  readonly notSetUp: ReadonlyMap<string, string>;
}

/** Everything on one lane, one after the other: first what can stand side by side, then what runs apart. */
async function along(lane: Lane, master: Master, scenarios: readonly Scenario[], request: RunRequest): Promise<Tried> {
  const attacks = new Map<string, Outcome>();
  const benign = new Map<string, string>();
  const notSetUp = new Map(master.notSetUp);
  const watcher = await watch(lane, master.surroundings);
  const progress = createProgress(lane.name, scenarios, request.tell);
  try {
    for (const apart of [false, true]) {
      const turn = scenarios.filter((scenario) => scenario.apart === apart);
      if (turn.length === 0) continue;
      if (apart) {
        for (const [id, why] of await lane.setUpApart(turn)) notSetUp.set(id, why);
        await watcher.rebase();
      }
      const ready = turn.filter(({ id }) => !notSetUp.has(id));
      for (const scenario of ready) {
        for (const attempt of scenario.attacks) {
          request.signal.throwIfAborted();
          const outcome = await attack(lane, watcher, scenario, attempt);
          if (outcome !== undefined) attacks.set(attempt.id, outcome);
          progress();
        }
      }
      for (const scenario of ready) {
        for (const attempt of scenario.benign) {
          request.signal.throwIfAborted();
          const refused = await harmless(lane, watcher, scenario, attempt);
          if (refused !== undefined) benign.set(attempt.id, refused);
          progress();
        }
      }
    }
  } finally {
    await watcher.close();
  }
  return { lane: lane.name, attacks, benign, notSetUp };
}

async function attack(
  lane: Lane,
  watcher: Watcher,
  scenario: Scenario,
  attempt: Attempt,
): Promise<Outcome | undefined> {
  if (lane.name !== 'bare') {
    if (!attempt.channels.includes(lane.name)) return undefined;
    return outcomeOf(await watcher.try(scenario, attempt, lane.name));
  }
  // It counts as effective when it is by either way of the protocol that a client without a gateway has.
  const [first, ...others] = bareChannels(attempt);
  let trial = await watcher.try(scenario, attempt, first ?? 'simple');
  for (const channel of others) {
    if (trial.harmed) break;
    trial = await watcher.try(scenario, attempt, channel);
  }
  return outcomeOf(trial);
}

async function harmless(
  lane: Lane,
  watcher: Watcher,
  scenario: Scenario,
  attempt: Attempt,
): Promise<string | undefined> {
  if (lane.name !== 'bare' && !attempt.channels.includes(lane.name)) return undefined;
  const channel = lane.name === 'bare' ? (bareChannels(attempt)[0] ?? 'simple') : lane.name;
  const { errors, said } = await watcher.work(scenario, attempt, channel);
  return errors.length === 0 ? '' : `${errors.join(', ')}: ${said}`;
}

function bareChannels({ channels, acts, values, statements }: Attempt): readonly ('simple' | 'extended')[] {
  if (acts !== null || values !== null) return ['extended'];
  const wire = channels.filter((channel): channel is 'simple' | 'extended' => channel !== 'mcp');
  return wire.length > 0 ? wire : statements.length > 0 ? ['simple'] : [];
}

function outcomeOf({ harmed, found, gaps, reply, milliseconds }: Trial): Outcome {
  return { harmed, found, errors: reply.errors, said: reply.said, gaps, milliseconds };
}

function assembled(
  scenarios: readonly Scenario[],
  tried: readonly Tried[],
  { notSetUp }: Master,
): { readonly attacks: readonly AttackResult[]; readonly benign: readonly BenignResult[] } {
  const bare = tried.find(({ lane }) => lane === 'bare');
  const channels = tried.filter(({ lane }) => lane !== 'bare') as readonly (Tried & { readonly lane: Channel })[];
  const ready = scenarios.filter(({ id }) => !notSetUp.has(id) && tried.every((lane) => !lane.notSetUp.has(id)));
  return {
    attacks: ready.flatMap((scenario) =>
      scenario.attacks.map(({ id, title }) => ({
        id,
        scenario: scenario.id,
        scenarioTitle: scenario.title,
        class: scenario.class,
        ...(scenario.incident === undefined ? {} : { incident: scenario.incident }),
        title,
        file: scenario.file,
        bare: bare?.attacks.get(id) ?? NOT_TRIED,
        bareStands: scenario.bareStands,
        channels: Object.fromEntries(
          channels.flatMap(({ lane, attacks }) => {
            const outcome = attacks.get(id);
            return outcome === undefined ? [] : [[lane, outcome]];
          }),
        ),
      })),
    ),
    benign: ready.flatMap((scenario) =>
      scenario.benign.map(({ id, title }) => ({
        id,
        scenario: scenario.id,
        class: scenario.class,
        title,
        file: scenario.file,
        bareRefused: bare?.benign.get(id) || null,
        refused: Object.fromEntries(
          channels.flatMap(({ lane, benign }) => {
            const said = benign.get(id);
            return said === undefined || said === '' ? [] : [[lane, said]];
          }),
        ),
      })),
    ),
  };
}

const NOT_TRIED: Outcome = { harmed: false, found: [], errors: [], said: 'not tried', gaps: false, milliseconds: 0 };
const TELL_EVERY_MS = 5000;

function createProgress(name: string, scenarios: readonly Scenario[], tell: (line: string) => void): () => void {
  const total = scenarios.reduce((sum, { attacks, benign }) => sum + attacks.length + benign.length, 0);
  let done = 0;
  let toldMs = performance.now();
  return () => {
    done++;
    if (done < total && performance.now() - toldMs < TELL_EVERY_MS) return;
    toldMs = performance.now();
    tell(`${name}: ${done} of ${total}`);
  };
}
