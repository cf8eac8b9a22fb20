/**
 * A plan's draft with a cache of its own, where the plan was made for drafts over the target's: the curves measured with such a
 * cache, by the profile's own times, the draft's reading of the prompt among them.
 */
import { expandDraft } from "../../schema/choice.js";
import type { StandaloneCurve } from "../../schema/draft-cache.js";
import type { Predicted, Segment } from "../../schema/plan.js";
import { self } from "../drafter.js";
import { knownOf } from "../evidence.js";
import { speedOf } from "../gain.js";
import { expectedTokens } from "../objective.js";
import { digits, ownCache, speedFigures } from "../predict.js";
import { contextFor, type Problem } from "../problem.js";
import { acceptanceRate } from "../surrogate.js";

/**
 * @param problem opened for drafts with a cache of their own, and for the tokens of an answer
 * @param known   the draft's curve at the context nearest to the segment, for contexts where none was measured
 * @returns null where the segment's draft is not one of the model's own blocks, or predicts nothing to take contexts from
 */
export function ownCachePrediction(
  problem: Problem,
  segment: Segment,
  known: StandaloneCurve | null,
  at: string,
): Predicted | null {
  const { draft, draft_tokens: d, predicted } = segment;
  if (draft === undefined || d === undefined || predicted === undefined || known === null) return null;
  const { latency, layers } = problem;
  const set = expandDraft(draft, layers, at);
  const drafter = self(set);
  const curveAt = (n: number): readonly number[] => {
    const context = contextFor(problem, n);
    const option = { drafter, draftTokens: d };
    const found = knownOf(context, "report", option) ?? knownOf(context, "choose", option);
    return (found?.curve ?? known.curve).slice(0, d + 1);
  };
  const speedAt = (n: number) => speedFigures(latency, n, speedOf(latency, n, set, curveAt(n)));
  const n = predicted.at_context;
  const curve = curveAt(n);
  const along = predicted.along?.map(({ context_tokens }) => ({ context_tokens, ...speedAt(context_tokens) }));
  return {
    at_context: n,
    acceptance: digits(acceptanceRate(curve)),
    acceptance_curve: curve.map(digits),
    accepted_length: digits(expectedTokens(curve)),
    draft_us: digits(latency.draftUs(set, n)),
    verify_us: digits(latency.verifyUs(n, d)),
    ...ownCache(problem, n, drafter),
    round_us: digits(latency.roundUs),
    target_step_us: digits(latency.stepUs(n)),
    ...speedAt(n),
    lp_gap_percent: predicted.lp_gap_percent,
    ...(along === undefined ? {} : { along }),
    evidence: known.part,
  };
}
