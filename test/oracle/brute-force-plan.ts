/** Naive twin of the planner: every draft of a small model, every length, by the objective written out. */

export interface PlanProblem {
  /** choices of each block */
  blocks: { cost: number; loss: number; id: string }[][];
  head: { cost: number; loss: number; id: string }[];
  fixedUs: number;
  /** µs of the target's pass over d + 1 tokens, by d */
  verifyUs: (d: number) => number;
  roundUs: number;
  maxDraft: number;
}

export interface BestPlan {
  ids: string[];
  draftTokens: number;
  tokensPerSecond: number;
}

/** α = exp(−Σ loss), a_i = α^i. */
export function bestPlan(problem: PlanProblem): BestPlan {
  let best: BestPlan = { ids: [], draftTokens: 0, tokensPerSecond: 0 };
  const groups = [...problem.blocks, problem.head];
  const visit = (index: number, cost: number, loss: number, ids: string[]): void => {
    if (index < groups.length) {
      for (const choice of groups[index]) visit(index + 1, cost + choice.cost, loss + choice.loss, [...ids, choice.id]);
      return;
    }
    for (let d = 1; d <= problem.maxDraft; d++) {
      let tokens = 1;
      for (let i = 1; i <= d; i++) tokens += Math.exp(-loss * i);
      const us = d * (problem.fixedUs + cost) + problem.verifyUs(d) + problem.roundUs;
      const tokensPerSecond = (1e6 * tokens) / us;
      if (tokensPerSecond > best.tokensPerSecond) best = { ids, draftTokens: d, tokensPerSecond };
    }
  };
  visit(0, 0, 0, []);
  return best;
}
