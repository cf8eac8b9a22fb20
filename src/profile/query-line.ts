/**
 * Verification at every query length, not only at those of the grid.
 *
 * Matrix products are done in tiles of rows, so the cost of a pass is a staircase in q, not a line: SmolLM2-135M, fp32,
 * two cores of an EPYC (AVX2, tiles of six rows): 30.6 ms at q = 6, 36.7 at q = 7; 45.3 at q = 12, 51.3 at q = 13. A draft
 * length just below a step is cheaper than its neighbours, and a straight line between q = 5 and q = 9 does not show it.
 * The staircase comes from the matrix products, which do not depend on n, so it is measured at the shortest context.
 */
import { median } from "simple-statistics";
import type { Profile } from "../schema/profile.js";
import { isotonic } from "../stats/isotonic.js";
import type { QueryLineRound } from "./observation.js";

/** A round this much slower than the usual one is left out, as a visit is (drift.ts). */
const DISTURBED = 1.5;

/**
 * The usual time at each query length: rounds are brought to one level (a slow spell slows a whole round), then the
 * median is taken, and it never falls with q, since more tokens are never less work.
 */
export function queryLine(
  contextTokens: number,
  queries: readonly number[],
  rounds: readonly QueryLineRound[],
): NonNullable<Profile["query_line"]> {
  const mediansOf = (of: readonly QueryLineRound[]) => queries.map((_, i) => median(of.map((round) => round[i])));
  const usual = mediansOf(rounds);
  const levelled = rounds.flatMap((round) => {
    const slowness = median(round.map((us, i) => us / usual[i]));
    return slowness > DISTURBED ? [] : [round.map((us) => us / slowness)];
  });
  const us = isotonic(mediansOf(levelled.length > 0 ? levelled : rounds));
  return { context_tokens: contextTokens, query_tokens: [...queries], target_us: us };
}
