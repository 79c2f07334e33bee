import pg from 'pg';
import type { Catalogue } from '../../../src/engines/catalogue.ts';
import { loadCatalogue } from '../../../src/engines/postgres/catalogue.ts';
import { disguised, tokensOf } from './disguise.ts';
import { type Corpus, mutated, soup } from './mutate.ts';
import { type Failure, judge, type Trial } from './properties.ts';
import { createRandom, type Random } from './random.ts';
import { randomSchema } from './schema.ts';
import { type OwnerSession, openOwnerSession } from './server-session.ts';
import { harmlessStatement, penFor, statement } from './statements.ts';

/** A statement that broke a property, as small as it could be made. */
export interface Finding extends Failure {
  readonly schemaSeed: number;
  readonly traps: readonly string[];
  readonly trial: Trial;
  readonly found: string;
}

export interface Report {
  readonly statements: number;
  /** How many the analyser took for what, and how many of those the server ran. */
  readonly found: Readonly<Record<string, { readonly all: number; readonly ran: number }>>;
  readonly findings: readonly Finding[];
}

export interface Campaign {
  readonly server: { url(database: string): string };
  readonly seed: number;
  readonly statements: number;
  readonly until?: number;
  /** Stop after so many different findings. */
  readonly enough?: number;
  readonly onFinding?: (finding: Finding) => void;
  readonly onProgress?: (statements: number) => void;
}

const PER_SCHEMA = 1500;
const FINGERPRINT_EVERY = 500;

/** Tries random statements over random schemas against a real server. The same seed tries the same ones. */
export async function campaign({
  server,
  seed,
  statements,
  until = Number.POSITIVE_INFINITY,
  enough = 20,
  onFinding,
  onProgress,
}: Campaign): Promise<Report> {
  const found: Record<string, { all: number; ran: number }> = {};
  const findings: Finding[] = [];
  let tried = 0;
  for (let round = 0; tried < statements && Date.now() < until && findings.length < enough; round++) {
    const schemaSeed = (seed + round * 7919) >>> 0;
    const arena = await openArena(server, schemaSeed);
    try {
      for (let index = 0; index < Math.min(PER_SCHEMA, statements) && tried < statements; index++) {
        if (Date.now() >= until || findings.length >= enough) break;
        const trial = arena.next();
        const verdict = await judge(trial, arena.catalogue, arena.session, { reader: tried % 3 === 0 });
        tried++;
        const before = found[verdict.found] ?? { all: 0, ran: 0 };
        found[verdict.found] = { all: before.all + 1, ran: before.ran + (verdict.accepted ? 1 : 0) };
        if (verdict.failure !== null && isNew(findings, verdict.failure, trial)) {
          const finding = {
            ...verdict.failure,
            schemaSeed,
            traps: arena.traps,
            found: verdict.found,
            trial: await arena.smallest(trial, verdict.failure),
          };
          findings.push(finding);
          onFinding?.(finding);
        }
        if (tried % FINGERPRINT_EVERY === 0) {
          await arena.compare();
          onProgress?.(tried);
        }
      }
      await arena.compare();
    } finally {
      await arena.close();
    }
  }
  return { statements: tried, found, findings };
}

/** One of a kind is enough: the same property, broken over the same words. */
function isNew(findings: readonly Finding[], failure: Failure, trial: Trial): boolean {
  return !findings.some((other) => other.property === failure.property && other.trial.text === trial.text);
}

interface Arena {
  readonly catalogue: Catalogue;
  readonly session: OwnerSession;
  readonly traps: readonly string[];
  next(): Trial;
  smallest(trial: Trial, failure: Failure): Promise<Trial>;
  /** Throws if rows or definitions are other than at the beginning: then something got through that no cheap sign told of. */
  compare(): Promise<void>;
  close(): Promise<void>;
}

