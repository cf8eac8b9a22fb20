/** draftplan/verification: one plan run end to end, against an independent run of the target. */
import { z } from "zod";
import { targetKernel } from "../model/kernels/registry.js";
import {
  AcceptanceCurve,
  Device,
  DraftCache,
  Extrapolated,
  InputRef,
  Interval,
  ModelRef,
  Rate,
  Sha256,
  Versions,
} from "./common.js";
import { HeadsRef, ModelDrafter } from "./drafter.js";
import { DEFAULT_PRECISION, TARGET_PRECISIONS, type TargetPrecision } from "./numerics.js";
import { SeededFilters } from "./sampling.js";

const TokenIds = z.array(z.int().min(0));

/** One plain run and one run of the plan, side by side in time. */
const PairRecord = z.strictObject({
  target_us: z.number().nonnegative(),
  plan_us: z.number().nonnegative(),
  tokens: z.int().positive().describe("timed tokens of the plan's run; the first comes from the prompt's pass"),
  target_tokens: z.int().positive().optional().describe("of the plain run, where it is another number (a tie)"),
});

const TieRecord = z.strictObject({
  position: z.int().min(0).describe("of the emitted token, counted from 0"),
  margin: z.number().nonnegative().describe("how far its logit lies below the maximum"),
});

/** How far a token's logit may lie below the maximum and still be a tie, by the target's precision. */
export const TIE_MARGINS = Object.fromEntries(
  TARGET_PRECISIONS.map((precision) => [precision, targetKernel(precision).tieMargin]),
) as Readonly<Record<TargetPrecision, number>>;

const PromptRecord = z.strictObject({
  prompt: z.string().max(200).describe("the prompt's name or its beginning"),
  prompt_tokens: z.int().positive(),
  tokens: z.int().min(0),
  ties: z.int().min(0),
  first_mismatch: z
    .int()
    .min(0)
    .nullable()
    .describe(
      "first emitted token beyond the tie margin of the maximum, counted from 0; the output's length where it ends too early",
    ),
  worst_margin: z.number().nonnegative().describe("greatest distance of an emitted token's logit from the maximum"),
  acceptance: Rate.nullable(),
  speedup: z.number().positive().nullable().describe("median over the pairs; null where the output is a single token"),
  predicted_speedup: z.number().positive().nullable(),
  reference_ids: TokenIds.optional().describe("the target's own greedy output, decoded before anything else"),
  output_ids: TokenIds.optional().describe("what the plan emitted, where it is not reference_ids"),
  tie_margins: z.array(TieRecord).optional().describe("one for each tie"),
  pairs: z.array(PairRecord).optional().describe("what the speedup is made of; empty where nothing was timed"),
});

/** Rounds that began in one segment of the plan; the last record may lie past the plan, where nothing is speculated. */
const ContextRecord = z.strictObject({
  context_tokens: z.strictObject({ from: z.int().min(0), to: z.int().positive() }),
  rounds: z.int().min(0),
  accepted_length: z.number().nullable(),
  acceptance: Rate.nullable(),
  target_tokens_per_second: z.number().nonnegative().nullable().describe("plain decoding at the same contexts"),
  measured_tokens_per_second: z.number().nonnegative(),
  predicted_tokens_per_second: z.number().nonnegative().nullable(),
  speedup: z.number().positive().nullable().optional().describe("measured_ over target_tokens_per_second"),
  predicted_speedup: z.number().positive().nullable().optional().describe("1 where nothing is to be drafted"),
  predicted_target_tokens_per_second: z
    .number()
    .positive()
    .nullable()
    .optional()
    .describe("of plain decoding, by the plan's profile; where target_ is another, the machine has changed"),
  extrapolated: z.literal(true).optional().describe("what is predicted lies beyond the profile"),
});

/** Decoding with a cheaper model alone: faster perhaps, but not the target's output. */
const Alternative = z.strictObject({
  name: z.string().max(80),
  tokens_per_second: z.number().positive(),
  speedup: Interval,
  agreement: Rate.describe(
    "share of positions where it chooses the target's token, given the target's own tokens before",
  ),
  agreeing_prefix: z
    .number()
    .nonnegative()
    .describe("mean tokens before its own output first differs from the target's"),
});

const PositionRecord = z.strictObject({
  position: z.int().positive().describe("1: the first drafted token of a round"),
  tried: z.int().min(0).describe("rounds in which all drafted tokens before it were accepted"),
  accepted: z.int().min(0),
});

/** What `verify` was asked to hold, and what did not. */
const Decided = z.strictObject({
  min_speedup: z.number().nonnegative().optional(),
  min_acceptance: Rate.optional(),
  max_prediction_error_percent: z.number().nonnegative().optional(),
  failed: z.array(z.enum(["lossless", "min_speedup", "min_acceptance", "max_prediction_error_percent"])),
});

const DistributionTest = z.strictObject({
  first_tokens: z.int().positive().describe("tokens that texts are told apart by: 1 first tokens, 2 pairs, …"),
  chi_square: z.number().nonnegative(),
  freedom: z.int().min(0),
  chance: Rate.describe("of a statistic as large, were the distribution the target's: over all prompts"),
  least_prompt_chance: Rate.describe("the same of the prompt where it is least"),
});

