/** Where a plan's drafts end before their greatest length. */
import { z } from "zod";
import { AcceptanceCurve, Rate, SpeedAlong, Us } from "../common.js";
import { MAX_DRAFT_TOKENS } from "../drafter.js";
import { ConfidenceScale } from "./confidence.js";

const StopPredicted = z.strictObject({
  accepted_length: z.number().min(1).describe("tokens a round yields, bonus counted"),
  mean_draft_tokens: z.number().min(1).describe("tokens drafted a round"),
  draft_lengths: z
    .array(Rate)
    .min(1)
    .max(MAX_DRAFT_TOKENS)
    .describe("[draft_tokens] share of rounds that draft 1, 2, … tokens"),
  acceptance_curve: AcceptanceCurve.describe(
    "[draft_tokens + 1] share of rounds that draft i tokens and have them all accepted",
  ),
  confidence_us: Us.describe("reading a drafted token's confidence"),
  round_us: Us.describe("a whole round in the mean: drafting, verification and loop"),
  tokens_per_second: z.number().positive(),
  speedup: z.number().positive(),
  along: SpeedAlong.optional().describe(
    "at every profiled context of the segment, where there are several; by rising context",
  ),
});
export type StopPredicted = z.infer<typeof StopPredicted>;

/**
 * When a draft ends. Its tokens' confidences c_1 … c_k, read as chances of acceptance p(c) off `confidence`, give the chance
 * that all of them stand, P_k = Π p(c_i); it goes on behind the k-th where P_k is at least `go_on_from[k - 1]`.
 */
export const Stop = z
  .strictObject({
    rule: z
      .enum(["fixed", "early"])
      .describe("what is done: fixed, the segment's draft_tokens always; early, as follows. Both were predicted"),
    draft_tokens: z.int().min(1).max(MAX_DRAFT_TOKENS).describe("of an early stop: drafted at most"),
    confidence: ConfidenceScale,
    go_on_from: z
      .array(z.number().min(0).max(1))
      .max(MAX_DRAFT_TOKENS - 1)
      .describe("[draft_tokens - 1] least chance that all tokens so far stand at which one more is drafted"),
    predicted: StopPredicted.optional().describe("of stopping early, at the segment's at_context"),
  })
  .superRefine(({ draft_tokens, go_on_from, predicted }, context) => {
    const issue = (message: string, ...path: string[]) => context.addIssue({ code: "custom", message, path });
    if (go_on_from.length !== draft_tokens - 1)
      issue(`${go_on_from.length} values, and drafts of ${draft_tokens} have ${draft_tokens - 1}`, "go_on_from");
    if (predicted === undefined) return;
    const { draft_lengths, acceptance_curve } = predicted;
    if (draft_lengths.length !== draft_tokens)
      issue(`${draft_lengths.length} values for ${draft_tokens} lengths`, "predicted", "draft_lengths");
    if (acceptance_curve.length !== draft_tokens + 1)
      issue(`${acceptance_curve.length} values for ${draft_tokens} tokens`, "predicted", "acceptance_curve");
  });
export type Stop = z.infer<typeof Stop>;
