/** A plan: which draft runs at which context, and what it is predicted to gain. */

import { counted } from "../../core/text.js";
import { type ChoiceSet, choiceKey, describeChoices, expandDraft } from "../../schema/choice.js";
import { draftSteps, type Plan, type Predicted, type Segment } from "../../schema/plan.js";
import { drafterText } from "../../schema/plan-text.js";
import { sum } from "../../stats/numbers.js";
import { details, figure, figures, numeric, prose, table, text } from "../charts/figure.js";
import { lineChart, lineLegend } from "../charts/line.js";
import { legend } from "../charts/series.js";
import { stackedChart } from "../charts/stacked.js";
import { strip, stripLegend } from "../charts/strip.js";
import { duration, factor, fixed, percent, significant, timeUnit, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import type { Shown } from "../types.js";
import {
  choiceRows,
  contextText,
  deviceText,
  extrapolatedNote,
  facts,
  modelText,
  NONE,
  note,
  orNone,
} from "./facts.js";
import { batchTable } from "./plan-batches.js";
import { stopTable } from "./plan-stops.js";
import { treeFigures } from "./plan-trees.js";

/** A segment with its draft's blocks; null where nothing is drafted. */
interface Range {
  segment: Segment;
  set: ChoiceSet | null;
}

/** `steps`: how often draft_us is paid in a round */
type PredictedRange = { name: string; steps: number; predicted: Predicted };

export function planBody({ document, path }: Shown<"draftplan/plan">): Html {
  const ranges = document.segments.map(
    (segment): Range => ({
      segment,
      set: segment.draft === undefined ? null : expandDraft(segment.draft, document.model.layers, path),
    }),
  );
  const predicted = document.segments.flatMap((segment): PredictedRange[] => {
    const { draft_tokens, drafter, predicted } = segment;
    if (predicted === undefined || draft_tokens === undefined) return [];
    return [{ name: `context ${contextText(segment)}`, steps: draftSteps({ drafter, draft_tokens }), predicted }];
  });
  return html`${facts(
    ["Model", modelText(document.model)],
    ["Device", document.device === undefined ? "not recorded" : deviceText(document.device)],
    ["Method", document.method ?? "written by hand"],
    document.choices === undefined ? null : ["Choices besides target", document.choices.join(", ")],
    document.drafters === undefined ? null : ["Drafters weighed", document.drafters.join(", ")],
  )}
${extrapolatedNote(document.extrapolated)}
${strips(ranges)}
${treeFigures(document.segments)}
<h4>By context range</h4>
${rangeTable(ranges)}
${batchTable(document.segments)}
${stopTable(document.segments)}
${predicted.length === 0 ? note(unpredicted(document)) : figures(timeFigure(predicted), curveFigure(predicted))}`;
}

const unpredicted = ({ segments }: Plan): string =>
  segments.every(({ speculate }) => !speculate)
    ? "Nothing is drafted, so nothing is predicted."
    : "The plan holds no predictions.";

/** A page that shows more strips is no longer looked through; the table names every range. */
const MAX_STRIPS = 16;

function strips(ranges: readonly Range[]): Html | null {
  const drawn = distinctDrafts(ranges.filter(({ segment, set }) => !segment.speculate || set !== null));
  const left = drawn.length - MAX_STRIPS;
  if (drawn.length === 0) return null;
  return html`<h4>What the draft does with every block</h4>
${stripLegend(drawn.flatMap(({ set }) => set?.blocks ?? []))}
${drawn.slice(0, MAX_STRIPS).map(stripFigure)}
${left > 0 && note(`${whole(left)} further drafts are not drawn.`)}`;
}

interface DistinctDraft {
  set: ChoiceSet | null;
  segments: Segment[];
}

/** Ranges that differ in draft length only share a strip. */
function distinctDrafts(ranges: readonly Range[]): DistinctDraft[] {
  const drafts = new Map<string, DistinctDraft>();
  for (const { segment, set } of ranges) {
    const key = set === null ? "none" : choiceKey(set);
    const draft = drafts.get(key) ?? { set, segments: [] };
    draft.segments.push(segment);
    drafts.set(key, draft);
  }
  return [...drafts.values()];
}

function stripFigure({ set, segments }: DistinctDraft): Html {
  const where = `Context ${segments.map(contextText).join(", ")} tokens`;
  if (set === null) return html`<p><strong>${where}</strong>: plain decoding, nothing is drafted.</p>`;
  const lengths = [...new Set(segments.map((segment) => segment.draft_tokens ?? 0))];
  const last = counted(lengths.pop() ?? 0, "token");
  const drafted = `${[...lengths, last].join(" or ")} drafted a round`;
  const words = describeChoices(set);
  return html`<figure class="wide"><figcaption><strong>${where}</strong> <span>${drafted}; ${words}.</span></figcaption>
${strip(set, `${where}: ${words}.`)}
${details(
  `Blocks by choice: ${where}`,
  table({
    caption: where,
    captionHidden: true,
    columns: [text("Choice"), numeric("Blocks"), prose("Which")],
    rows: choiceRows(set),
  }),
)}</figure>
`;
}

const rangeTable = (ranges: readonly Range[]): Html =>
  table({
    caption:
      "The plan by context range, with what it predicts. In brackets: 90 % of the profile’s resamples. Regret: speed lost, in the mean over them, by having chosen on this profile.",
    columns: [
      text("Context, tokens"),
      numeric("Draft length"),
      prose("Draft"),
      numeric("Speedup"),
      numeric("Tokens/s"),
      numeric("Acceptance"),
      numeric("Tokens a round"),
      numeric("Draft step, or a round of heads"),
      numeric("Verification"),
      numeric("Plain step"),
      numeric("Regret"),
      numeric("LP gap"),
      prose("Acceptance measured on"),
      numeric("Positions"),
      numeric("Rounds to the last token"),
      numeric("Standard error of the tokens of a round"),
    ],
    rows: ranges.map(({ segment, set }): Part[] => [
      contextText(segment),
      segment.draft_tokens ?? NONE,
      `${whoDrafts(segment, set)}${refusedText(segment)}`,
      ...predictedCells(segment.predicted),
    ]),
  });

const whoDrafts = ({ speculate, drafter }: Segment, set: ChoiceSet | null): string =>
  speculate ? drafterText(drafter, set === null ? undefined : describeChoices(set)) : "plain decoding";

/** Where text kept back predicted a loss for another draft. */
const refusedText = ({ refuted = [] }: Segment): string =>
  refuted.length === 0
    ? ""
    : ` (text kept back refused ${refuted.map(({ drafter, draft_tokens, speedup }) => `${drafter?.kind === "heads" ? "a tree" : "a draft"} of ${counted(draft_tokens, "token")}, ${factor(speedup)}`).join(", and ")})`;

const EVIDENCE = {
  report: "text kept back",
  choose: "the text it was chosen on",
  surrogate: "nothing: estimated",
} as const;
const NOT_PREDICTED: Part[] = Array.from({ length: 13 }, () => NONE);

function predictedCells(predicted: Predicted | undefined): Part[] {
  if (predicted === undefined) return NOT_PREDICTED;
  const { evidence, lp_gap_percent: gap, regret_percent: regret } = predicted;
  return [
    speedupText(predicted),
    significant(predicted.tokens_per_second),
    percent(predicted.acceptance),
    fixed(predicted.accepted_length, 2),
    duration(predicted.draft_us),
    duration(predicted.verify_us),
    duration(predicted.target_step_us),
    regret === undefined ? NONE : `${fixed(regret.mean, 1)} %`,
    gap >= 0 && gap < 0.001 ? "< 0.001 %" : `${significant(gap, 2)} %`,
    evidence === undefined ? "not recorded" : EVIDENCE[evidence],
    orNone(predicted.positions, whole),
    orNone(predicted.rounds, whole),
    orNone(predicted.accepted_length_error, percent),
  ];
}

function speedupText({ speedup, speedup_interval: interval }: Predicted): string {
  return interval === undefined
    ? factor(speedup)
    : `${factor(speedup)} (${factor(interval.low)} to ${factor(interval.high)})`;
}

const TIME_PARTS = ["draft", "verify", "loop", "plain"];
const MAX_BARS = 12;

/** Where the time of one token goes: a round's parts, each divided by the tokens that a round yields. */
function timeFigure(ranges: readonly PredictedRange[]): Html {
  const rows = ranges.flatMap(({ name, steps, predicted }) => {
    const { draft_us, verify_us, round_us, target_step_us, accepted_length } = predicted;
    const round = [steps * draft_us, verify_us, round_us].map((us) => us / accepted_length);
    return [
      { name: `${name}, plain`, us: [0, 0, 0, target_step_us] },
      { name: `${name}, plan`, us: [...round, 0] },
    ];
  });
  const unit = timeUnit(Math.max(...rows.map(({ us }) => sum(us))));
  return figure({
    title: "Predicted time of one token",
    caption: "A round’s time, divided by the tokens it yields, beside a plain step.",
    legend: legend(TIME_PARTS.map((name, look) => ({ name, style: { look }, drawn: "area" }))),
    chart: stackedChart({
      label: `${unit.name} a token`,
      parts: TIME_PARTS,
      rows: rows.slice(0, MAX_BARS).map(({ name, us }) => ({
        name,
        value: duration(sum(us)),
        amounts: us.map((one) => one / unit.us),
      })),
      alternative: rows
        .slice(0, MAX_BARS)
        .map(({ name, us }) => `${name}: ${duration(sum(us))}.`)
        .join(" "),
    }),
    data: {
      columns: [prose("What"), ...TIME_PARTS.map(numeric), numeric("sum")],
      rows: rows.map(({ name, us }): Part[] => [name, ...us.map(duration), duration(sum(us))]),
    },
  });
}

const MAX_CURVES = 6;

function curveFigure(ranges: readonly PredictedRange[]): Html {
  const drawn = ranges.slice(0, MAX_CURVES);
  const series = drawn.map(({ name, predicted }, look) => ({
    name,
    style: { look },
    points: predicted.acceptance_curve.map((y, x) => ({ x, y, title: `${name}: first ${x} accepted, ${percent(y)}` })),
  }));
  const longest = Math.max(...ranges.map(({ predicted }) => predicted.acceptance_curve.length));
  return figure({
    title: "Predicted acceptance by position",
    caption: html`Share of rounds whose first i drafted tokens are all accepted. ${ranges.length > MAX_CURVES && `The first ${MAX_CURVES} ranges are drawn.`}`,
    legend: lineLegend(series),
    chart: lineChart({
      x: { label: "drafted tokens i", scale: "linear", integers: true, tight: true },
      y: { label: "share of rounds", scale: "linear" },
      series,
      alternative: drawn
        .map(
          ({ name, predicted }) =>
            `${name}: ${percent(predicted.acceptance_curve.at(-1) ?? 0)} of rounds accept all ${predicted.acceptance_curve.length - 1}.`,
        )
        .join(" "),
    }),
    data: {
      columns: [numeric("Drafted tokens"), ...ranges.map(({ name }) => numeric(name))],
      rows: Array.from({ length: longest }, (_, i): Part[] => [
        i,
        ...ranges.map(({ predicted }) => orNone(predicted.acceptance_curve[i], percent)),
      ]),
    },
  });
}
