/**
 * draftplan/profile: what every block costs on one device, over context and query length.
 * It depends on the device and the architecture, not on the weights' values.
 */
import { z } from "zod";
import { Device, KernelName, KernelNumerics, ModelRef, Us } from "./common.js";

/** µs per layer [L], for each kernel that was measured */
const PerLayer = z.partialRecord(KernelName, z.array(Us));

export const ProfilePoint = z.strictObject({
  context_tokens: z.int().min(0).describe("n, tokens in the KV cache before the pass"),
  query_tokens: z.int().positive().describe("q, tokens in the pass"),
  fixed_us: Us.describe("embedding, call and everything that is no block and no head"),
  head_us: z.partialRecord(KernelName, Us),
  attn_us: PerLayer,
  mlp_us: PerLayer,
  whole_target_us: Us.describe("measured median of the whole pass at the target's precision"),
  residual_percent: z.number().nonnegative().describe("median |sum of parts - measured| over the measured passes"),
  passes: z.int().positive().describe("measured passes behind this point"),
});
export type ProfilePoint = z.infer<typeof ProfilePoint>;

/** KnapSpec's straight line (arXiv:2602.20217): attention at q = 1 as c1 + c2 · n, one layer's mean */
export const AttentionLine = z.strictObject({
  kernel: KernelName,
  intercept_us: z.number(),
  slope_us_per_token: z.number(),
  r_squared: z.number(),
});

export const Profile = z.strictObject({
  kind: z.literal("draftplan/profile"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  kernels: KernelNumerics,
  grid: z.strictObject({
    context_tokens: z.array(z.int().min(0)).min(1).describe("rising"),
    query_tokens: z.array(z.int().positive()).min(1).describe("rising, from 1"),
  }),
  points: z.array(ProfilePoint).min(1).max(10_000),
  loop: z.strictObject({
    round_us: Us.describe("t_round: what the decoding loop adds to a draft-and-verify round"),
    step_us: Us.describe("t_step: what it adds to a plain step"),
  }),
  attention_line: z.array(AttentionLine),
  sampling: z.strictObject({
    rounds: z.int().positive().describe("interleaved rounds over the grid"),
    seed: z.int(),
    spread_percent: z.number().nonnegative().describe("median over points of (p90 - p10) / median of the target pass"),
    contention_percent: z.number().nonnegative().describe("median over points of (median - minimum) / minimum of the target pass"),
  }),
});
export type Profile = z.infer<typeof Profile>;
