/**
 * draftplan/profile: what every block costs on one device, over context and query length.
 * It depends on the device and the architecture, not on the weights' values.
 */
import { z } from "zod";
import { BatchProfiles, batchFaults } from "./batch-profile.js";
import { AttentionName, Device, HeadName, KernelName, KernelNumerics, ModelRef, Us } from "./common.js";
import { GpuFacts } from "./gpu.js";
import { HeadsProfile, ModelProfile, TreePass, treePassFaults } from "./heads-profile.js";
import { Imported, Scaled, Synthetic } from "./profile-origin.js";
import { WeightBytes } from "./weight-bytes.js";

/** µs per layer [L], for each kernel that was measured */
const PerLayer = z.partialRecord(KernelName, z.array(Us));

const LayerErrors = z.array(z.number().nonnegative()).max(10_000);

const Factors = z.array(z.number().nonnegative()).min(1).max(1000);
const FactorsByKernel = z.partialRecord(KernelName, Factors);

/**
 * Bootstrap over rounds: what each draw makes of the point's values, as factors. Draw i is the same in every point. Parts
 * are there at q = 1 only; a verification needs the whole target alone.
 */
const Resampled = z.strictObject({
  fixed: Factors.optional(),
  head: z.partialRecord(HeadName, Factors).optional(),
  attn: z.partialRecord(AttentionName, Factors).optional(),
  mlp: FactorsByKernel.optional(),
  whole_target: Factors,
});

/** One number for each third of the sweep; a difference of two passes may be below 0. */
const ByThird = z.array(z.number()).max(16);

/** What a block costs by the passes of this point alone, beside the curve through all contexts (profile/fit/raw-points.ts). */
const Raw = z.strictObject({
  attn: z.partialRecord(AttentionName, ByThird).describe("µs of one block, all layers alike"),
  mlp: z.partialRecord(KernelName, ByThird),
  whole_target: ByThird.describe("µs of the whole pass, median"),
});

export const ProfilePoint = z.strictObject({
  context_tokens: z.int().min(0).describe("n, tokens in the KV cache before the pass"),
  query_tokens: z.int().positive().describe("q, tokens in the pass"),
  fixed_us: Us.describe("embedding, call and everything that is no block and no head"),
  head_us: z.partialRecord(HeadName, Us),
  attn_us: z.partialRecord(AttentionName, z.array(Us)).describe("a kernel, or one with a span: at q = 1 alone"),
  mlp_us: PerLayer,
  whole_target_us: Us.describe(
    "measured median of the whole pass at the target's precision, slow-downs of whole visits taken out",
  ),
  residual_percent: z
    .number()
    .nonnegative()
    .describe("median |sum of parts - measured| / measured over the passes, slow-downs of the whole machine taken out"),
  passes: z.int().positive().optional().describe("measured passes behind this point; not known of an imported one"),
  raw: Raw.optional(),
  resampled: Resampled.optional(),
});
export type ProfilePoint = z.infer<typeof ProfilePoint>;

/** KnapSpec's straight line (arXiv:2602.20217): attention at q = 1 as c1 + c2 · n, one layer's mean */
export const AttentionLine = z.strictObject({
  kernel: KernelName,
  intercept_us: z.number(),
  slope_us_per_token: z.number(),
  r_squared: z.number(),
});
export type AttentionLine = z.infer<typeof AttentionLine>;

/** What a part of one step (q = 1) reads, over the bandwidth of memory; and how many times as long it takes. */
export const Floor = z.strictObject({
  read_bytes_per_second: z
    .number()
    .positive()
    .describe("of memory, with the profile's threads; fastest of some passes"),
  kv_bytes_per_token: z.int().positive().describe("keys and values of one layer"),
  parts: z.array(
    z.strictObject({
      part: z.enum(["attn", "mlp", "head"]).describe("a block of one layer, in the mean over layers, or the head"),
      kernel: KernelName,
      context_tokens: z.int().min(0),
      floor_us: z.number().positive(),
      times_floor: z
        .number()
        .nonnegative()
        .describe("measured over floor; below 1 it was read from a cache; 0: too small a part to be told from noise"),
    }),
  ),
});
export type Floor = z.infer<typeof Floor>;

/**
 * The whole target over every q, at one context: between the grid's q the cost is a staircase. Relative to itself: only its
 * distance from the straight line between two q of the grid is used (solve/latency.ts).
 */
