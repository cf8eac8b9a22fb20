/**
 * Typical acceptance (Medusa, Cai et al. 2024, arXiv:2401.10774, section 2.3.1): LOSSY. A drafted token stands where the
 * target finds it likely enough, whether it would have drawn it or not, so the output's distribution is not the target's:
 * it leans towards what drafters like to guess, and more so the more they guess. Exact sampling is sampling.ts.
 */
import type { Random } from "../../stats/random.js";
import type { Accept } from "./accept.js";
import { atTemperature, type Distribution, draw, totalOf } from "./distribution.js";
import { greedy } from "./greedy.js";

export interface TypicalOptions {
  random: Random;
  /** a temperature above 0, or what logits mean */
  distribution: number | Distribution;
  /** a token of a greater probability stands everywhere; default: 0.09 */
  epsilon?: number;
  /** of exp(−entropy): less is asked where the target itself is undecided; default: 0.3 */
  delta?: number;
}

/**
 * Accepts the longest path whose tokens all have p > min(epsilon, delta · exp(−entropy of p)), with the entropy in nats;
 * among several of one length the likeliest, among equally likely ones the first. The token behind it is drawn.
 * @throws RangeError for a temperature that is not above 0
 */
export function typical({ random, distribution, epsilon = 0.09, delta = 0.3 }: TypicalOptions): Accept {
  const toWeights = typeof distribution === "number" ? atTemperature(distribution) : distribution;
  return {
    lossless: false,
    accept(logits, { tokens, parents }, vocabSize, text) {
      const rows = new Map<number | null, Typical>();
      const rowOf = (at: number | null): Typical => {
        const row = at === null ? 0 : at + 1;
        const known = rows.get(at);
        if (known !== undefined) return known;
        const drafted: number[] = [];
        for (let node = at; node !== null; node = parents[node]) drafted.unshift(tokens[node]);
        const weights = toWeights(logits.subarray(row * vocabSize, (row + 1) * vocabSize), text, drafted);
        const made = typicalOf(weights, epsilon, delta);
        rows.set(at, made);
        return made;
      };
      /** [nodes] null where the node or one before it does not stand */
      const standing: (Standing | null)[] = [];
      let best: Standing = { path: [], logP: 0 };
      for (const [node, parent] of parents.entries()) {
        const before: Standing | null = parent === null ? { path: [], logP: 0 } : standing[parent];
        const p = before === null ? 0 : rowOf(parent).p[tokens[node]];
        const stands = before !== null && p > rowOf(parent).threshold;
        const here = stands ? { path: [...before.path, node], logP: before.logP + Math.log(p) } : null;
        standing.push(here);
        if (here !== null && isBetter(here, best)) best = here;
      }
      return { path: best.path, next: draw(rowOf(best.path.at(-1) ?? null).p, random) };
    },
    choose: greedy.choose,
  };
}

interface Standing {
  path: number[];
  /** ln of the probability of its tokens */
  logP: number;
}

const isBetter = (a: Standing, b: Standing): boolean =>
  a.path.length > b.path.length || (a.path.length === b.path.length && a.logP > b.logP);

/** A row of the target's: probabilities [vocabSize], and what a token has to exceed. */
interface Typical {
  p: Float64Array;
  threshold: number;
}

function typicalOf(weights: Float64Array, epsilon: number, delta: number): Typical {
  const total = totalOf(weights);
  const p = weights.map((weight) => weight / total);
  const entropy = p.reduce((sum, x) => (x === 0 ? sum : sum - x * Math.log(x)), 0);
  return { p, threshold: Math.min(epsilon, delta * Math.exp(-entropy)) };
}
