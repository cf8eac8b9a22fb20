/** draftplan/verification: one plan run end to end, against an independent run of the target. */
import { z } from "zod";
import { AcceptanceCurve, Device, InputRef, Interval, ModelRef, Rate, Sha256 } from "./common.js";

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
      "first emitted token beyond 1e-3 of the maximum, counted from 0; the output's length where it ends too early",
    ),
  worst_margin: z.number().nonnegative().describe("greatest distance of an emitted token's logit from the maximum"),
  acceptance: Rate.nullable(),
  speedup: z.number().positive().nullable().describe("median over the pairs; null where the output is a single token"),
  predicted_speedup: z.number().positive().nullable(),
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

export const Verification = z.strictObject({
  kind: z.literal("draftplan/verification"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  plan: InputRef,
  created: z.iso.datetime().optional(),
  lossless: z
    .boolean()
    .describe("every emitted token's logit lies within 1e-3 of the maximum of an independent q = 1 pass"),
  ties: z.int().min(0).describe("emitted tokens that are not the maximum, within 1e-3 of it"),
  tokens: z.int().min(0).describe("emitted and compared, over all prompts"),
  acceptance: Rate.nullable(),
  acceptance_curve: AcceptanceCurve.nullable(),
  accepted_length: z.number().min(1).nullable(),
  speedup: Interval,
  predicted_speedup: z.number().positive().nullable(),
  prediction_error_percent: z.number().nullable(),
  tokens_per_second: z.strictObject({ target: z.number().positive(), plan: z.number().positive() }),
  pairs: z.int().positive().describe("interleaved pairs of runs for each prompt"),
  max_tokens: z.int().min(2).describe("tokens asked for after each prompt"),
  prompts_sha256: Sha256.describe("digest of the prompts' token ids"),
  by_context: z.array(ContextRecord),
  prompts: z.array(PromptRecord).min(1),
  alternatives: z.array(Alternative),
});
export type Verification = z.infer<typeof Verification>;
