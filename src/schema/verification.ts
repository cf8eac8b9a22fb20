/** draftplan/verification: one plan run end to end, against an independent run of the target. */
import { z } from "zod";
import { AcceptanceCurve, Device, InputRef, Interval, ModelRef, Rate } from "./common.js";

const PromptRecord = z.strictObject({
  prompt: z.string().max(200).describe("the prompt's name or its beginning"),
  prompt_tokens: z.int().positive(),
  tokens: z.int().min(0),
  ties: z.int().min(0),
  first_mismatch: z.int().min(0).nullable().describe("emitted token that is not the target's own, counted from 0"),
  worst_margin: z.number().nonnegative().describe("greatest distance of an emitted token's logit from the maximum"),
  acceptance: Rate.nullable(),
  speedup: z.number().positive(),
  predicted_speedup: z.number().positive().nullable(),
});

const ContextRecord = z.strictObject({
  context_tokens: z.strictObject({ from: z.int().min(0), to: z.int().positive() }),
  rounds: z.int().min(0),
  accepted_length: z.number().nullable(),
  acceptance: Rate.nullable(),
  measured_tokens_per_second: z.number().nonnegative(),
  predicted_tokens_per_second: z.number().nonnegative().nullable(),
});

/** Decoding with a cheaper model alone: faster perhaps, but not the target's output. */
const Alternative = z.strictObject({
  name: z.string().max(80),
  tokens_per_second: z.number().positive(),
  speedup: Interval,
  agreement: Rate.describe("share of tokens equal to the target's own up to each prompt's first difference and after it"),
  agreeing_prefix: z.number().nonnegative().describe("mean tokens before the first difference"),
});

export const Verification = z.strictObject({
  kind: z.literal("draftplan/verification"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  plan: InputRef,
  created: z.iso.datetime().optional(),
  lossless: z.boolean().describe("every emitted token's logit lies within 1e-3 of the maximum of an independent q = 1 pass"),
  ties: z.int().min(0).describe("emitted tokens that are not the maximum, within 1e-3 of it"),
  tokens: z.int().min(0),
  acceptance: Rate.nullable(),
  acceptance_curve: AcceptanceCurve.nullable(),
  accepted_length: z.number().min(1).nullable(),
  speedup: Interval,
  predicted_speedup: z.number().positive().nullable(),
  prediction_error_percent: z.number().nullable(),
  tokens_per_second: z.strictObject({ target: z.number().positive(), plan: z.number().positive() }),
  pairs: z.int().positive().describe("interleaved pairs of runs for each prompt"),
  by_context: z.array(ContextRecord),
  prompts: z.array(PromptRecord).min(1),
  alternatives: z.array(Alternative),
});
export type Verification = z.infer<typeof Verification>;