const OtherDrafter = z.discriminatedUnion("kind", [
  z.strictObject({ kind: z.enum(["none", "self", "lookup", "hybrid"]) }),
  ModelDrafter.omit({ kernel: true }),
  z.strictObject({ kind: z.literal("heads"), ...HeadsRef.shape }),
]);

/** Drafts of a fixed length and drafts that end early, by turns in one run. */
const StopRuleRecord = z.strictObject({
  rule: z.enum(["fixed", "early"]),
  lossless: z.boolean(),
  speedup: Interval,
  predicted_speedup: z.number().positive().nullable(),
  tokens_per_second: z.number().positive(),
  accepted_length: z.number().min(1).nullable().describe("tokens of a round that drafts; null where none does"),
  mean_draft_tokens: z.number().min(1).nullable().describe("tokens drafted in one"),
});

export const Verification = z.strictObject({
  kind: z.literal("draftplan/verification"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  plan: InputRef,
  drafter: OtherDrafter.optional().describe("who drafted in place of the plan's own drafters; absent: they did"),
  draft_cache: DraftCache.optional().describe(
    "own: drafts of the model's own blocks had a cache of their own, and its filling is in their time; absent: they read the target's",
  ),
  inputs: z
    .strictObject({ profile: InputRef, calibration: InputRef })
    .optional()
    .describe("what the plan was made from, as the plan names it; paths as seen from here"),
  extrapolated: Extrapolated.optional().describe("as in the plan"),
  tokenizer_sha256: Sha256.nullable().optional().describe("null: every prompt was given as token ids"),
  versions: Versions.optional(),
  created: z.iso.datetime().optional(),
  lossless: z
    .boolean()
    .describe("every emitted token's logit lies within the tie margin of the maximum of an independent q = 1 pass"),
  sampling: SeededFilters.optional().describe(
    "how tokens were drawn: then the distribution was proved; absent: the likeliest tokens were",
  ),
  distribution: z
    .strictObject({
      draws: z.int().positive().describe("texts drawn from each of `prompts`"),
      prompts: z.int().positive().describe("prompts that texts were drawn from: some of all, evenly apart"),
      false_alarm: Rate.describe("chance that a right decoder fails the verification by these tests"),
      holds: z.boolean(),
      tests: z.array(DistributionTest),
    })
    .optional()
    .describe("beginnings of texts against their exact chances, by passes of the target alone"),
  tie_margin: z
    .number()
    .positive()
    .max(Math.max(...Object.values(TIE_MARGINS)))
    .optional()
    .describe("logits this close are a tie; absent: 1e-3, a target in fp32"),
  ties: z.int().min(0).describe("emitted tokens that are not the maximum, within the tie margin of it"),
  tokens: z.int().min(0).describe("emitted and compared, over all prompts"),
  acceptance: Rate.nullable(),
  acceptance_curve: AcceptanceCurve.nullable(),
  accepted_length: z.number().min(1).nullable(),
  speedup: Interval,
  interval: z
    .literal("student")
    .optional()
    .describe(
      "Student's t over prompts on the logarithm, whose lower end decides min_speedup; absent: a percentile bootstrap, beside which the median decided",
    ),
  predicted_speedup: z.number().positive().nullable(),
  predicted_speedup_error: z
    .number()
    .nonnegative()
    .optional()
    .describe(
      "standard error of predicted_speedup by what the plan knows of acceptance and latencies, as a share; absent: it does not say",
    ),
  prediction_error_percent: z.number().nullable(),
  machine_change_percent: z
    .number()
    .nullable()
    .optional()
    .describe("100 · (plain decoding measured / as the plan's profile has it - 1); null where nothing was predicted"),
  tokens_per_second: z.strictObject({ target: z.number().positive(), plan: z.number().positive() }),
  pairs: z.int().positive().describe("interleaved pairs of runs for each prompt"),
  max_tokens: z.int().min(2).describe("tokens asked for after each prompt"),
  prompts_sha256: Sha256.describe("digest of the prompts' token ids"),
  reference_sha256: Sha256.optional().describe("digest of the target's own outputs, over all prompts"),
  output_sha256: Sha256.optional().describe("digest of the plan's outputs, over all prompts"),
  resumed: z.int().min(0).optional().describe("how often an interrupted run was gone on with"),
  decided: Decided.optional(),
  by_position: z.array(PositionRecord).optional().describe("acceptance of each drafted token of a round"),
  by_context: z.array(ContextRecord),
  prompts: z.array(PromptRecord).min(1),
  alternatives: z.array(Alternative),
  stop_rules: z
    .array(StopRuleRecord)
    .length(2)
    .optional()
    .describe("where a plan says when drafts end: both rules, in one run with plain decoding; absent: not asked for"),
});
export type Verification = z.infer<typeof Verification>;

/** How far below the maximum a verification lets a token's logit lie. */
export const tieMarginOf = ({ tie_margin }: Pick<Verification, "tie_margin">): number =>
  tie_margin ?? TIE_MARGINS[DEFAULT_PRECISION];

/** The same in words. */
export const tieMarginText = ({ tie_margin }: Pick<Verification, "tie_margin">): string =>
  tie_margin === undefined ? "1e-3" : String(tie_margin);