export const QueryLine = z
  .strictObject({
    context_tokens: z.int().min(0),
    query_tokens: z.array(z.int().positive()).min(1).max(256),
    target_us: z.array(z.number().positive()),
  })
  .refine(({ query_tokens, target_us }) => query_tokens.length === target_us.length, "as many times as query lengths")
  .refine(({ query_tokens }) => query_tokens.every((q, i) => q === i + 1), "the query lengths must be 1, 2, 3, …");

const ErrorSummary = z.strictObject({
  drafts: z.int().positive().describe("bursts of draft steps that were predicted"),
  median_percent: z.number().nonnegative().describe("median of |predicted / measured - 1|"),
  p90_percent: z.number().nonnegative(),
  signed_percent: z.number().describe("median of predicted / measured - 1: above 0, too dear"),
});

/** How draftplan measured; an imported profile has none. */
const Sampling = z.strictObject({
  rounds: z.int().positive().describe("interleaved rounds over the grid"),
  stopped_by: z
    .enum(["precision", "rounds", "time", "interrupted"])
    .optional()
    .describe("what ended the sweep: precise enough, enough rounds, no more time, or a signal"),
  unmet: z
    .array(z.enum(["precision", "rounds", "time"]))
    .optional()
    .describe("criteria that were not met: the precision asked for, the least number of rounds, the time allowed"),
  precision_percent: z
    .number()
    .nonnegative()
    .nullable()
    .optional()
    .describe("relative standard error of the whole target's median, mean over the points; null: from a single round"),
  seed: z.int(),
  spread_percent: z.number().nonnegative().describe("median over points of (p90 - p10) / median of the target pass"),
  contention_percent: z
    .number()
    .nonnegative()
    .describe("median over points of (median - minimum) / minimum of the target pass"),
  drift_percent: z.number().optional().describe("last round against the first, by the drift that was taken out"),
  left_out_percent: z.number().min(0).max(100).optional().describe("visits that were too slow to be used"),
});

const isRising = (values: readonly number[]): boolean => values.every((value, i) => i === 0 || value > values[i - 1]);

const MAX_POINTS = 10_000;

const ProfileShape = z.strictObject({
  kind: z.literal("draftplan/profile"),
  version: z.literal(1),
  model: ModelRef,
  device: Device,
  gpu: GpuFacts.optional().describe("what the driver said of an NVIDIA GPU before and after the sweep"),
  kernels: KernelNumerics,
  context_limit_tokens: z.int().positive().optional().describe("most tokens that the model was made for"),
  synthetic: Synthetic.optional(),
  scaled: Scaled.optional(),
  imported: Imported.optional(),
  grid: z.strictObject({
    context_tokens: z.array(z.int().min(0)).min(1).refine(isRising, "the contexts do not rise"),
    query_tokens: z
      .array(z.int().positive())
      .min(1)
      .refine((queries) => queries[0] === 1 && isRising(queries), "the query lengths must rise from 1"),
  }),
  points: z.array(ProfilePoint).min(1).max(MAX_POINTS),
  layer_error: z
    .strictObject({ attn: z.partialRecord(AttentionName, LayerErrors), mlp: z.partialRecord(KernelName, LayerErrors) })
    .optional()
    .describe("standard error of one layer's cost beside the mean of its kind at q = 1, in share of that mean"),
  query_line: QueryLine.optional(),
  batches: BatchProfiles.optional().describe("passes over several sequences at once, by rising batch; an engine's own"),
  loop: z.strictObject({
    round_us: Us.describe("t_round: what the decoding loop adds to a draft-and-verify round"),
    step_us: Us.describe("t_step: what it adds to a plain step"),
    span_us: Us.optional().describe("what a layer with a span adds to a round: its cache takes over what was added"),
    confidence_us: Us.optional().describe(
      "reading off a drafted token's logits how sure the draft is; absent: not measured, and no draft is planned to stop early",
    ),
  }),
  heads: z.array(HeadsProfile).min(1).max(16).optional().describe("passes of trained heads"),
  models: z.array(ModelProfile).min(1).max(32).optional().describe("steps of other models that draft, a kernel each"),
  tree_passes: z
    .array(TreePass)
    .min(1)
    .max(4096)
    .optional()
    .describe("verifying a tree beside a chain of as many rows"),
  attention_line: z.array(AttentionLine),
  floor: Floor.optional().describe("how far parts of a step are from what memory allows"),
  experts: z
    .strictObject({
      count: z.int().positive(),
      per_token: z.int().positive(),
      tokens: z
        .enum(["text", "random"])
        .describe("what passes were made of: tokens of a text ask for fewer experts between them than any at random"),
    })
    .refine((e) => e.per_token <= e.count, "a token asks for more experts than there are")
    .optional()
    .describe("MLPs are mixtures: a pass reads the experts that its tokens ask for; absent: they are not"),
  weight_bytes: WeightBytes.optional().describe("of the matrices of one block and of the head, by kernel"),
  shapes: z
    .array(
      z.strictObject({
        query_tokens: z.int().positive(),
        attn_knots: z
          .array(z.int().min(0))
          .min(1)
          .max(64)
          .describe("contexts where attention's line bends, ends included"),
        attn_by_kernel: z.boolean().describe("attention rises with n differently under each kernel"),
        mlp_rises: z.boolean().describe("the MLP takes longer at long contexts"),
      }),
    )
    .max(64)
    .optional()
    .describe("how the costs at each q depend on n, as far as passes kept out of the fit show it"),
  errors: z
    .strictObject({
      held_out: ErrorSummary.nullable().describe("drafts of random choices that were kept out of the fit"),
      left_out_context: ErrorSummary.nullable().describe("drafts at a context, predicted from its neighbours alone"),
    })
    .optional(),
  sampling: Sampling.optional(),
});

