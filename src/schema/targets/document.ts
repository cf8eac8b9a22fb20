/**
 * draftplan/targets: ways to serve one model, a target's precision times a drafter, run side by side; and what each precision
 * loses against the reference. A way is lossless for its own target: what the target itself loses is `quality`.
 */
import { z } from "zod";
import { Device, Interval, ModelRef, Rate, Sha256, Versions } from "../common.js";
import { TARGET_PRECISIONS } from "../numerics.js";

const Precision = z.enum(TARGET_PRECISIONS);

const Target = z.strictObject({
  target: Precision,
  weight_bytes: z.int().positive().describe("matrices of all blocks and of the head, in it"),
  requantised: z.string().max(400).optional().describe("what the file has quantised in another form already"),
  perplexity: z.number().min(1).describe("on text held back, the target given the text before"),
  perplexity_ratio: Interval.describe("over the reference's, window by window"),
  agreement: Interval.describe("share of positions at which it takes the reference's likeliest token"),
});
export type ComparedTarget = z.infer<typeof Target>;

const Way = z.strictObject({
  target: Precision,
  drafter: z.string().min(1).max(4096).describe("as --drafters has it; none: plain decoding"),
  drafts: z.string().max(400).describe("what it drafts at this context, in words"),
  acceptance: Rate.nullable().describe("null where nothing was drafted"),
  tokens_per_second: Interval,
  speedup: Interval.describe("over plain decoding of the reference, in runs side by side"),
  own_speedup: Interval.describe("over plain decoding of its own target"),
  lossless: z.boolean().describe("every token was its target's own"),
  ties: z.int().min(0),
  us_per_token: z.array(z.array(z.number().nonnegative()).min(1)).min(1).describe("[prompts][runs]"),
});
export type ComparedWay = z.infer<typeof Way>;

const Context = z.strictObject({
  context_tokens: z.int().positive(),
  prompts: z
    .array(z.strictObject({ prompt: z.string().max(200), prompt_tokens: z.int().positive() }))
    .min(1)
    .max(1000),
  ways: z.array(Way).min(1).max(200),
});

export const TargetComparison = z
  .strictObject({
    kind: z.literal("draftplan/targets"),
    version: z.literal(1),
    model: ModelRef,
    device: Device.describe("its target is the reference"),
    text: z.strictObject({ source: z.string().max(400), sha256: Sha256 }),
    prompts: z.strictObject({ source: z.string().max(400), sha256: Sha256 }),
    tokenizer_sha256: Sha256.nullable(),
    versions: Versions,
    created: z.iso.datetime(),
    max_tokens: z.int().min(2).describe("tokens asked for after each prompt"),
    pairs: z.int().positive().describe("runs of each way on each prompt; fewer where time ended"),
    time_limit_seconds: z.number().positive().nullable().describe("for the runs side by side"),
    quality_windows: z.int().positive().describe("windows of the text that perplexity and agreement rest on"),
    quality_tokens: z.int().positive().describe("positions in all of them"),
    targets: z.array(Target).min(1).max(8).describe("the reference first: what the provider computes in by itself"),
    contexts: z.array(Context).min(1).max(64).describe("by rising context_tokens"),
    lossless: z.boolean().describe("every run of every way emitted its target's own tokens"),
  })
  .superRefine((document, context) => {
    const names = document.targets.map(({ target }) => target);
    const fault = (path: (string | number)[], message: string) => context.addIssue({ code: "custom", message, path });
    if (new Set(names).size < names.length) fault(["targets"], "a target is named twice");
    const ways = document.contexts.flatMap((at) => at.ways);
    document.contexts.forEach(({ ways: own }, i) => {
      const other = own.findIndex(({ target }) => !names.includes(target));
      if (other !== -1) fault(["contexts", i, "ways", other, "target"], "is not among targets");
      if (!own.some(({ target, drafter }) => target === names[0] && drafter === "none"))
        fault(["contexts", i, "ways"], "plain decoding of the reference is missing");
    });
    if (document.lossless !== ways.every(({ lossless }) => lossless))
      fault(["lossless"], "does not say what the ways say");
  });
export type TargetComparison = z.infer<typeof TargetComparison>;

/** The fastest of the ways that are lossless for their own target. Null where none is. */
export const fastest = (ways: readonly ComparedWay[]): ComparedWay | null =>
  ways
    .filter(({ lossless }) => lossless)
    .reduce<ComparedWay | null>(
      (best, way) => (best === null || way.tokens_per_second.median > best.tokens_per_second.median ? way : best),
      null,
    );
