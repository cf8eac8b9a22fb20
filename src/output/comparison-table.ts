/** A comparison as a table: a row a method, contexts below each other. */
import { counted } from "../core/text.js";
import type { ComparedContext, ComparedRow, Comparison } from "../schema/comparison.js";
import { draftText } from "../schema/plan-text.js";
import { draws } from "../schema/sampling.js";
import { extrapolatedLine, formatPercent, spread } from "./format.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

export function comparisonTable(comparison: Comparison, columns = TABLE_COLUMNS): string {
  const { contexts, methods, model, baseline, lossless, extrapolated, sampling } = comparison;
  const seconds = new Map(methods.map(({ method, solve_seconds }) => [method, solve_seconds]));
  const verdict = lossless
    ? isDrawn(sampling)
      ? "Tokens were drawn; every one is a token that the filters leave. Whether they have the target's distribution, verify proves."
      : "Every run of every plan emitted the target's own tokens."
    : "NOT lossless: some runs did not emit the target's own tokens.";
  return [
    ...contexts.map((at) => contextTable(at, model.layers, baseline, seconds, columns)),
    `Each cell: measured, its 95 % interval, what was predicted. ${baseline} ÷: its speed over the row's.`,
    ...extrapolatedLine({ extrapolated }).map((line) => `Predictions are partly ${line}.`),
    verdict,
  ].join("\n\n");
}

const isDrawn = (sampling: Comparison["sampling"]): boolean => sampling !== undefined && draws(sampling);

function contextTable(
  { context_tokens, prompts, rows }: ComparedContext,
  layers: number,
  baseline: string,
  seconds: ReadonlyMap<string, number>,
  columns: number,
): string {
  const head = ["method", "d", "α", "tokens/s", "speedup", `${baseline} ÷`, "solved"];
  const cells = rows.map((row) => {
    const { measured, predicted } = row;
    return [
      methodText(row, layers),
      row.draft_tokens ?? "-",
      measured.acceptance === null ? "-" : lines(formatPercent(measured.acceptance), shareOf(predicted?.acceptance)),
      lines(spread(measured.tokens_per_second, 1), predicted?.tokens_per_second.toFixed(1)),
      measured.acceptance === null ? "1" : lines(spread(measured.speedup, 2), predicted?.speedup.toFixed(2)),
      row.method === baseline ? "-" : spread(measured.baseline_speed_ratio, 2),
      `${(seconds.get(row.method) ?? 0).toFixed(1)} s`,
    ];
  });
  const table = drawTable({ head, rows: cells, widths: [15, 4, 9, 13, 11, 12, 8] }, columns);
  return `Context ${context_tokens}, ${counted(prompts.length, "prompt")}\n${table}`;
}

function methodText(row: ComparedRow, layers: number): string {
  const { method, draft_tokens, draft_changes_at, same_draft_as, lossless } = row;
  const what = draft_tokens === undefined ? "plain decoding" : draftText(row, layers);
  const same = same_draft_as === undefined || draft_tokens === undefined ? undefined : `(as ${same_draft_as})`;
  const changes = draft_changes_at === undefined ? undefined : `(changes at ${draft_changes_at.join(", ")})`;
  const early = row.stop === undefined ? undefined : `(ends early, ${mean(row)} drafted)`;
  return lines(method, what, early, changes, same, lossless ? undefined : "NOT lossless");
}

const mean = ({ measured: { mean_draft_tokens: tokens } }: ComparedRow): string => tokens?.toFixed(1) ?? "none";

const lines = (...texts: (string | undefined)[]): string => texts.filter((text) => text !== undefined).join("\n");

const shareOf = (share: number | null | undefined): string | undefined =>
  share === null || share === undefined ? undefined : formatPercent(share);
