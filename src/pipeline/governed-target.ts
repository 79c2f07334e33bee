import assert from 'node:assert/strict';
import { affectedTables, baseObjects } from '../analysis/affected-objects.ts';
import { type Analyse, isOfOneSession } from '../analysis/analysis-cache.ts';
import { attributeEffects } from '../analysis/attribute-effects.ts';
import { rewritten } from '../analysis/masked-reads.ts';
import { createMaskedCatalogue } from '../analysis/masking.ts';
import { TASKS_FUNCTIONS } from '../analysis/told.ts';
import { createVouchedCatalogue, type VouchedFor } from '../analysis/vouched-catalogue.ts';
import type { Approved } from '../domain/approval.ts';
import type { DatabaseFailure } from '../domain/database-failure.ts';
import type { Decision } from '../domain/decision.ts';
import type { Analysis, Effect, PreparedText, Rewrite, TableEffect } from '../domain/effect.ts';
import type { Channel } from '../domain/intent.ts';
import type { Profile } from '../domain/profile.ts';
import { type Refusal, RefusalError } from '../domain/refusal.ts';
import { schemasOf } from '../domain/search-path.ts';
import type { Task } from '../domain/task.ts';
import type { Catalogue } from '../engines/catalogue.ts';
import type { ApplyRequest, MeasureBounds, TargetEngine } from '../engines/engine.ts';
import { type JudgeInputs, type Judgement, judge } from './judge.ts';
import { quarantineFor } from './quarantine-for.ts';
import type { TargetRules } from './target-rules.ts';
import { functionsWithin, profileOf } from './task-reach.ts';

/** One target with all that is needed to govern it: its engine, its catalogue, its rules. */
export interface GovernedTarget extends TargetRules {
  readonly engine: TargetEngine;
  readonly measureBounds: MeasureBounds;
  catalogue(): Catalogue;
  analyse(text: string, settings: readonly Setting[], prepared?: Prepared): Analysis | DatabaseFailure;
  /** What is to become of statements of one session. Remembers its judgements as long as what they rest on stands. */
  judging(task: Task, channel: Channel): (text: string, settings: readonly Setting[], prepared: Prepared) => Judgement;
  /** Says of counted tables how the statements reached them. */
  attribute(tables: readonly TableEffect[], effects: readonly Effect[]): TableEffect[];
  /** What the database itself is to let a task do: what it declares, turned into the relations that this matches today. */
  profile(task: Task): Profile;
  /** What the engine must know of an approved plan to apply it. */
  applyRequest(plan: Approved): Omit<ApplyRequest, 'plan' | 'beforeCommit' | 'signal'>;
}

/** What a session has prepared under a name. */
export type Prepared = (name: string) => PreparedText | undefined;

export interface Setting {
  readonly name: string;
  readonly value: string;
}

const MEASURE_BOUNDS: MeasureBounds = {
  statementTimeoutMs: 60_000,
  lockTimeoutMs: 2000,
  blockingToleranceMs: 250,
  maxRows: 1_000_000,
};
/** A session keeps few: hundreds may be open, and analyses are kept once for all of them. */
const MAX_JUDGEMENTS = 256;
const MAX_REMEMBERED_CHARS = 4096;

