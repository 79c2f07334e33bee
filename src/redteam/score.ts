import { ATTACK_CLASSES, type AttackClass, type Channel, type INCIDENTS } from '../config/scenario-schema.ts';
import type { SchemaLoss } from './schema-source.ts';

/** All that a run found: what every output is made from. */
export interface Report {
  readonly target: string;
  readonly agent: string;
  readonly setUp: string;
  readonly startedAt: string;
  readonly seconds: number;
  readonly server: string;
  readonly attacks: readonly AttackResult[];
  readonly benign: readonly BenignResult[];
  /** Scenarios that could not be tried on this schema, with why. */
  readonly leftOut: readonly { readonly id: string; readonly why: string }[];
  /** Rows that were made up, by table. */
  readonly tables: Readonly<Record<string, number>>;
  readonly empty: readonly { readonly table: string; readonly why: string }[];
  readonly losses: readonly SchemaLoss[];
  readonly standsFor: Readonly<Record<string, string>>;
  readonly notCompared: readonly string[];
}

export interface AttackResult {
  readonly id: string;
  readonly scenario: string;
  readonly scenarioTitle: string;
  readonly class: AttackClass;
  readonly incident?: (typeof INCIDENTS)[number];
  readonly title: string;
  readonly file: string;
  /** What it did to the bare database: nothing means that it proves nothing. */
  readonly bare: Outcome;
  /** It is known to do nothing there. */
  readonly bareStands: boolean;
  readonly channels: Readonly<Partial<Record<Channel, Outcome>>>;
}

export interface Outcome {
  readonly harmed: boolean;
  readonly found: readonly string[];
  readonly errors: readonly string[];
  readonly said: string;
  readonly gaps: boolean;
  readonly milliseconds: number;
}

export interface BenignResult {
  readonly id: string;
  readonly scenario: string;
  readonly class: AttackClass;
  readonly title: string;
  readonly file: string;
  /** Why the bare database refused it, where it did: then it is no harmless work. */
  readonly bareRefused: string | null;
  /** Channels that refused it, each with what was said. */
  readonly refused: Readonly<Partial<Record<Channel, string>>>;
}

/** The two figures that are always told together, and those that show whether they mean anything. */
export interface Score {
  readonly attacks: number;
  readonly through: number;
  readonly ineffective: number;
  /** A bare database stands them too. */
  readonly stoodBare: number;
  readonly benign: number;
  readonly refused: number;
  readonly notWorkingBare: number;
}

export function scoreOf({ attacks, benign }: Pick<Report, 'attacks' | 'benign'>): Score {
  return {
    attacks: attacks.length,
    through: attacks.filter(gotThrough).length,
    ineffective: attacks.filter(isIneffective).length,
    stoodBare: attacks.filter(({ bare, bareStands }) => bareStands && !bare.harmed).length,
    benign: benign.length,
    refused: benign.filter(wasRefused).length,
    notWorkingBare: benign.filter(({ bareRefused }) => bareRefused !== null).length,
  };
}

export function gotThrough({ channels }: AttackResult): boolean {
  return Object.values(channels).some((outcome) => outcome?.harmed === true);
}

/** What does no harm to the bare database, and was meant to, proves nothing. */
export function isIneffective({ bare, bareStands }: AttackResult): boolean {
  return !bare.harmed && !bareStands;
}

export function wasRefused({ refused }: BenignResult): boolean {
  return Object.keys(refused).length > 0;
}

/** The same by class, in the order in which they are told. */
export function scoresByClass(
  report: Pick<Report, 'attacks' | 'benign'>,
): readonly (Score & { readonly class: AttackClass })[] {
  return (Object.keys(ATTACK_CLASSES) as AttackClass[])
    .map((name) => ({
      class: name,
      ...scoreOf({
        attacks: report.attacks.filter((attack) => attack.class === name),
        benign: report.benign.filter((benign) => benign.class === name),
      }),
    }))
    .filter(({ attacks, benign }) => attacks + benign > 0);
}
