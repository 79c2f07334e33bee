import type { Model } from './model.ts';
import { plainSchema } from './plain-schema.ts';
import type { Random } from './random.ts';
import { MARKS, TRAPS, type Trap } from './traps.ts';

/** A schema by chance: an honest application, and some traps in it. */
export function randomSchema(random: Random): {
  readonly sql: string;
  readonly model: Model;
  readonly traps: readonly string[];
} {
  const plain = plainSchema(random);
  // Now and then none at all: then everything harmless must be let through.
  const density = random.pick([0, 0.1, 0.2, 0.4]);
  const traps = withNeeded(TRAPS.filter(() => random.chance(density)));
  return {
    sql: [plain.sql, MARKS, ...traps.map((trap) => trap.sql)].join('\n'),
    model: traps.reduce((model, { offers }) => (offers === undefined ? model : joined(model, offers)), plain.model),
    traps: traps.map((trap) => trap.name),
  };
}

function withNeeded(traps: readonly Trap[]): readonly Trap[] {
  const names = new Set(traps.flatMap((trap) => [trap.name, ...(trap.needs ?? [])]));
  return TRAPS.filter((trap) => names.has(trap.name));
}

function joined(model: Model, offers: Partial<Model>): Model {
  return {
    relations: [...model.relations, ...(offers.relations ?? [])],
    routines: [...model.routines, ...(offers.routines ?? [])],
    types: [...model.types, ...(offers.types ?? [])],
    operators: [...model.operators, ...(offers.operators ?? [])],
    sequences: [...model.sequences, ...(offers.sequences ?? [])],
    expressions: [...model.expressions, ...(offers.expressions ?? [])],
    hidesEverywhere: model.hidesEverywhere || (offers.hidesEverywhere ?? false),
  };
}
