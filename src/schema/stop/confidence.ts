/** How sure a draft is, and how often it is then right. */
import { z } from "zod";
import { Rate } from "../common.js";

const Below = z.number().positive().max(1).describe("confidence under this; of the last bin 1, which it holds too");

type Issue = (message: string, ...path: (string | number)[]) => void;

function requireBins(bins: readonly { below: number; acceptance: number }[], issue: Issue): void {
  bins.forEach(({ below, acceptance }, i) => {
    const before = bins[i - 1];
    if (before !== undefined && below <= before.below) issue(`${below} does not lie above ${before.below}`, i, "below");
    if (before !== undefined && acceptance < before.acceptance)
      issue(`${acceptance}, and a less confident draft is accepted with ${before.acceptance}`, i, "acceptance");
  });
  if (bins.at(-1)?.below !== 1) issue("its last bin must end at 1", Math.max(0, bins.length - 1), "below");
}

const checked = <Bin extends { below: number; acceptance: number }>(bins: z.ZodType<Bin>) =>
  z
    .array(bins)
    .min(1)
    .max(32)
    .superRefine((all, context) =>
      requireBins(all, (message, ...path) => context.addIssue({ code: "custom", message, path })),
    );

/** Acceptance by the draft's confidence: p₁ / (p₁ + p₂), its two likeliest tokens where it takes one (stats/confidence.ts). */
export const ConfidenceTable = checked(
  z
    .strictObject({
      below: Below,
      positions: z.int().positive().describe("positions with this confidence, all tokens before them accepted"),
      accepted: z.number().nonnegative().describe("of these; of sampled text the sum of the chances of acceptance"),
      acceptance: Rate.describe("never falling with confidence, half a miss counted that was not seen"),
      beyond: z
        .int()
        .nonnegative()
        .optional()
        .describe("positions drafted behind a token that was rejected; absent: only accepted text was looked at"),
    })
    .refine(({ positions, accepted }) => accepted <= positions * (1 + 1e-6), "more accepted than positions"),
);
export type ConfidenceTable = z.infer<typeof ConfidenceTable>;

/** What a decoder takes a draft's confidence for. */
export const ConfidenceScale = checked(z.strictObject({ below: Below, acceptance: Rate }));
export type ConfidenceScale = z.infer<typeof ConfidenceScale>;

/** What a confidence is taken for. */
export function acceptanceAt<Bin extends { below: number }>(bins: readonly Bin[], confidence: number): Bin {
  return bins.find(({ below }) => confidence < below) ?? bins[bins.length - 1];
}
