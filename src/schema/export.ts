/**
 * draftplan/export: what a plan became for an engine: the segment, the draft, what to expect of it there, the files beside
 * this document, and what the engine's form of the plan leaves out.
 */
import { z } from "zod";
import { AcceptanceCurve, ContextRange, DraftSchema, InputRef, ModelRef, Rate, Sha256 } from "./common.js";
import { DrafterRef, drafterFaults, MAX_DRAFT_TOKENS } from "./drafter.js";
import { LengthByBatch } from "./length-by-batch.js";

/** What to expect in the engine: by the plan where the drafter has no cache, or reads the target's as it does there. */
export const ExportPrediction = z.strictObject({
  at_context: z.int().min(0),
  draft_cache: z
    .enum(["own", "none"])
    .describe(
      "own: measured with a draft that fills a cache of its own, as engines do; none: what drafts has no cache",
    ),
  acceptance: Rate.describe("accepted tokens per token drafted up to and including the first rejection"),
  acceptance_curve: AcceptanceCurve,
  accepted_length: z.number().min(1).describe("tokens a round yields, bonus counted"),
  speedup: z
    .number()
    .positive()
    .nullable()
    .describe("by the plan's profile, which is not of this engine; null: the plan has none"),
  positions: z.int().positive().optional().describe("positions behind the curve"),
  rounds: z.int().nonnegative().optional().describe("rounds that came to the curve's last position"),
  match_rate: Rate.optional().describe(
    "share of rounds in which a lookup drafts; curve and length are means over all rounds, plain steps among them",
  ),
});
export type ExportPrediction = z.infer<typeof ExportPrediction>;

/**
 * What is predicted of the rounds in which something is drafted, which are all that engines count of a lookup: behind a match
 * of chance h, a_i / h.
 */
export function whereDrafted({
  acceptance_curve,
  match_rate: h = 1,
}: Pick<ExportPrediction, "acceptance_curve" | "match_rate">): { curve: number[]; length: number } {
  const curve = acceptance_curve.map((a, i) => (i === 0 || h === 0 ? a : Math.min(1, a / h)));
  return { curve, length: curve.reduce((sum, a) => sum + a, 0) };
}

/** Inside the folder, and nowhere else: never absolute, never upwards. */
const FilePath = z
  .string()
  .min(1)
  .max(400)
  .refine((path) => !/^[/\\]|\\|\0|(^|\/)\.\.?(\/|$)|^[A-Za-z]:/.test(path), "it leaves the folder");

export const Export = z
  .strictObject({
    kind: z.literal("draftplan/export"),
    version: z.literal(1),
    model: ModelRef,
    engine: z.strictObject({
      name: z.string().min(1).max(40).describe("as --to has it"),
      tried_version: z.string().max(40).nullable().describe("the engine's version that this form was tried with"),
    }),
    plan: InputRef,
    segment: ContextRange.describe("context tokens of the one segment that was exported"),
    drafter: DrafterRef.describe("who drafts"),
    draft: DraftSchema.optional().describe("of the model's own blocks, as the plan has them"),
    draft_tokens: z.int().min(1).max(MAX_DRAFT_TOKENS).describe("d per round, bonus token not counted"),
    draft_tokens_by_batch: LengthByBatch.optional(),
    predicted: ExportPrediction.nullable().describe("null: acceptance was not measured as this engine drafts"),
    files: z
      .array(z.strictObject({ path: FilePath, bytes: z.int().nonnegative(), sha256: Sha256 }))
      .max(4096)
      .describe("all others in the folder, by name"),
    notes: z.array(z.string().max(1000)).max(64).describe("what is lost or differs from the plan, a sentence each"),
  })
  .superRefine((document, context) => {
    for (const { key, message } of drafterFaults(document)) context.addIssue({ code: "custom", message, path: [key] });
  });
export type Export = z.infer<typeof Export>;
