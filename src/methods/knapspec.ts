/**
 * KnapSpec's own selection (arXiv:2602.20217): a knapsack over the attention and MLP blocks in which every state carries the
 * hidden states it leads to; of the ways to spend a budget the one whose states are most like the full model's is kept. The
 * similarity at the end stands for the acceptance rate. The first and the last layer are kept.
 *
 * As in the paper, keeping only the best of each budget makes the program a heuristic. Unlike its code, costs are the
 * profile's and are not capped. Where the paper takes the budget of greatest expected speed, a few budgets about it are
 * proposed as well, and measuring decides: that can only help it.
 */

import type { ChoiceSet } from "../schema/choice.js";
import { clamp, sum } from "../stats/numbers.js";
import { runBlocks, similarity, type TracedText, traceText } from "./hidden-states.js";
import type { MethodContext, MethodRequest, Proposal, Propose } from "./types.js";

/** Steps that the cost of all blocks is rounded to: the states of one row of the program. */
const BUDGETS = 32;
/** Drafts proposed at each context. */
const PROPOSED = 5;

interface State {
  kept: boolean[];
  us: number;
  hidden: Float32Array;
  similarity: number;
}

/** The best states of every budget after all blocks. @param usOf cost of each block */
export async function bestByBudget(
  traced: TracedText,
  usOf: readonly number[],
  tick: () => Promise<void>,
): Promise<State[]> {
  const { engine, hidden } = traced;
  const size = engine.spec.hiddenSize;
  const unit = sum(usOf) / BUDGETS;
  let states: State[] = [{ kept: [], us: 0, hidden: hidden[0], similarity: 1 }];
  for (const [block, us] of usOf.entries()) {
    const fixed = block < 2 || block >= usOf.length - 2;
    const best = new Map<number, State>();
    const offer = (state: State) => {
      const budget = Math.round(state.us / unit);
      const known = best.get(budget);
      if (known === undefined || state.similarity > known.similarity) best.set(budget, state);
    };
    for (const state of states) {
      await tick();
      const run = runBlocks(traced, state.hidden, [block]);
      const like = (states: Float32Array) => similarity(states, hidden[block + 1], size);
      offer({ kept: [...state.kept, true], us: state.us + us, hidden: run, similarity: like(run) });
      if (!fixed) offer({ ...state, kept: [...state.kept, false], similarity: like(state.hidden) });
    }
    states = [...best.values()];
  }
  return states;
}

async function proposeAt(request: MethodRequest, context: MethodContext): Promise<Proposal[]> {
  const { engine, latency, progress, speed } = request;
  const traced = await traceText(engine, context.continuations, progress);
  if (traced === null) return [];
  const n = context.atContext;
  const usOf = Array.from({ length: 2 * engine.spec.layers }, (_, b) => latency.blockUs(b, "target", n, 1));
  const states = await bestByBudget(traced, usOf, () => progress.tick());
  return states
    .map(({ kept, similarity: alpha }) => {
      const set: ChoiceSet = { blocks: kept.map((keep) => (keep ? "target" : "skip")), head: "target" };
      return { set, expected: speed(set, n, clamp(alpha, 0, 1)) };
    })
    .sort((a, b) => b.expected - a.expected)
    .slice(0, PROPOSED)
    .map(({ set }) => ({ atContext: n, set }));
}

export const knapspec: Propose = async (request) => {
  const proposals: Proposal[] = [];
  for (const context of request.contexts) proposals.push(...(await proposeAt(request, context)));
  return proposals;
};
