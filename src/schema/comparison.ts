/**
 * draftplan/comparison: plans of several methods, run side by side on text that none of them was chosen on. Its rows are
 * one method at one context; times, and what was predicted before them, are kept so that every figure can be found again.
 */
import { z } from "zod";
import {
  ChoiceName,
  Device,
  DraftSchema,
  Extrapolated,
  InputRef,
  Interval,
  ModelRef,
  Rate,
  Sha256,
  Us,
  Versions,
} from "./common.js";
import { DrafterRef, drafterFaults } from "./drafter.js";
import { MAX_DRAFT_TOKENS } from "./plan.js";
import { SeededFilters } from "./sampling.js";

const Speed = z.number().positive();
const MethodName = z.string().min(1).max(40);

const Method = z.strictObject({
  method: MethodName,
  choices: z.array(ChoiceName).max(8).describe("what its drafts may do with a block besides running it as the target"),
  solve_seconds: z.number().nonnegative().describe("proposing drafts, measuring them and solving"),
});

const Prompt = z.strictObject({
  prompt: z.string().max(200).describe("the prompt's name or its beginning"),
  prompt_tokens: z.int().positive(),
  tokens: z
    .int()
    .min(2)
    .describe("of the target's own output; the first comes from the prompt's pass and is not timed"),
});

const Row = z
  .strictObject({
    method: MethodName,
    same_draft_as: MethodName.optional().describe("a method before it, whose runs are these as well"),
    drafter: DrafterRef.optional().describe("who drafts; absent beside a draft: the model's own blocks"),
    draft: DraftSchema.optional(),
    draft_tokens: z.int().min(1).max(MAX_DRAFT_TOKENS).optional().describe("d per round, bonus token not counted"),
    stop: z
      .literal("early")
      .optional()
      .describe("drafts end early where they are unsure, at draft_tokens at the latest; absent: all have draft_tokens"),
    draft_changes_at: z
      .array(z.int().positive())
      .max(64)
      .optional()
      .describe(
        "contexts, among those decoded, from which the plan goes on with another draft; the row's is that of the middle",
      ),
    predicted: z
      .strictObject({
        acceptance: Rate.nullable().describe("on the text that drafts were chosen on; null where nothing is drafted"),
        draft_us: Us.nullable().describe(
          "one draft step; of heads, and where a lookup drafts, all the drafting of a round; null where nothing is drafted",
        ),
        tokens_per_second: Speed,
        speedup: Speed,
      })
      .nullable()
      .describe("before anything was run; null where the draft was not measured near this context"),
    measured: z.strictObject({
      acceptance: Rate.nullable(),
      tokens_per_second: Interval,
      speedup: Interval.describe("over plain decoding, in pairs"),
      mean_draft_tokens: z
        .number()
        .min(1)
        .nullable()
        .optional()
        .describe("tokens drafted in a round that drafts; absent: nobody weighed when drafts end"),
      baseline_speed_ratio: Interval.describe("the baseline's tokens per second over this method's, in pairs"),
    }),
    prediction_error_percent: z.number().nullable(),
    lossless: z.boolean(),
    ties: z.int().min(0),
    us_per_token: z.array(z.array(z.number().nonnegative()).min(1)).min(1).describe("[prompts][runs]"),
  })
  .superRefine((row, context) => {
    const faults = row.draft_tokens === undefined ? [] : drafterFaults(row);
    for (const { key, message } of faults) context.addIssue({ code: "custom", message, path: [key] });
    if (((row.draft ?? row.drafter) === undefined) === (row.draft_tokens === undefined)) return;
    context.addIssue({ code: "custom", message: "a draft and its length come together", path: ["draft_tokens"] });
  });
export type ComparedRow = z.infer<typeof Row>;

const FrontierPoint = z.strictObject({
  draft_us: Us,
  acceptance: Rate,
  evidence: z
    .enum(["surrogate", "choose", "report"])
    .describe(
      "surrogate: a point of the knapsack's frontier, expected; else a draft measured on that part of the text",
    ),
});
export type FrontierPoint = z.infer<typeof FrontierPoint>;

const ComparedContext = z.strictObject({
  context_tokens: z.int().positive(),
  target_step_us: z.number().positive().describe("predicted: one plain step, loop included"),
  round_us: Us.describe("predicted: what the decoding loop adds to a round"),
  verify_us: z
    .array(Us)
    .min(1)
    .max(MAX_DRAFT_TOKENS)
    .describe("predicted: one pass of the target over d + 1 tokens, d from 1"),
  prompts: z.array(Prompt).min(1).max(1000),
  rows: z.array(Row).min(1).max(100),
  frontier: z.array(FrontierPoint).max(10_000),
});
export type ComparedContext = z.infer<typeof ComparedContext>;

export const Comparison = z.strictObject({
  kind: z.literal("draftplan/comparison"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  inputs: z.strictObject({ profile: InputRef, calibration: InputRef }),
  extrapolated: Extrapolated.optional().describe("costs were drawn on beyond the profile, for the longest contexts"),
  text: z
    .strictObject({ source: z.string().max(400), sha256: Sha256 })
    .describe("what drafts were chosen on: its first part"),
  prompts: z
    .strictObject({ source: z.string().max(400), sha256: Sha256 })
    .describe("what was run: the text's other part, or a file; the digest is of the prompts' token ids"),
  tokenizer_sha256: Sha256.nullable(),
  versions: Versions,
  created: z.iso.datetime(),
  choices: z.array(ChoiceName).max(8),
  baseline: MethodName.describe("the method that the others are held against"),
  methods: z.array(Method).min(1).max(100),
  max_tokens: z.int().min(2).describe("tokens asked for after each prompt"),
  pairs: z.int().positive().describe("runs of each plan on each prompt; fewer where time ended"),
  time_limit_seconds: z.number().positive().nullable().describe("for the runs side by side"),
  sampling: SeededFilters.optional().describe(
    "how tokens were drawn, or penalised; absent: the likeliest tokens were taken. Plans are chosen for those",
  ),
  lossless: z
    .boolean()
    .describe(
      "every run of every plan emitted the target's own tokens; where tokens are drawn: none that the filters do not leave",
    ),
  contexts: z.array(ComparedContext).min(1).max(64).describe("by rising context_tokens"),
});
export type Comparison = z.infer<typeof Comparison>;