/** One point for every place of the grid, each with the target and all its layers: whoever reads on need not ask again. */
export const Profile = ProfileShape.superRefine((profile, context) => {
  const { grid, model, points, query_line } = profile;
  if (profile.sampling === undefined && profile.imported === undefined)
    context.addIssue({ code: "custom", message: "the key is missing", path: ["sampling"] });
  if (profile.scaled !== undefined && profile.scaled.layers !== model.layers)
    context.addIssue({ code: "custom", message: `the model has ${model.layers} layers`, path: ["scaled", "layers"] });
  if (grid.context_tokens.length * grid.query_tokens.length > MAX_POINTS) {
    context.addIssue({ code: "custom", message: `more than ${MAX_POINTS} places`, path: ["grid"] });
    return;
  }
  const open = new Set(
    grid.context_tokens.flatMap((n) => grid.query_tokens.map((q) => `${n} tokens of context with ${q} in the pass`)),
  );
  points.forEach((point, i) => {
    const issue = (message: string, ...path: string[]) =>
      context.addIssue({ code: "custom", message, path: ["points", i, ...path] });
    const place = `${point.context_tokens} tokens of context with ${point.query_tokens} in the pass`;
    if (!open.delete(place)) issue(`${place} is not on the grid, or is there twice`);
    if (point.head_us.target === undefined) issue("the target's own cost is missing", "head_us");
    for (const part of ["attn_us", "mlp_us"] as const) {
      if (point[part].target === undefined) issue("the target's own costs are missing", part);
      for (const [kernel, layers = []] of Object.entries(point[part])) {
        if (layers.length !== model.layers)
          issue(`${layers.length} layers, and the model has ${model.layers}`, part, kernel);
      }
    }
  });
  const draws = points[0]?.resampled?.whole_target.length; // none: said already
  points.forEach(({ resampled }, i) => {
    const parts = [
      resampled?.fixed,
      ...[resampled?.head, resampled?.attn, resampled?.mlp].flatMap((p) => Object.values(p ?? {})),
    ];
    const differs = parts.some((part) => part !== undefined && part.length !== draws);
    if (resampled?.whole_target.length !== draws || differs)
      context.addIssue({
        code: "custom",
        message: "every part of every point must have as many draws",
        path: ["points", i, "resampled"],
      });
  });
  const longest = grid.query_tokens[grid.query_tokens.length - 1];
  if (query_line !== undefined && query_line.query_tokens.length !== longest)
    context.addIssue({
      code: "custom",
      message: `it must go to q = ${longest}, as the grid does`,
      path: ["query_line"],
    });
  for (const issue of batchFaults(profile)) context.addIssue({ code: "custom", ...issue });
  for (const issue of treePassFaults(profile)) context.addIssue({ code: "custom", ...issue });
  for (const place of open) context.addIssue({ code: "custom", message: `no point for ${place}`, path: ["points"] });
  for (const kind of ["attn", "mlp"] as const)
    for (const [kernel, shares] of Object.entries(profile.layer_error?.[kind] ?? {}))
      if (shares.length !== model.layers)
        context.addIssue({
          code: "custom",
          message: `the model has ${model.layers} layers`,
          path: ["layer_error", kind, kernel],
        });
});
export type Profile = z.infer<typeof Profile>;
