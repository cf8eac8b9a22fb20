/** Pictures of a verification: how much sooner the output came, and what had been predicted. */
import type { Verification } from "../../schema/verification.js";
import { figure, numeric, prose, text } from "../charts/figure.js";
import { type Row, type RowMark, rowsChart } from "../charts/rows.js";
import { type LegendEntry, legend } from "../charts/series.js";
import { counted, factor, percent, range, significant, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { CHEAPER, intervalText, MEASURED, NONE, orNone, PLAIN, PREDICTED } from "./facts.js";

/** A chart of more rows is no longer looked through; its table has them all. */
const MAX_ROWS = 40;

const MEASURED_MARK = { name: "measured", style: MEASURED, drawn: "marks" } as const;
const PREDICTED_MARK = { name: "predicted", style: PREDICTED, drawn: "marks" } as const;

const marksOf = (predicted: boolean): LegendEntry[] => (predicted ? [MEASURED_MARK, PREDICTED_MARK] : [MEASURED_MARK]);

const predictedMark = (at: number | null): RowMark[] =>
  at === null ? [] : [{ at, style: PREDICTED, title: `predicted ${factor(at)}` }];

export function speedupFigure({ speedup, predicted_speedup, alternatives }: Verification): Html {
  const rows: Row[] = [
    {
      name: "the plan, all prompts",
      value: factor(speedup.median),
      marks: [
        { at: speedup.median, ...bounds(speedup), style: MEASURED, title: `measured ${factor(speedup.median)}` },
        ...predictedMark(predicted_speedup),
      ],
    },
    ...alternatives.map(
      (other): Row => ({
        name: `${other.name}: not the target’s output`,
        value: factor(other.speedup.median),
        marks: [
          { at: other.speedup.median, ...bounds(other.speedup), style: CHEAPER, title: factor(other.speedup.median) },
        ],
      }),
    ),
  ];
  const cheaper = alternatives.length > 0;
  return figure({
    title: "Speedup over plain decoding",
    caption: html`Whiskers: 95 % interval over prompts. ${cheaper && "A cheaper model by itself may be faster, and writes something else."}`,
    legend: legend([
      ...marksOf(predicted_speedup !== null),
      ...(cheaper ? [{ name: "cheaper model alone", style: CHEAPER, drawn: "marks" } as const] : []),
    ]),
    chart: rowsChart({
      x: { label: "times plain decoding", scale: "linear" },
      rows,
      reference: 1,
      alternative: `The plan is ${factor(speedup.median)} plain decoding, 95 % interval ${intervalText(speedup)}${predicted_speedup === null ? "" : `; predicted ${factor(predicted_speedup)}`}.`,
    }),
    data: {
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
          "every one, where lossless",
        ],
        ...alternatives.map((other): Part[] => [
          other.name,
          factor(other.speedup.median),
          intervalText(other.speedup),
          NONE,
          percent(other.agreement),
        ]),
      ],
    },
  });
}

const bounds = ({ low, high }: { low: number; high: number }) => ({ low, high });

type PromptRecord = Verification["prompts"][number];

/** Speedups of single pairs of runs, lowest and highest; none where the document does not hold them. */
function pairSpread({ pairs = [] }: PromptRecord): { low: number; high: number } | undefined {
  const ratios = pairs
    .filter(({ plan_us }) => plan_us > 0)
    .map(({ target_us, plan_us, tokens, target_tokens }) => target_us / (target_tokens ?? tokens) / (plan_us / tokens));
  return ratios.length < 2 ? undefined : { low: Math.min(...ratios), high: Math.max(...ratios) };
}