export function createGovernedTarget(deps: {
  readonly rules: TargetRules;
  readonly engine: TargetEngine;
  readonly analyse: Analyse;
  /** Functions that people vouch for; another array once that changes. */
  readonly vouchers: () => readonly VouchedFor[];
}): GovernedTarget {
  const { rules, engine } = deps;
  const withMasks = createMaskedCatalogue();
  const vouched = createVouchedCatalogue();
  const catalogue = () => withMasks(vouched(engine.currentCatalogue(), deps.vouchers()), rules.masks);

  function searchPath(settings: readonly Setting[]): readonly string[] {
    const set = settings.find((setting) => setting.name.toLowerCase() === 'search_path');
    return set === undefined ? catalogue().searchPath : schemasOf(set.value);
  }

  const analyse: GovernedTarget['analyse'] = (text, settings, prepared) =>
    deps.analyse(text, catalogue(), searchPath(settings), prepared);

  return {
    ...rules,
    // Read when they are asked for: a reload puts others in their place.
    get environment() {
      return rules.environment;
    },
    get people() {
      return rules.people;
    },
    get clicks() {
      return rules.clicks;
    },
    get masks() {
      return rules.masks;
    },
    get secrets() {
      return rules.secrets;
    },
    get keepsWrites() {
      return rules.keepsWrites;
    },
    get quarantineMs() {
      return rules.quarantineMs;
    },
    get edition() {
      return rules.edition;
    },
    engine,
    measureBounds: MEASURE_BOUNDS,
    catalogue,
    analyse,
    judging(task, channel) {
      let judgements = new Map<string, Judgement>();
      /** Statements of one shape have the same effects, and so the same decision, whatever their constants. */
      let decisions = new Map<string, Decision>();
      let rests: readonly unknown[] = [];
      return (text, settings, prepared) => {
        const now = [
          rules.edition,
          catalogue(),
          rules.changeTime(),
          settings.find((s) => s.name === 'search_path')?.value,
        ];
        if (now.some((part, index) => part !== rests[index])) {
          judgements = new Map();
          decisions = new Map();
          rests = now;
        }
        const known = judgements.get(text);
        if (known !== undefined) return known;
        const inputs: JudgeInputs = {
          analyse: (sql) => analyse(sql, settings, prepared),
          decide(analysis) {
            const withheld = rules.withheld(analysis);
            if (withheld !== undefined) return withheld;
            const effects = JSON.stringify(analysis.effects);
            const decided = decisions.get(effects) ?? rules.decideStatement(task, channel, analysis);
            if (decisions.size >= MAX_JUDGEMENTS) decisions.clear();
            decisions.set(effects, decided);
            return decided;
          },
        };
        const made = judgeRewritten(text, inputs, () => functionsWithin(rules.reach(task)));
        if (isOfOneSession(made.verdict === 'failed' ? made.failure : made.analysis)) return made;
        if (judgements.size >= MAX_JUDGEMENTS) judgements.clear();
        if (text.length <= MAX_REMEMBERED_CHARS) judgements.set(text, made);
        return made;
      };
    },
    attribute: (tables, effects) => attributeEffects(tables, effects, catalogue()),
    profile: (task) => profileOf(task, rules.reach(task), catalogue()),
    applyRequest(plan) {
      if (plan.purges !== undefined) return withoutStatements(plan, { purge: plan.purges.change });
      const { undoes, merges } = plan;
      if (merges !== undefined) return withoutStatements(plan, { undo: merges }, merges.tables);
      if (undoes !== undefined && (undoes.tables.length > 0 || undoes.fromQuarantine === true))
        return withoutStatements(plan, { undo: undoes }, undoes.tables);
      const known = catalogue();
      const prepared = new Map<string, PreparedText>();
      const analyses = plan.statements.map((statement) => {
        const analysis = analyse(statement.text, plan.settings, (name) => prepared.get(name));
        if ('sqlstate' in analysis)
          throw new RefusalError({
            refused: 'stale',
            message: analysis.message,
            hint: 'Send the statement again: it becomes a new plan.',
          });
        if (analysis.unmasked !== undefined || analysis.rewrites !== undefined) throw new RefusalError(MASKED_SINCE);
        const act = analysis.class.kind === 'session' ? analysis.class.act : undefined;
        if (act?.act === 'prepare') prepared.set(act.name, { ...act, by: 'sql' });
        return analysis;
      });
      return {
        statements: plan.statements,
        settings: plan.settings,
        tables: [...new Set(analyses.flatMap((analysis) => affectedTables(analysis, known)))],
        baseObjects: [...new Set(analyses.flatMap((analysis) => baseObjects(analysis)))],
        baseState: plan.baseState,
        identity: plan.identity,
        approved: plan.measurement,
        bounds: MEASURE_BOUNDS,
        keepsWrites: rules.keepsWrites,
        ...quarantineFor(rules, analyses),
        outsideTransaction: analyses.some(
          (analysis) => analysis.class.kind === 'change' && !analysis.class.transactional,
        ),
      };
    },
  };
}

/** No statement is run: what is put back, or let go, was kept when the change was applied. */
function withoutStatements(
  plan: Approved,
  work: Pick<ApplyRequest, 'undo' | 'purge'>,
  tables: readonly string[] = [],
): ReturnType<GovernedTarget['applyRequest']> {
  return {
    statements: [],
    ...work,
    settings: [],
    tables,
    baseObjects: tables,
    baseState: plan.baseState,
    identity: plan.identity,
    approved: plan.measurement,
    bounds: MEASURE_BOUNDS,
    outsideTransaction: false,
  };
}

const MASKED_SINCE: Refusal = {
  refused: 'stale',
  message: 'The plan reads a column that is masked since it was made.',
  hint: 'Send the statement again: it becomes a new plan.',
};

/** Judged as it will be carried: what the views show is what it may do something with, and so are the texts that it is told. */
function judgeRewritten(text: string, inputs: JudgeInputs, tasksFunctions: () => string): Judgement {
  const made = judge(text, inputs);
  if (made.verdict === 'failed' || made.verdict === 'deny') return made;
  const { rewrites = [], toldWhere = [], shape } = made.analysis;
  if (rewrites.length === 0 && toldWhere.length === 0) return made;
  const instead = rewritten(text, [...rewrites, ...filledIn(toldWhere, tasksFunctions)]);
  const again = judge(instead, inputs);
  assert(
    again.verdict === 'failed' || again.analysis.rewrites === undefined,
    'G1: every masked column is read by its view',
  );
  const masked = rewrites.length === 0 ? {} : { masked: true as const };
  if (toldWhere.length === 0) return { ...again, instead, ...masked };
  // A condition doesn't fit everywhere (FROM a_function(…), TABLE …): there nothing is told.
  if (again.verdict === 'failed')
    return judge(text, { ...inputs, analyse: () => ({ ...made.analysis, untold: [UNFIT] }) });
  return { ...again, analysis: { ...again.analysis, shape }, instead, ...masked, conditioned: true };
}

const UNFIT = 'a text in a place where no condition can stand';

function filledIn(places: readonly Rewrite[], tasksFunctions: () => string): readonly Rewrite[] {
  const functions = tasksFunctions();
  return places.map((place) => ({ ...place, text: place.text.replaceAll(TASKS_FUNCTIONS, () => functions) }));
}
