/** Whether what was drawn has the target's distribution. */
import { addedChiSquares, type ChiSquare, chanceOfAtLeast } from "../../stats/chi-square.js";
import { TOLD_TOKENS } from "./drawn.js";

/** Chance that a verification of texts that are drawn rightly fails. */
export const FALSE_ALARM = 0.001;

export interface DistributionTest {
  first_tokens: number;
  chi_square: number;
  freedom: number;
  /** of a statistic as large or larger, were the distribution the target's: over all prompts */
  chance: number;
  /** the same of the prompt where it is least */
  least_prompt_chance: number;
}

/**
 * All prompts together show a small fault that is everywhere, one by itself a large one at one place: half of the false
 * alarms are for either, in equal parts for all tests (Bonferroni), though they are not independent.
 * @param prompts [prompts][TOLD_TOKENS]
 */
export function decideDistribution(prompts: readonly (readonly ChiSquare[])[]): {
  holds: boolean;
  tests: DistributionTest[];
} {
  const tests = TOLD_TOKENS.map((tokens, i) => {
    const all = prompts.map((prompt) => prompt[i]);
    const { statistic, freedom } = addedChiSquares(all);
    return {
      first_tokens: tokens,
      chi_square: statistic,
      freedom,
      chance: chanceOfAtLeast(addedChiSquares(all)),
      least_prompt_chance: Math.min(1, ...all.map(chanceOfAtLeast)),
    };
  });
  const limit = FALSE_ALARM / 2 / TOLD_TOKENS.length;
  const fails = (test: DistributionTest) =>
    test.chance < limit || test.least_prompt_chance < limit / Math.max(1, prompts.length);
  return { holds: !tests.some(fails), tests };
}
