/** draftplan/plan: which draft to run at which context, and what it is predicted to gain. */
import { z } from "zod";
import { shortOf } from "./choice.js";
import { TokenRanking } from "./choices/ranking.js";
import {
  AcceptanceCurve,
  ContextRange,
  Device,
  DraftCache,
  DraftSchema,
  Extrapolated,
  InputRef,
  ModelRef,
  Rate,
  SpeedAlong,
  Us,
} from "./common.js";
import { Constraints } from "./constraints.js";
import { DrafterRef, drafterFaults, MAX_DRAFT_TOKENS, siblingsOf } from "./drafter.js";
import { LengthByBatch, SpeedByBatch } from "./length-by-batch.js";
import { Stop } from "./stop/stop.js";

export { MAX_DRAFT_TOKENS };

export const Predicted = z.strictObject({
  at_context: z.int().min(0),
  acceptance: Rate.describe("accepted tokens per token drafted up to and including the first rejection"),
  acceptance_curve: AcceptanceCurve,
  accepted_length: z.number().min(1).describe("tokens a round yields, bonus counted"),
  draft_us: Us.describe("one draft step; of heads, and where a lookup drafts, all the drafting of a round"),
  verify_us: Us,
  prompt_us: Us.optional().describe("the draft's own reading of a prompt of at_context tokens, into its own cache"),
  draft_cache_bytes: z
    .int()
    .positive()
    .optional()
    .describe("keys and values of the draft's own cache at the end of the segment"),
  round_us: Us,
  target_step_us: Us.describe("one plain step of the target, loop included"),
  tokens_per_second: z.number().positive(),
  speedup: z.number().positive(),
  lp_gap_percent: z.number().describe("distance of the surrogate's optimum from its LP bound"),
  speedup_interval: z
    .strictObject({ low: z.number().positive(), high: z.number().positive() })
    .optional()
    .describe("90 % of the profile's resamples; acceptance held"),
  regret_percent: z
    .strictObject({ mean: z.number().nonnegative(), p95: z.number().nonnegative() })
    .optional()
    .describe("speed lost, over the resamples, by having chosen on this draw of the profile"),
  along: SpeedAlong.optional().describe(
    "the same draft at every profiled context of the segment, where there are several; by rising context",
  ),
  evidence: z.enum(["report", "choose", "surrogate"]).optional().describe("what the acceptance curve was measured on"),
  positions: z
    .int()
    .positive()
    .optional()
    .describe("positions behind the acceptance curve; absent: it was not measured"),
  rounds: z
    .int()
    .nonnegative()
    .optional()
    .describe("rounds behind the curve that came to its last position; absent: they were not counted"),
  accepted_length_error: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      "standard error of accepted_length, and so of the speedup by what is not known of acceptance, as a share; absent: not counted",
    ),
  match_rate: Rate.optional().describe(
    "share of rounds in which a lookup drafts; curve, length and times are then means over all rounds, plain steps among them",
  ),
  mean_nodes: z
    .number()
    .positive()
    .optional()
    .describe("tokens that a lookup drafts where it drafts, in the mean; absent: it goes on from one place alone"),
  by_batch: SpeedByBatch.optional().describe("at at_context, for every batch that was measured"),
});
export type Predicted = z.infer<typeof Predicted>;

/** A draft that the text of choosing prefers and the text kept back predicts a loss for. */
export const Refuted = z
  .strictObject({
    drafter: DrafterRef.optional().describe("absent: the model's own blocks"),
    draft: DraftSchema.optional().describe("of the model's own blocks, and of no other drafter"),
    draft_tokens: z.int().min(1).max(MAX_DRAFT_TOKENS),
    at_context: z.int().min(0).describe("where its predicted speedup is least"),
    speedup: z.number().positive().describe("there, by the text kept back; below 1"),
  })
  .superRefine((refuted, context) => {
    for (const { key, message } of drafterFaults(refuted)) context.addIssue({ code: "custom", message, path: [key] });
  });
export type Refuted = z.infer<typeof Refuted>;

