/**
 * How often a lookup finds a match on the text at hand, and how far it is then right: nothing that a guessing model's
 * rounds tell of, so it is believed apart from them, for each least match by itself.
 *
 * The share of rounds with a match has a beta distribution about the calibration's; how much harder or easier the text is
 * where there is one, relative to the calibration's hazards, is the belief of belief.ts, with one draft. Both fade with the
 * tokens emitted.
 */
import { Belief, type Curve, MEMORY_TOKENS } from "./belief.js";
import type { Looked } from "./lookup-watch.js";

/** Rounds that the calibration's share of matches counts for: few, since texts differ in nothing as much as in this. */
const PRIOR_ROUNDS = 8;

/** What is believed of a lookup. */
export interface LookupBelief {
  /** mean share of rounds with a match, and its standard deviation */
  match: number;
  deviation: number;
  /** [COUNT] of x where there is one */
  weights: Float64Array;
}

/** A lookup's figures on the calibration text. */
export interface LookupPrior {
  curve: Curve;
  /** share of rounds in which it finds a match */
  match: number;
}

export class LookupBeliefs {
  private readonly known = new Map<number, { matched: number; rounds: number; belief: Belief }>();

  /** A round that was watched. @param curveOf the calibration's hazards for a least match */
  observe(looked: Looked, emitted: number, leastMatches: ReadonlyMap<number, Curve>): void {
    const left = Math.exp(-emitted / MEMORY_TOKENS);
    const { matched, right, rejected } = looked;
    for (const [least, curve] of leastMatches) {
      const known = this.known.get(least) ?? { matched: 0, rounds: 0, belief: new Belief() };
      const found = matched >= least;
      this.known.set(least, {
        matched: left * known.matched + (found ? 1 : 0),
        rounds: left * known.rounds + 1,
        belief: known.belief,
      });
      const drafted = Math.min(curve.hazards.length, rejected ? right + 1 : right);
      const accepted = Math.min(right, drafted);
      known.belief.observe(found && drafted > 0 ? curve : null, { drafted: Math.max(1, drafted), accepted, emitted });
    }
  }

  of({ minMatch, curve, match }: LookupPrior & { minMatch: number }): LookupBelief {
    const { matched, rounds, belief } = this.known.get(minMatch) ?? { matched: 0, rounds: 0, belief: new Belief() };
    const [a, all] = [matched + PRIOR_ROUNDS * match, rounds + PRIOR_ROUNDS];
    const mean = a / all;
    const deviation = Math.sqrt((mean * (1 - mean)) / (all + 1));
    return { match: mean, deviation, weights: belief.weights([curve])[0] };
  }

  /** Each least match once, however many arms have it. @returns null for arms without a lookup */
  all(lookups: readonly ((LookupPrior & { minMatch: number }) | undefined)[]): (LookupBelief | null)[] {
    const known = new Map<number, LookupBelief>();
    return lookups.map((lookup) => {
      if (lookup === undefined) return null;
      const found = known.get(lookup.minMatch) ?? this.of(lookup);
      known.set(lookup.minMatch, found);
      return found;
    });
  }
}
