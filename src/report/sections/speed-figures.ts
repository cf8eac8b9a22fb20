/** Pictures of a verification: how much sooner the output came, and what had been predicted. */
import { limitsOf } from "../../schema/common.js";
import type { Verification } from "../../schema/verification.js";
import { figure, numeric, prose, type TableSpec, text } from "../charts/figure.js";
import { type Row, type RowMark, rowsChart } from "../charts/rows.js";
import { type LegendEntry, legend } from "../charts/series.js";
import { counted, factor, percent, range, significant, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { CHEAPER, intervalText, MEASURED, measuredMark, NONE, orNone, PLAIN, PREDICTED } from "./facts.js";

type PromptRecord = Verification["prompts"][number];
type ContextRecord = Verification["by_context"][number];
type Data = Omit<TableSpec, "caption">;

/** A chart of more rows is no longer looked through; its table has them all. */
const MAX_ROWS = 40;

const PLAIN_IS_ONE = { x: { label: "times plain decoding", scale: "linear" }, reference: 1 } as const;

/** What the marks mean; the prediction only where there is one. */
const marksMean = (predicted: boolean, ...others: readonly LegendEntry[]): Html =>
  legend([
    { name: "measured", style: MEASURED, drawn: "marks" },
    ...(predicted ? [{ name: "predicted", style: PREDICTED, drawn: "marks" } as const] : []),
    ...others,
  ]);

const predictedMark = (at: number | null): RowMark[] =>
  at === null ? [] : [{ at, style: PREDICTED, title: `predicted ${factor(at)}` }];

export function speedupFigure(document: Verification): Html {
  const { speedup, predicted_speedup: predicted, alternatives } = document;
  const cheaper = alternatives.length > 0;
  const forecast = predicted === null ? "" : `; predicted ${factor(predicted)}`;
  return figure({
    title: "Speedup over plain decoding",
    caption: html`Whiskers: 95 % interval over prompts. ${cheaper && "A cheaper model by itself may be faster, and writes something else."}`,
    legend: marksMean(
      predicted !== null,
      ...(cheaper ? [{ name: "cheaper model alone", style: CHEAPER, drawn: "marks" } as const] : []),
    ),
    chart: rowsChart({
      ...PLAIN_IS_ONE,
      rows: speedupRows(document),
      alternative: `The plan is ${factor(speedup.median)} plain decoding, 95 % interval ${intervalText(speedup)}${forecast}.`,
    }),
    data: speedupData(document),
  });
}

function speedupRows({ speedup, predicted_speedup, alternatives }: Verification): Row[] {
  const marks = [measuredMark(speedup, factor), ...predictedMark(predicted_speedup)];
  return [
    { name: "the plan, all prompts", value: factor(speedup.median), marks },
    ...alternatives.map(({ name, speedup: { median, low, high } }): Row => {
      const value = factor(median);
      return {
        name: `${name}: not the target’s output`,
        value,
        marks: [{ at: median, ...limitsOf({ low, high }), style: CHEAPER, title: value }],
      };
    }),
  ];
}

const speedupData = ({ speedup, predicted_speedup, alternatives }: Verification): Data => ({
  columns: [
    prose("What"),
    numeric("Speedup"),
    numeric("95 % interval"),
    numeric("Predicted"),
    numeric("The target’s own tokens"),
  ],
  rows: [
    [
      "the plan",
      factor(speedup.median),
      intervalText(speedup),
      orNone(predicted_speedup, factor),
      "all, where lossless",
    ],
    ...alternatives.map((other): Part[] => [
      other.name,
      factor(other.speedup.median),
      intervalText(other.speedup),
      NONE,
      percent(other.agreement),
    ]),
  ],
});

export function promptFigure({ prompts }: Verification): Html {
  const hasPairs = prompts.some((record) => pairSpread(record) !== undefined);
  const left = prompts.length - MAX_ROWS;
  const measured = prompts.flatMap(({ speedup }) => speedup ?? []);
  return figure({
    title: "Speedup by prompt",
    caption: html`Median over the pairs of runs. ${hasPairs && "Whiskers: the lowest and the highest pair."} ${left > 0 && `${whole(left)} further prompts are in the table.`}`,
    legend: marksMean(prompts.some(({ predicted_speedup }) => predicted_speedup !== null)),
    chart: rowsChart({
      ...PLAIN_IS_ONE,
      rows: prompts.slice(0, MAX_ROWS).map(promptRow),
      alternative:
        measured.length === 0
          ? "No prompt was timed."
          : `Between ${factor(Math.min(...measured))} and ${factor(Math.max(...measured))} over ${counted(measured.length, "prompt")}.`,
    }),
    data: promptData(prompts),
  });
}

/** Speedups of single pairs of runs, lowest and highest; undefined where the document does not hold them. */
function pairSpread({ pairs = [] }: PromptRecord): { low: number; high: number } | undefined {
  const ratios = pairs
    .filter(({ plan_us }) => plan_us > 0)
    .map(({ target_us, plan_us, tokens, target_tokens }) => target_us / (target_tokens ?? tokens) / (plan_us / tokens));
  return ratios.length < 2 ? undefined : { low: Math.min(...ratios), high: Math.max(...ratios) };
}

function promptRow(record: PromptRecord): Row {
  const { prompt, prompt_tokens, speedup, predicted_speedup } = record;
  const predicted = predictedMark(predicted_speedup);
  if (speedup === null) return { name: prompt, value: "not timed", marks: predicted };
  const title = `${prompt} (${counted(prompt_tokens, "token")}): ${factor(speedup)}`;
  const measured: RowMark = { at: speedup, ...pairSpread(record), style: MEASURED, title };
  return { name: prompt, value: factor(speedup), marks: [measured, ...predicted] };
}

const promptData = (prompts: readonly PromptRecord[]): Data => ({
  columns: [
    prose("Prompt"),
    ...["Prompt tokens", "New tokens", "Speedup", "Pairs", "Predicted", "Acceptance", "Ties"].map(numeric),
    numeric("First wrong token"),
    numeric("Worst margin, logits"),
  ],
  rows: prompts.map((record): Part[] => {
    const pairs = pairSpread(record);
    return [
      record.prompt,
      record.prompt_tokens,
      record.tokens,
      orNone(record.speedup, factor),
      pairs === undefined ? NONE : `${factor(pairs.low)} to ${factor(pairs.high)}`,
      orNone(record.predicted_speedup, factor),
      orNone(record.acceptance, percent),
      record.ties,
      record.first_mismatch ?? NONE,
      significant(record.worst_margin),
    ];
  }),
});

export function contextFigure({ by_context }: Verification): Html {
  const drawn = by_context.slice(0, MAX_ROWS);
  return figure({
    title: "Predicted against measured, by context range",
    caption:
      "Tokens per second of rounds that began in the range. Where plain decoding is not as profiled, the machine has changed; what the speedup is off by is the plan’s own error.",
    legend: marksMean(
      by_context.some(({ predicted_tokens_per_second }) => predicted_tokens_per_second !== null),
      { name: "plain decoding", style: PLAIN, drawn: "marks" },
    ),
    chart: rowsChart({
      x: { label: "tokens per second", scale: "linear" },
      rows: drawn.map(contextRow),
      alternative: drawn.map(contextInWords).join(" "),
    }),
    data: {
      columns: [
        text("Context, tokens"),
        ...["Plain", "Plain, as profiled", "Plan", "Predicted"].map((what) => numeric(`${what}, tokens/s`)),
        numeric("Speedup"),
        numeric("Predicted"),
      ],
      rows: by_context.map((record): Part[] => [
        range(record.context_tokens),
        orNone(record.target_tokens_per_second, significant),
        orNone(record.predicted_target_tokens_per_second, significant),
        significant(record.measured_tokens_per_second),
        orNone(record.predicted_tokens_per_second, significant),
        orNone(record.speedup, factor),
        orNone(record.predicted_speedup, factor),
      ]),
    },
  });
}

function contextRow(record: ContextRecord): Row {
  const mark = (at: number | null, style: RowMark["style"], what: string): RowMark[] =>
    at === null ? [] : [{ at, style, title: `${what}: ${significant(at)} tokens per second` }];
  return {
    name: `context ${range(record.context_tokens)}, ${counted(record.rounds, "round")}`,
    value: `${significant(record.measured_tokens_per_second)}/s`,
    marks: [
      ...mark(record.target_tokens_per_second, PLAIN, "plain decoding"),
      ...mark(record.measured_tokens_per_second, MEASURED, "with the plan"),
      ...mark(record.predicted_tokens_per_second, PREDICTED, "predicted"),
    ],
  };
}

function contextInWords(record: ContextRecord): string {
  const predicted = record.predicted_tokens_per_second;
  const forecast = predicted === null ? "nothing predicted" : `predicted ${significant(predicted)}`;
  return `Context ${range(record.context_tokens)}: ${significant(record.measured_tokens_per_second)} tokens per second, ${forecast}.`;
}