export const Segment = z
  .strictObject({
    context_tokens: ContextRange,
    speculate: z.boolean().describe("false where no draft beats plain decoding here"),
    drafter: DrafterRef.optional().describe("who drafts; absent: the model's own blocks, as `draft` has them"),
    draft: DraftSchema.optional().describe("of the model's own blocks, and of no other drafter"),
    draft_tokens: z
      .int()
      .min(1)
      .max(MAX_DRAFT_TOKENS)
      .optional()
      .describe("d per round, bonus token not counted; of a tree, its depth"),
    draft_tokens_by_batch: LengthByBatch.optional().describe(
      "d for several sequences at once, for engines that take it; of more sequences than the last: 0",
    ),
    stop: Stop.optional().describe(
      "when a draft ends; absent: every one has draft_tokens. `predicted` is always of drafts of draft_tokens",
    ),
    predicted: Predicted.optional(),
    extrapolated: z.literal(true).optional().describe("all of it lies beyond the last profiled context"),
    refuted: z
      .array(Refuted)
      .min(1)
      .max(16)
      .optional()
      .describe("drafts that would have been planned here had text kept back not predicted a loss, in the order tried"),
  })
  .superRefine((segment, context) => {
    const issue = (message: string, key: string) => context.addIssue({ code: "custom", message, path: [key] });
    if (segment.speculate) {
      for (const { key, message } of drafterFaults(segment)) issue(message, key);
      if (segment.draft_tokens === undefined) issue("missing, though speculate is true", "draft_tokens");
      if (segment.stop?.rule === "early" && siblingsOf(segment.drafter) !== undefined)
        issue("early, though the drafter has siblings: they stand beside the last token of a fixed length", "stop");
      const kind = segment.drafter?.kind ?? "self";
      if (segment.stop !== undefined && kind !== "self" && kind !== "model")
        issue(`present, though the drafter is ${kind}: its tokens have no confidence of their own`, "stop");
    } else {
      if (segment.drafter !== undefined) issue("present, though speculate is false", "drafter");
      if (segment.draft !== undefined) issue("present, though speculate is false", "draft");
      if (segment.draft_tokens !== undefined) issue("present, though speculate is false", "draft_tokens");
      if (segment.draft_tokens_by_batch !== undefined)
        issue("present, though speculate is false", "draft_tokens_by_batch");
      if (segment.predicted !== undefined) issue("present, though speculate is false", "predicted");
      if (segment.stop !== undefined) issue("present, though speculate is false", "stop");
    }
  });
export type Segment = z.infer<typeof Segment>;

const PlanShape = z.strictObject({
  kind: z.literal("draftplan/plan"),
  version: z.literal(1),
  model: ModelRef,
  device: Device.optional(),
  inputs: z.strictObject({ profile: InputRef, calibration: InputRef }).optional(),
  method: z.string().max(40).optional(),
  choices: z.array(z.string().max(20)).optional().describe("choices the solver had besides target"),
  constraints: Constraints.optional().describe("what the solver's drafts had to keep to"),
  drafters: z
    .array(z.string().max(20))
    .min(1)
    .max(8)
    .optional()
    .describe("drafters that the solver weighed; absent: the model's own blocks alone"),
  temperature: z
    .number()
    .positive()
    .optional()
    .describe("of the sampling that acceptance was calibrated for; absent: greedy decoding"),
  draft_cache: DraftCache.optional().describe(
    "own: drafts of the model's own blocks have a cache of their own, and predictions are for that; absent: they read the target's",
  ),
  answer_tokens: z
    .int()
    .positive()
    .optional()
    .describe("with draft_cache own: tokens of an answer that the draft's reading of the prompt was shared by"),
  ranking: TokenRanking.optional().describe("the tokens that short heads of its drafts (KERNEL:TOKENS) are over"),
  extrapolated: Extrapolated.optional().describe("the plan goes on beyond what was profiled"),
  segments: z
    .array(Segment)
    .min(1)
    .max(256)
    .superRefine((segments, context) => {
      let end = 0;
      segments.forEach((segment, i) => {
        const { from, to } = segment.context_tokens;
        if (from !== end) {
          const message =
            from > end
              ? `gap: tokens ${end} to ${from} belong to no segment`
              : `overlap: the segment before ends at ${end}`;
          context.addIssue({ code: "custom", message, path: [i, "context_tokens", "from"] });
        }
        end = to;
      });
    }),
});