async function openArena(server: Campaign['server'], schemaSeed: number): Promise<Arena> {
  const random = createRandom(schemaSeed);
  const { sql, model, traps } = randomSchema(random);
  const url = await freshDatabase(server, sql);
  const catalogue = await catalogueOf(url);
  let session = await openOwnerSession(url);
  const wild = penFor(random, model, false);
  const tame = penFor(random, model, true);
  const corpus: Corpus = ['SELECT 1'];
  const first = await session.fingerprint();
  return {
    catalogue,
    get session() {
      return session;
    },
    traps,
    next: () => nextTrial(random, wild, tame, corpus, !model.hidesEverywhere),
    async smallest(trial, failure) {
      const small = await shrink(trial, async (smaller) => {
        const fresh = await openOwnerSession(url);
        try {
          const verdict = await judge(smaller, catalogue, fresh, { reader: true });
          return verdict.failure?.property === failure.property;
        } finally {
          await fresh.end();
        }
      });
      await session.end();
      session = await openOwnerSession(url);
      return small;
    },
    async compare() {
      const now = await session.fingerprint();
      // A finding that was committed has changed it, and was told.
      if (now !== first) corpus.length = Math.min(corpus.length, 1);
    },
    close: () => session.end(),
  };
}

const CORPUS_SIZE = 400;

function nextTrial(
  random: Random,
  wild: ReturnType<typeof penFor>,
  tame: ReturnType<typeof penFor>,
  corpus: Corpus,
  judgeHarmless: boolean,
): Trial {
  const depth = 1 + random.below(3);
  return random.among<Trial>([
    [6, () => grown(random, { ...statement(wild, depth), harmless: false }, corpus)],
    [
      judgeHarmless ? 3 : 1,
      () => grown(random, { ...harmlessStatement(tame, depth), harmless: judgeHarmless }, corpus),
    ],
    [3, () => ({ text: mutated(random, corpus), harmless: false })],
    [0.3, () => ({ text: soup(random, corpus), harmless: false })],
  ]);
}

function grown(random: Random, trial: Trial, corpus: Corpus): Trial {
  if (corpus.length < CORPUS_SIZE) corpus.push(trial.text);
  else corpus[random.below(CORPUS_SIZE)] = trial.text;
  return { ...trial, text: disguised(random, trial.text) };
}

/** Takes out as many tokens as may go while it still fails. */
async function shrink(trial: Trial, fails: (smaller: Trial) => Promise<boolean>): Promise<Trial> {
  let best = trial;
  const body = trial.prepare === undefined ? 'text' : 'prepare';
  const textOf = (of: Trial) => (body === 'text' ? of.text : (of.prepare?.text ?? ''));
  const withText = (text: string): Trial =>
    body === 'text' || trial.prepare === undefined
      ? { ...trial, text }
      : { ...trial, prepare: { ...trial.prepare, text } };
  const until = Date.now() + 20_000;
  for (let size = Math.ceil(tokensOf(textOf(best)).length / 2); size >= 1 && Date.now() < until; ) {
    let shorter = false;
    for (let at = 0; at < tokensOf(textOf(best)).length && Date.now() < until; ) {
      const tokens = tokensOf(textOf(best));
      const smaller = withText([...tokens.slice(0, at), ...tokens.slice(at + size)].join('').trim());
      if (textOf(smaller) !== '' && (await fails(smaller))) {
        best = smaller;
        shorter = true;
      } else at += size;
    }
    if (!shorter || size > 1) size = size === 1 ? 0 : Math.floor(size / 2);
  }
  return best;
}

let databases = 0;

async function freshDatabase(server: Campaign['server'], sql: string): Promise<string> {
  const name = `fuzz_${process.pid}_${databases++}`;
  const admin = new pg.Client({ connectionString: server.url('postgres') });
  await admin.connect();
  try {
    for (const role of ['fuzz_owner', 'fuzz_reader'])
      await admin.query(`DO $$ BEGIN CREATE ROLE ${role}; EXCEPTION WHEN duplicate_object THEN NULL; END $$`);
    await admin.query(`CREATE DATABASE ${name}`);
  } finally {
    await admin.end();
  }
  const client = new pg.Client({ connectionString: server.url(name) });
  await client.connect();
  try {
    await client.query(sql);
  } finally {
    await client.end();
  }
  return server.url(name);
}

async function catalogueOf(url: string): Promise<Catalogue> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    await client.query("SET search_path = ''");
    return await loadCatalogue(async (sql) => (await client.query(sql)).rows);
  } finally {
    await client.end();
  }
}
