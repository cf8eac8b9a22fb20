/** Parts that several document kinds share. Unknown keys are errors everywhere. */
import { z } from "zod";
import {
  type AttentionKernel,
  CHOICES,
  type Choice,
  choiceFault,
  type HeadKernel,
  isChoice,
  isHeadKernel,
  KERNEL_NAMES,
  type Kernel,
} from "./choice.js";
import { CPU_NUMERICS, DEFAULT_PRECISION, type Numerics, numericsName, TARGET_PRECISIONS } from "./numerics.js";

export const Sha256 = z.string().regex(/^[0-9a-f]{64}$/, "expected 64 hexadecimal digits");
export const Us = z.number().nonnegative().describe("microseconds");
export const Rate = z.number().min(0).max(1);

export const ModelRef = z.strictObject({
  name: z.string().max(200),
  layers: z.int().min(1).max(1024),
  architecture_sha256: Sha256,
  weights_sha256: Sha256.nullable().describe("null in a profile made without weights"),
  revision: z
    .string()
    .regex(/^[0-9a-f]{40}$/, "expected 40 hexadecimal digits")
    .optional()
    .describe("the Hugging Face hub's commit, where the model came from there"),
});
export type ModelRef = z.infer<typeof ModelRef>;

/** Where latencies were measured. Never a host name, never a path. */
export const Device = z.strictObject({
  processor: z.string().max(200).describe("CPU or GPU model"),
  provider: z.string().max(40),
  threads: z.int().positive(),
  runtime: z.string().max(80).describe("library and version"),
  platform: z.string().max(80).describe("operating system and architecture"),
  target: z
    .enum(TARGET_PRECISIONS.filter((precision) => precision !== DEFAULT_PRECISION))
    .optional()
    .describe(`the target's precision there; absent: ${DEFAULT_PRECISION}`),
  scales: z.literal("fitted").optional().describe("how codes and scales of kernels were found; absent: by rounding"),
});
export type Device = z.infer<typeof Device>;

export const differingDeviceKeys = (a: Device, b: Device): (keyof Device)[] =>
  (Object.keys({ ...a, ...b }) as (keyof Device)[]).filter((key) => a[key] !== b[key]);

/** What a device says under a key; only the target's precision may be left out. */
export const deviceSays = (device: Device, key: keyof Device): string =>
  String(device[key] ?? (key === "scales" ? "rounded" : DEFAULT_PRECISION));

/** What made a document. */
export const Versions = z.strictObject({ draftplan: z.string().max(80), node: z.string().max(80) });

export const InputRef = z.strictObject({ path: z.string().max(4096), sha256: Sha256 });
export type InputRef = z.infer<typeof InputRef>;

const ofBlock = z.enum(CHOICES);
/** A choice as documents write it: `int8`, `skip`, `int8@512`. */
export const ChoiceName = z.custom<Choice>(isChoice, {
  error: ({ input }) => (typeof input === "string" ? (choiceFault(input) ?? "") : "expected the name of a choice"),
});
export const KernelName = z.enum(KERNEL_NAMES);
/** What an attention that runs can be: a kernel, or one with a span. */
export const AttentionName = z.custom<AttentionKernel>((name) => isChoice(name) && name !== "skip");

/** What a head can be: a kernel, or one over a part of the vocabulary. */
export const HeadName = z.custom<HeadKernel>((name) => isChoice(name) && isHeadKernel(name), {
  error: ({ input }) =>
    typeof input === "string" ? (choiceFault(input) ?? `${input} is nothing that a head can be`) : "expected a name",
});

/** The numerics behind each choice's name: documents of different kernels are not joined. */
export const KernelNumerics = z.partialRecord(KernelName, z.string().max(200));
export type KernelNumerics = z.infer<typeof KernelNumerics>;

/** What these kernels compute with now: a document records it of those it was made with. */
export const numericsOf = (kernels: readonly Kernel[], numerics: Numerics = CPU_NUMERICS): KernelNumerics =>
  Object.fromEntries(kernels.map((kernel) => [kernel, numericsName(kernel, numerics)]));

/** The draft of a plan in its compact form (schema/choice.ts expands it). */
export const DraftSchema = z.strictObject({
  default: ofBlock.describe("every block not named below; never the head"),
  head: HeadName,
  skip: z.array(z.string().max(20)).max(2048),
  choices: z.record(z.string().max(20), ChoiceName),
});

/** Whose keys and values a draft of the model's own blocks reads: its own; left out where it reads the target's. */
export const DraftCache = z.literal("own");

/** a_0 = 1, then not rising */
export const AcceptanceCurve = z
  .array(Rate)
  .min(1)
  .max(257)
  .refine((curve) => curve[0] === 1, "a_0 must be 1")
  .refine((curve) => curve.every((a, i) => i === 0 || a <= curve[i - 1]), "an acceptance curve never rises");

/** A prediction at every profiled context of a segment that has several, by rising context. */
export const SpeedAlong = z
  .array(
    z.strictObject({
      context_tokens: z.int().min(0),
      tokens_per_second: z.number().positive(),
      speedup: z.number().positive(),
    }),
  )
  .min(2)
  .max(256);

const Limit = z.number().nullable().describe("null where fewer than four prompts were timed: no interval holds then");
export const Interval = z
  .strictObject({ median: z.number(), low: Limit, high: Limit })
  .refine(({ low, high }) => (low === null) === (high === null), "low and high are both null, or neither is");
export type Interval = z.infer<typeof Interval>;

/** What stands where an interval would. */
export const NO_INTERVAL = "none: fewer than 4 prompts";

/** Both limits; null where there is no interval. */
export const limitsOf = ({ low, high }: Pick<Interval, "low" | "high">): { low: number; high: number } | null =>
  low === null || high === null ? null : { low, high };

/** Costs at contexts that were not profiled: the profile's curves drawn on beyond its last context (solve/extrapolate.ts). */
export const Extrapolated = z
  .strictObject({
    beyond_context_tokens: z.int().min(0).describe("last profiled context"),
    to_context_tokens: z.int().positive().describe("last context that costs were drawn on to"),
  })
  .refine((e) => e.to_context_tokens > e.beyond_context_tokens, "nothing lies beyond: to must be greater than beyond");
export type Extrapolated = z.infer<typeof Extrapolated>;

export const ContextRange = z
  .strictObject({ from: z.int().min(0), to: z.int().positive() })
  .refine((r) => r.to > r.from, "the range is empty: to must be greater than from");