/** What lies beyond the profile says so, and begins where the profile ends: nobody takes it for measured. */
export const Plan = PlanShape.superRefine(({ extrapolated, segments, ranking, draft_cache }, context) => {
  const issue = (message: string, ...path: (string | number)[]) => context.addIssue({ code: "custom", message, path });
  segments.forEach(({ draft, drafter }, i) => {
    if (draft_cache === "own" && siblingsOf(drafter) !== undefined)
      issue("drafts with a cache of their own have none", "segments", i, "drafter", "siblings");
    if (draft !== undefined && shortOf(draft.head) !== null && ranking === undefined)
      issue(`${draft.head}, and the plan has no ranking of tokens`, "segments", i, "draft", "head");
  });
  const { beyond_context_tokens: beyond = Number.POSITIVE_INFINITY, to_context_tokens: last } = extrapolated ?? {};
  segments.forEach((segment, i) => {
    const { from, to } = segment.context_tokens;
    if (from < beyond && to > beyond)
      issue(`it goes past ${beyond}, the last profiled context; begin another segment there`, "segments", i);
    else if ((segment.extrapolated === true) !== from >= beyond)
      issue(
        from >= beyond ? "missing beyond what was profiled" : "nothing was extrapolated here",
        "segments",
        i,
        "extrapolated",
      );
  });
  const end = segments[segments.length - 1]?.context_tokens.to;
  if (last !== undefined && last !== end) issue(`the last segment ends at ${end}`, "extrapolated", "to_context_tokens");
});
export type Plan = z.infer<typeof Plan>;

/** How often draft_us is paid in a round: once for each drafted token, or once where it is that of a whole round. */
export const draftSteps = ({
  drafter,
  draft_tokens,
}: {
  drafter?: DrafterRef | undefined;
  draft_tokens: number;
}): number => {
  const kind = drafter?.kind ?? "self";
  return kind === "self" || kind === "model" ? draft_tokens : 1;
};

export type Speed = Pick<Predicted, "tokens_per_second" | "speedup">;

/** The same plan with drafts that end by this rule wherever it says when they end; segments that do not say stay as they are. */
export const withStopRule = (plan: Plan, rule: Stop["rule"]): Plan => ({
  ...plan,
  segments: plan.segments.map((segment) =>
    segment.stop === undefined ? segment : { ...segment, stop: { ...segment.stop, rule } },
  ),
});

/** The prediction of what a segment does: of its early stop where it has one, else of its drafts of a fixed length. */
export const predictionOf = ({ stop, predicted }: Pick<Segment, "stop" | "predicted">) =>
  stop?.rule === "early" ? stop.predicted : predicted;

/** Standard errors that an interval of nine tenths is wide, to either side. */
const NINE_TENTHS = 1.645;

/**
 * Standard error of a predicted speedup, as a share of it: what is not known of acceptance, and of the latencies where the
 * profile says so. They were measured apart, so they add in squares. null: acceptance does not say.
 */
export function speedupError(segment: Pick<Segment, "stop" | "predicted">): number | null {
  const { accepted_length_error: length, speedup_interval: interval } = segment.predicted ?? {};
  if (length === undefined) return null;
  const latency = interval === undefined ? 0 : Math.log(interval.high / interval.low) / 2 / NINE_TENTHS;
  return Math.hypot(length, latency);
}

/** Speeds at one context or along several. */
export type SpeedsAlong = Speed & Pick<Predicted, "along">;

/**
 * What is predicted at one context: between the profiled contexts of the segment by straight lines in the time per token,
 * beyond them as at the nearest. Without `along` one prediction stands for the whole segment.
 */
export function predictedAt({ along, tokens_per_second, speedup }: SpeedsAlong, contextTokens: number): Speed {
  if (along === undefined) return { tokens_per_second, speedup };
  const after = along.findIndex((point) => point.context_tokens >= contextTokens);
  if (after <= 0) return along[after === 0 ? 0 : along.length - 1];
  const [a, b] = [along[after - 1], along[after]];
  const share = (contextTokens - a.context_tokens) / (b.context_tokens - a.context_tokens);
  const between = (key: keyof Speed) => 1 / ((1 - share) / a[key] + share / b[key]);
  return { tokens_per_second: between("tokens_per_second"), speedup: between("speedup") };
}

/** Least and greatest of what is predicted over the segment. */
export function predictedRange({ along, ...at }: SpeedsAlong, key: keyof Speed): { low: number; high: number } {
  const values = along?.map((point) => point[key]) ?? [at[key]];
  return { low: Math.min(...values), high: Math.max(...values) };
}

/** Whether two plans are equal in what they draft and in what they predict of it, whatever they were chosen among. */
export const areAlike = (one: Plan, other: Plan): boolean =>
  JSON.stringify(one.segments.map(behaviour)) === JSON.stringify(other.segments.map(behaviour));

const behaviour = ({ context_tokens, drafter, draft, draft_tokens, predicted, stop }: Segment) => {
  const { regret_percent: _, ...figures } = predicted ?? {}; // of having chosen among more or fewer drafters
  const who = drafter?.kind === "heads" ? { sha256: drafter.sha256, tree: drafter.tree } : (drafter ?? null);
  return { context_tokens, who, draft, draft_tokens, stop, figures };
};
