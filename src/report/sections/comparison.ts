/** A comparison: what every method's plan reached at every context, beside what had been predicted. */
import type { ComparedContext, ComparedRow, Comparison } from "../../schema/comparison.js";
import { draftText } from "../../schema/plan-text.js";
import { draws } from "../../schema/sampling.js";
import { figure, figures, numeric, prose, type TableSpec, table } from "../charts/figure.js";
import { type Row, rowsChart } from "../charts/rows.js";
import { legend } from "../charts/series.js";
import { counted, factor, fixed, missedBy, moment, percent, significant, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import type { Shown } from "../types.js";
import {
  deviceText,
  extrapolatedNote,
  facts,
  intervalText,
  MEASURED,
  modelText,
  NONE,
  note,
  orNone,
  PREDICTED,
  speedRow,
  verdict,
} from "./facts.js";
import { frontierFigure } from "./frontier.js";

export function comparisonBody({ document }: Shown<"draftplan/comparison">): Html {
  return html`<p class="verdicts">${losslessVerdict(document)}</p>
${factsOf(document)}
${extrapolatedNote(document.extrapolated)}
${document.contexts.map((at) => contextPart(at, document))}`;
}

function losslessVerdict({ contexts, lossless, sampling }: Comparison): Html {
  if (lossless && sampling !== undefined && draws(sampling))
    return verdict("good", "tokens were drawn, and every one is a token that the filters leave");
  if (lossless) return verdict("good", "lossless: every run emitted the target’s own tokens");
  const wrong = new Set(
    contexts.flatMap(({ rows }) => rows.filter((row) => !row.lossless).map(({ method }) => method)),
  );
  return verdict("bad", `not lossless: ${[...wrong].join(", ")}`);
}

const factsOf = ({ model, device, text, prompts, created, versions, ...rest }: Comparison): Html =>
  facts(
    ["Model", modelText(model)],
    ["Device", deviceText(device)],
    ["Drafts could", rest.choices.length === 0 ? "do nothing but what the target does" : rest.choices.join(", ")],
    ["Chosen on", text.source],
    ["Run on", prompts.source],
    [
      "Measured",
      `${moment(created)}, up to ${counted(rest.max_tokens, "token")} each, ${counted(rest.pairs, "run")} of each plan on each prompt, draftplan ${versions.draftplan}`,
    ],
    rest.time_limit_seconds === null ? null : ["Time limit", `${whole(rest.time_limit_seconds)} s for the runs`],
  );

function contextPart(at: ComparedContext, document: Comparison): Html {
  const { context_tokens, prompts, rows } = at;
  const last = document.extrapolated?.beyond_context_tokens ?? Number.POSITIVE_INFINITY;
  const beyond = context_tokens + document.max_tokens > last && " *";
  return html`<h4>Context ${whole(context_tokens)}${beyond}</h4>
${figures(speedFigure(at), frontierFigure(at))}
${table({ caption: `Every method at context ${whole(context_tokens)}`, ...rowsTable(rows, document) })}
${note(html`${counted(prompts.length, "prompt")}. Intervals: 95 %, over prompts; all plans ran by turns, and ratios are of runs side by side. In brackets what was predicted.`)}`;
}

function speedFigure({ context_tokens, rows }: ComparedContext): Html {
  return figure({
    title: `Tokens per second, context ${whole(context_tokens)}`,
    caption: "Bars: measured; whiskers: 95 % interval over prompts. Plain decoding is the dashed line.",
    legend: legend([
      { name: "measured", style: MEASURED, drawn: "marks" },
      ...(rows.some(({ predicted }) => predicted !== null)
        ? [{ name: "predicted", style: PREDICTED, drawn: "marks" } as const]
        : []),
    ]),
    chart: rowsChart({
      x: { label: "tokens per second", scale: "linear", include: [0] },
      rows: rows.map(rowOf),
      ...plainReference(rows),
      alternative: rows
        .map(
          ({ method, measured }) => `${method}: ${significant(measured.tokens_per_second.median)} tokens per second.`,
        )
        .join(" "),
    }),
    data: speedData(rows),
  });
}

function rowOf({ method, measured, predicted }: ComparedRow): Row {
  const at = predicted?.tokens_per_second;
  const marks = at === undefined ? [] : [{ at, style: PREDICTED, title: `predicted ${significant(at)}` }];
  return speedRow(method, measured.tokens_per_second, marks);
}

/** Speedups are over it. */
function plainReference(rows: readonly ComparedRow[]): { reference?: number } {
  const plain = rows.find(({ method }) => method === "none");
  return plain === undefined ? {} : { reference: plain.measured.tokens_per_second.median };
}

const speedData = (rows: readonly ComparedRow[]): Omit<TableSpec, "caption"> => ({
  columns: [prose("Method"), numeric("Measured, tokens/s"), numeric("95 % interval"), numeric("Predicted, tokens/s")],
  rows: rows.map(({ method, measured: { tokens_per_second: speed }, predicted }): Part[] => [
    method,
    significant(speed.median),
    intervalText(speed, significant),
    orNone(predicted?.tokens_per_second, significant),
  ]),
});

function rowsTable(rows: readonly ComparedRow[], document: Comparison): Omit<TableSpec, "caption"> {
  const { baseline, model } = document;
  const seconds = new Map(document.methods.map(({ method, solve_seconds }) => [method, solve_seconds]));
  return {
    columns: [
      prose("Method"),
      prose("Draft"),
      numeric("d"),
      numeric("Acceptance"),
      numeric("Tokens/s"),
      numeric("Speedup"),
      prose("The prediction is"),
      numeric(`${baseline} over it`),
      numeric("Solved in"),
    ],
    rows: rows.map((row): Part[] => [
      row.method,
      rowText(row, model.layers),
      row.draft_tokens ?? NONE,
      withPrediction(row.measured.acceptance, row.predicted?.acceptance, percent),
      withPrediction(row.measured.tokens_per_second.median, row.predicted?.tokens_per_second, significant),
      html`${factor(row.measured.speedup.median)}, ${intervalText(row.measured.speedup)}`,
      orNone(row.prediction_error_percent, missedBy),
      row.method === baseline
        ? NONE
        : html`${factor(row.measured.baseline_speed_ratio.median)}, ${intervalText(row.measured.baseline_speed_ratio)}`,
      orNone(seconds.get(row.method), (s) => `${fixed(s, 1)} s`),
    ]),
  };
}

function rowText(row: ComparedRow, layers: number): string {
  const { draft_tokens, draft_changes_at, same_draft_as, lossless, ties } = row;
  const what = draft_tokens === undefined ? "plain decoding" : draftText(row, layers);
  const same = same_draft_as === undefined ? "" : `; as ${same_draft_as}`;
  const changes = draft_changes_at === undefined ? "" : `; another from ${draft_changes_at.join(", ")} on`;
  const early =
    row.stop === undefined ? "" : `; ends early, ${fixed(row.measured.mean_draft_tokens ?? 0, 1)} drafted in the mean`;
  const judged = lossless ? (ties === 0 ? "" : `; ${counted(ties, "tie")}`) : "; not lossless";
  return `${what}${early}${changes}${same}${judged}`;
}

function withPrediction(
  measured: number | null,
  predicted: number | null | undefined,
  write: (value: number) => string,
): Part {
  if (measured === null) return NONE;
  return predicted === null || predicted === undefined ? write(measured) : `${write(measured)} (${write(predicted)})`;
}
