/** The draft length as a function of the batch: how many sequences an engine decodes in one pass. */
import { z } from "zod";
import { MAX_DRAFT_TOKENS } from "./drafter.js";

/** Sequences at once that a plan speaks of, at most: an engine's own limit may lie above what a profile measured. */
const MAX_BATCH = 65_536;

const Step = z.strictObject({
  to: z.int().positive().max(MAX_BATCH).describe("the last batch of the range, included"),
  draft_tokens: z.int().min(0).max(MAX_DRAFT_TOKENS).describe("d for one sequence; 0: plain decoding"),
});

/** Ranges one behind the other; the first begins at batch 1. Beyond the last nothing was measured: plain decoding. */
export const LengthByBatch = z
  .array(Step)
  .min(1)
  .max(256)
  .refine((steps) => steps.every(({ to }, i) => i === 0 || to > steps[i - 1].to), "`to` does not rise")
  .refine((steps) => steps.some(({ draft_tokens }) => draft_tokens > 0), "no batch drafts anything");
export type LengthByBatch = z.infer<typeof LengthByBatch>;

/** What a batch is predicted to reach: tokens of all its sequences together. */
export const SpeedByBatch = z
  .array(
    z.strictObject({
      batch: z.int().positive().max(MAX_BATCH),
      draft_tokens: z.int().min(0).max(MAX_DRAFT_TOKENS),
      tokens_per_second: z.number().positive().describe("of all sequences of the batch together"),
      speedup: z.number().positive().describe("over plain decoding of the same batch"),
    }),
  )
  .min(1)
  .max(256);
export type SpeedByBatch = z.infer<typeof SpeedByBatch>;

/** d for so many sequences at once. */
export const lengthAt = (steps: LengthByBatch, batch: number): number =>
  steps.find(({ to }) => batch <= to)?.draft_tokens ?? 0;

/** The shortest list of ranges for the lengths of the batches 1, 2, 3, …. */
export function toSteps(lengths: readonly number[]): LengthByBatch {
  return lengths.flatMap((draft_tokens, i) =>
    i + 1 < lengths.length && lengths[i + 1] === draft_tokens ? [] : [{ to: i + 1, draft_tokens }],
  );
}

/** `1 to 4: 5, 5 to 16: 2, 17 to 64: 0` */
export const lengthsText = (steps: LengthByBatch): string =>
  steps
    .map(({ to, draft_tokens }, i) => {
      const from = i === 0 ? 1 : steps[i - 1].to + 1;
      return `${from === to ? from : `${from} to ${to}`}: ${draft_tokens}`;
    })
    .join(", ");
