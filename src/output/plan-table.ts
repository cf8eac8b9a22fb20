/** A plan on a terminal: a line for each segment, or a table with what is predicted. */
import type { Solved } from "../pipeline/solve.js";
import { lengthsText } from "../schema/length-by-batch.js";
import type { Plan, Predicted, Segment } from "../schema/plan.js";
import { draftingText, draftText, ownCacheText, stopText } from "../schema/plan-text.js";
import { extrapolatedLine } from "./format.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

/** `0 to 1024: skip 2, int8 58, head int8; d 5; predicted 1.48 times` for each segment. */
export function describeSegment(segment: Segment, layers: number): string {
  const { from, to } = segment.context_tokens;
  const context = `context ${from} to ${to}${segment.extrapolated === true ? " (extrapolated)" : ""}`;
  if (!segment.speculate) return `${context}: do not speculate, plain decoding is as fast`;
  const skip = segment.draft?.skip ?? [];
  const skipped = skip.length > 0 && skip.length <= 8 ? ` (${skip.join(" ")})` : "";
  return `${context}: draft ${draftingText(segment, layers)}${skipped}`;
}

/** A line for each segment that has a length by batch. */
const batchLines = ({ segments }: Plan): string[] =>
  segments.flatMap(({ context_tokens: { from, to }, draft_tokens_by_batch: steps }) =>
    steps === undefined ? [] : [`Draft length by sequences at once, context ${from} to ${to}: ${lengthsText(steps)}`],
  );

/** A line for each segment whose drafts might end early. */
const stopLines = ({ segments }: Plan): string[] =>
  segments.flatMap((segment) => {
    const text = stopText(segment);
    const { from, to } = segment.context_tokens;
    return text === null ? [] : [`Context ${from} to ${to}: ${text}.`];
  });

/** A line for each segment that drafts with a cache of its own. */
const ownCacheLines = (plan: Plan): string[] =>
  plan.segments.flatMap((segment) => (segment.speculate ? (ownCacheText(plan, segment) ?? []) : []));

/** `1.48` and, where the profile has resamples, `1.44 to 1.53` below it. */
function speedupWithInterval({ speedup, speedup_interval: interval }: Predicted): string {
  const estimate = speedup.toFixed(2);
  return interval === undefined ? estimate : `${estimate}\n${interval.low.toFixed(2)} to\n${interval.high.toFixed(2)}`;
}

function planTable(plan: Plan, columns: number): string {
  const head = ["context", "d", "draft", "accepted", "draft / verify / step", "tokens/s", "speedup"];
  const rows = plan.segments.map((segment) => {
    const { context_tokens: range, speculate, drafter, draft, draft_tokens, predicted, extrapolated } = segment;
    const context = `${range.from} to ${range.to}${extrapolated === true ? " *" : ""}`;
    if (!speculate) return [context, "-", "none: plain decoding is as fast", "-", "-", "-", "1"];
    const ms = (us: number | undefined) => (us === undefined ? "?" : (us / 1000).toFixed(1));
    return [
      context,
      draft_tokens ?? "-",
      draftText({ drafter, draft }, plan.model.layers),
      predicted === undefined ? "?" : `${(100 * predicted.acceptance).toFixed(1)} %`,
      `${ms(predicted?.draft_us)} / ${ms(predicted?.verify_us)} / ${ms(predicted?.target_step_us)} ms`,
      predicted?.tokens_per_second.toFixed(1) ?? "?",
      predicted === undefined ? "?" : speedupWithInterval(predicted),
    ];
  });
  return [
    drawTable({ head, rows, widths: [13, 4, 20, 10, 15, 10, 9] }, columns),
    ...extrapolatedLine(plan).map((line) => `* ${line}`),
    ...batchLines(plan),
    ...stopLines(plan),
    ...ownCacheLines(plan),
  ].join("\n");
}

/** What `solve` ends with: the plan, where it lies, and what was measured for it. */
export function solveSummary({ plan, output, measured, pairs }: Solved, columns = TABLE_COLUMNS): string {
  return [
    planTable(plan, columns),
    "",
    `Plan: ${output}`,
    ...(measured === null ? [] : [`Calibration with what was measured: ${measured.path}`]),
    ...(pairs === null ? [] : [pairsLine(pairs)]),
  ].join("\n");
}

/** `Pairs of blocks with a term in the surrogate: 0 at 128, 2 at 1024 tokens` */
const pairsLine = (pairs: NonNullable<Solved["pairs"]>): string =>
  `Pairs of blocks with a term in the surrogate: ${pairs.map(({ atContext, count }) => `${count} at ${atContext}`).join(", ")} tokens`;
