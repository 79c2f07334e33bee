/** Chance that can be played again: the same seed gives the same choices on every machine. */
export interface Random {
  /** A whole number from 0 to below `limit`. */
  below(limit: number): number;
  /** True with this probability. */
  chance(probability: number): boolean;
  pick<Item>(items: readonly Item[]): Item;
  /** One of the makers, by weight, and what it makes. */
  among<Made>(choices: readonly (readonly [weight: number, make: () => Made])[]): Made;
  /** `from` to `to` of what `make` makes. */
  several<Made>(from: number, to: number, make: (index: number) => Made): Made[];
}

/** @param seed any whole number (mulberry32, a generator with 32 bits of state). */
export function createRandom(seed: number): Random {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return {
    below,
    chance: (probability) => next() < probability,
    pick(items) {
      const item = items[below(items.length)];
      if (item === undefined) throw new Error('there is nothing to pick from');
      return item;
    },
    among(choices) {
      let left = next() * choices.reduce((sum, [weight]) => sum + weight, 0);
      for (const [weight, make] of choices) {
        left -= weight;
        if (left < 0) return make();
      }
      throw new Error('there is nothing to choose from');
    },
    several: (from, to, make) => Array.from({ length: from + below(to - from + 1) }, (_, index) => make(index)),
  };
}