export function promptFigure({ prompts }: Verification): Html {
  const rows = prompts.slice(0, MAX_ROWS).map((record): Row => {
    const { prompt, prompt_tokens, speedup, predicted_speedup } = record;
    const measured: RowMark[] =
      speedup === null
        ? []
        : [
            {
              at: speedup,
              ...pairSpread(record),
              style: MEASURED,
              title: `${prompt} (${counted(prompt_tokens, "token")}): ${factor(speedup)}`,
            },
          ];
    return {
      name: prompt,
      value: speedup === null ? "not timed" : factor(speedup),
      marks: [...measured, ...predictedMark(predicted_speedup)],
    };
  });
  const measured = prompts.flatMap(({ speedup }) => (speedup === null ? [] : [speedup]));
  const hasPairs = prompts.some((record) => pairSpread(record) !== undefined);
  const left = prompts.length - rows.length;
  return figure({
    title: "Speedup by prompt",
    caption: html`Median over the pairs of runs. ${hasPairs && "Whiskers: the lowest and the highest pair."} ${left > 0 && `${whole(left)} further prompts are in the table.`}`,
    legend: legend(marksOf(prompts.some(({ predicted_speedup }) => predicted_speedup !== null))),
    chart: rowsChart({
      x: { label: "times plain decoding", scale: "linear" },
      rows,
      reference: 1,
      alternative:
        measured.length === 0
          ? "No prompt was timed."
          : `Between ${factor(Math.min(...measured))} and ${factor(Math.max(...measured))} over ${counted(measured.length, "prompt")}.`,
    }),
    data: {
      columns: [
        prose("Prompt"),
        numeric("Prompt tokens"),
        numeric("New tokens"),
        numeric("Speedup"),
        numeric("Pairs"),
        numeric("Predicted"),
        numeric("Acceptance"),
        numeric("Ties"),
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
          pairs === undefined ? "not recorded" : `${factor(pairs.low)} to ${factor(pairs.high)}`,
          orNone(record.predicted_speedup, factor),
          orNone(record.acceptance, percent),
          record.ties,
          record.first_mismatch ?? NONE,
          significant(record.worst_margin),
        ];
      }),
    },
  });
}

export function contextFigure({ by_context }: Verification): Html {
  const rows = by_context.slice(0, MAX_ROWS).map((record): Row => {
    const {
      target_tokens_per_second: plain,
      measured_tokens_per_second: measured,
      predicted_tokens_per_second: predicted,
    } = record;
    const at = (value: number, style: RowMark["style"], what: string): RowMark => ({
      at: value,
      style,
      title: `${what}: ${significant(value)} tokens per second`,
    });
    return {
      name: `context ${range(record.context_tokens)}, ${counted(record.rounds, "round")}`,
      value: `${significant(measured)}/s`,
      marks: [
        ...(plain === null ? [] : [at(plain, PLAIN, "plain decoding")]),
        at(measured, MEASURED, "with the plan"),
        ...(predicted === null ? [] : [at(predicted, PREDICTED, "predicted")]),
      ],
    };
  });
  return figure({
    title: "Predicted against measured, by context range",
    caption: "Tokens per second of rounds that began in the range.",
    legend: legend([
      ...marksOf(by_context.some(({ predicted_tokens_per_second }) => predicted_tokens_per_second !== null)),
      { name: "plain decoding", style: PLAIN, drawn: "marks" },
    ]),
    chart: rowsChart({
      x: { label: "tokens per second", scale: "linear" },
      rows,
      alternative: by_context
        .slice(0, MAX_ROWS)
        .map(
          (record) =>
            `Context ${range(record.context_tokens)}: ${significant(record.measured_tokens_per_second)} tokens per second, ${record.predicted_tokens_per_second === null ? "nothing predicted" : `predicted ${significant(record.predicted_tokens_per_second)}`}.`,
        )
        .join(" "),
    }),
    data: {
      columns: [
        text("Context, tokens"),
        numeric("Plain, tokens/s"),
        numeric("Plan, tokens/s"),
        numeric("Predicted, tokens/s"),
      ],
      rows: by_context.map((record): Part[] => [
        range(record.context_tokens),
        orNone(record.target_tokens_per_second, significant),
        significant(record.measured_tokens_per_second),
        orNone(record.predicted_tokens_per_second, significant),
      ]),
    },
  });
}
