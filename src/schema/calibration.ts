/**
 * draftplan/calibration: what leaving out or quantising each block costs in acceptance, at each context, and the
 * acceptance curves measured for whole drafts. It depends on weights and text, not on the device.
 */
import { z } from "zod";
import {
  type BlockKind,
  type DraftChoice,
  type HeadKernel,
  isChoice,
  isShort,
  isSpanned,
  type SpannedKernel,
  suits,
} from "./choice.js";
import { TokenRanking } from "./choices/ranking.js";
import {
  AcceptanceCurve,
  DraftCache,
  DraftSchema,
  HeadName,
  KernelNumerics,
  ModelRef,
  Rate,
  Sha256,
} from "./common.js";
import { MAX_SIBLINGS } from "./drafter.js";
import { HeadsCalibration } from "./heads-calibration.js";
import { ConfidenceTable } from "./stop/confidence.js";
import { LookupCalibration, ModelCalibration } from "./text-calibration.js";

const Loss = z.strictObject({
  loss: z.number().nonnegative().describe("l_b: share of -ln(acceptance) that this choice costs"),
  standard_error: z.number().nonnegative(),
});

const isDraftChoice = (name: unknown, kind: BlockKind) => isChoice(name) && name !== "target" && suits(name, kind);
/** [L] per choice other than target; spans are attention's alone */
const lossesOf = (kind: BlockKind) =>
  z.partialRecord(
    z.custom<DraftChoice>((name) => isDraftChoice(name, kind)),
    z.array(Loss),
  );

/** What a span loses in several layers of one draft, beside the sum of what it loses in each by itself. */
const SpansTogether = z.strictObject({
  factor: z
    .number()
    .positive()
    .describe("loss over sum, of the larger drafts: a span's losses count so much in the solver"),
  drafts: z
    .array(
      z.strictObject({
        layers: z.int().min(2).describe("layers that have the span; of the others everything is the target's"),
        summed: z.number().nonnegative().describe("what these layers lose by themselves, added up"),
        loss: z.number().nonnegative(),
        standard_error: z.number().nonnegative(),
      }),
    )
    .min(1)
    .max(64),
});
export type SpansTogether = z.infer<typeof SpansTogether>;

export const CalibrationContext = z.strictObject({
  at_context: z.int().min(0).describe("tokens before the first measured position"),
  positions: z
    .int()
    .positive()
    .describe("positions that losses were measured on; a skip that was known sooner, on fewer"),
  hits_per_overlap: z
    .number()
    .positive()
    .describe("factor from -ln(overlap) to -ln(top-1 hit rate), pooled over blocks"),
  head: z.partialRecord(HeadName, Loss),
  attn: lossesOf("attn"),
  mlp: lossesOf("mlp"),
  together: z
    .partialRecord(
      z.custom<SpannedKernel>((name) => isChoice(name) && isSpanned(name)),
      SpansTogether,
    )
    .optional()
    .describe("spans of several layers at once; absent: losses are summed as they are"),
});
export type CalibrationContext = z.infer<typeof CalibrationContext>;

/** The acceptance of one whole draft, measured. */
export const MeasuredDraft = z.strictObject({
  at_context: z.int().min(0),
  part: z
    .enum(["choose", "report"])
    .describe("choose: text plans are picked on; report: text never seen before, real drafting"),
  draft: DraftSchema,
  draft_cache: DraftCache.optional().describe(
    "own: measured with keys and values that the draft itself wrote; absent: over the target's",
  ),
  tokens: z.int().positive().describe("positions behind the curve"),
  curve: AcceptanceCurve.describe(
    "[d+1] a_i, share of rounds whose first i drafted tokens are all accepted, as their marginal tokens: 1 + sum to d is the mean round of d",
  ),
  reached: z
    .array(z.int().nonnegative())
    .max(256)
    .optional()
    .describe(
      "[d] rounds that came to position i (drafted i, accepted i - 1); absent: not counted, and then no length is refused for having too few",
    ),
  length_errors: z
    .array(z.number().nonnegative())
    .max(256)
    .optional()
    .describe(
      "[d] standard error of the tokens of a round of 1, 2, … drafted tokens, as a share of them, by how texts of a kind differ; absent: not counted",
    ),
  siblings: z
    .array(z.array(Rate).min(1).max(MAX_SIBLINGS))
    .max(256)
    .optional()
    .describe(
      "[d][ranks] share of the rounds that came to position i in which the target's token is the draft's second, third, … likeliest there; absent: not looked at, and no draft has siblings",
    ),
  confidence: ConfidenceTable.optional().describe(
    "acceptance by how sure the draft was of its token; absent: not looked at, and drafts have a fixed length",
  ),
});
export type MeasuredDraft = z.infer<typeof MeasuredDraft>;

const CalibrationShape = z.strictObject({
  kind: z.literal("draftplan/calibration"),
  version: z.literal(1),
  model: ModelRef,
  kernels: KernelNumerics,
  text: z.strictObject({
    source: z.string().max(400).describe("bundled, or the files given"),
    sha256: Sha256,
    tokenizer_sha256: Sha256.optional().describe("of the tokenizer's definition"),
    prompts: z.strictObject({ choose: z.int().positive(), report: z.int().positive() }),
    prompts_per_context: z
      .int()
      .positive()
      .max(1000)
      .optional()
      .describe("prompts of each part that were asked for; absent: as many as usual"),
    continuation_tokens: z.int().positive().describe("of each prompt, continued by the target"),
    temperature: z
      .number()
      .positive()
      .optional()
      .describe("what the continuations were sampled at, and acceptance is for; absent: greedy"),
    round_tokens: z.int().positive().describe("d of the rounds that losses were measured in"),
  }),
  contexts: z.array(CalibrationContext).min(1).max(64).describe("by rising at_context"),
  ranking: TokenRanking.optional().describe(
    "the commonest tokens of the text, for short heads; absent: none was measured",
  ),
  method: z.string().max(40).optional().describe("who proposed the measured drafts, where that was not the knapsack"),
  measured: z.array(MeasuredDraft).max(10_000),
  heads: z
    .array(HeadsCalibration)
    .min(1)
    .max(16)
    .optional()
    .describe("accuracy of trained heads, by the ranks of the text"),
  lookup: LookupCalibration.optional().describe("how a lookup guesses the text"),
  models: z
    .array(ModelCalibration)
    .min(1)
    .max(16)
    .optional()
    .describe("how other models guess the text, a kernel each"),
});

/** Of a short head nothing is known without the tokens that it was over. */
export const Calibration = CalibrationShape.superRefine(({ contexts, measured, ranking }, context) => {
  if (ranking !== undefined) return;
  const names = [...contexts.flatMap(({ head }) => Object.keys(head)), ...measured.map(({ draft }) => draft.head)];
  const short = (names as HeadKernel[]).find(isShort);
  if (short !== undefined)
    context.addIssue({ code: "custom", message: `missing, and ${short} was measured`, path: ["ranking"] });
});
export type Calibration = z.infer<typeof Calibration>;
