/**
 * Speculative sampling written apart from `src/decode/accept`, for chains, with one fault at a time. Without a fault it is
 * right, so that what a test sees is the fault and not the rewriting.
 */
import type { Accept } from "../../src/decode/accept/accept.js";
import type { Filters } from "../../src/schema/sampling.js";
import { type Random, seededRandom } from "../../src/stats/random.js";
import { naiveProbabilities } from "../oracle/naive-filters.js";

export const ACCEPT_FAULTS = [
  "accept always",
  "residual not normalised",
  "q unfiltered",
  "p unfiltered",
  "wrong residual sign",
  "draft reused after rejection",
] as const;
export type AcceptFault = (typeof ACCEPT_FAULTS)[number] | "none";

/** A number of the distribution's tokens, by a uniform one; past its end its last token. */
function pick(weights: readonly number[], u: number): number {
  let left = u;
  for (const [token, weight] of weights.entries()) {
    if (left < weight) return token;
    left -= weight;
  }
  return weights.reduce((last, weight, token) => (weight > 0 ? token : last), 0);
}

const normalised = (weights: readonly number[]): number[] => {
  const total = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / total);
};

export function faultyAccept(
  fault: AcceptFault,
  filters: Filters,
  seed: number,
  random: Random = seededRandom(seed),
): Accept {
  const unfiltered: Filters = { temperature: filters.temperature };
  return {
    lossless: fault === "none",
    accept(logits, { tokens, distributions }, vocab, text) {
      const path: number[] = [];
      for (let at = 0; ; at++) {
        const row = logits.subarray(at * vocab, (at + 1) * vocab);
        const before = [...text, ...tokens.slice(0, at)];
        const p = naiveProbabilities(row, fault === "p unfiltered" ? unfiltered : filters, before);
        if (at === tokens.length) return { path, next: pick(p, random.float()) };
        const q = Array.from(distributions?.[at] ?? []);
        if (fault === "accept always" || random.float() < p[tokens[at]] / q[tokens[at]]) {
          path.push(at);
          continue;
        }
        const beyond = p.map((x, i) => Math.max(0, fault === "wrong residual sign" ? q[i] - x : x - q[i]));
        const next = pick(fault === "residual not normalised" ? beyond : normalised(beyond), random.float());
        if (fault !== "draft reused after rejection" || at + 1 >= tokens.length) return { path, next };
        // the rejected token's place is given to the next drafted one, which is what was said to be behind it
        return { path, next: tokens[at + 1] };
      }
    },
    choose(logits, text, drafted) {
      const before = [...text, ...drafted];
      const drawn = naiveProbabilities(logits, filters, before);
      const said = fault === "q unfiltered" ? naiveProbabilities(logits, unfiltered, before) : drawn;
      return { token: pick(drawn, random.float()), distribution: Float64Array.from(said) };
    },
  };
}
