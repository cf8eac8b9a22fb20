/** A calibration: what each choice of each block costs in acceptance, and how whole drafts compare with the sum of parts. */
import type { Calibration, CalibrationContext } from "../../schema/calibration.js";
import { BLOCK_KINDS, type BlockKind, type Choice, draftChoices } from "../../schema/choice.js";
import { figure, figures, numeric, table, text } from "../charts/figure.js";
import { lineChart, lineLegend, type Series } from "../charts/line.js";
import { counted, percent, significant, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import type { Shown } from "../types.js";
import { choiceStyle, facts, modelText, NONE, note, spread } from "./facts.js";
import { wholeDrafts } from "./whole-drafts.js";

const KIND_NAMES: Record<BlockKind, string> = { attn: "attention", mlp: "MLP" };
const MAX_CONTEXTS = 3;

export function calibrationBody({ document, path }: Shown<"draftplan/calibration">): Html {
  const { text: source, contexts } = document;
  const shown = spread(contexts, MAX_CONTEXTS);
  const left = contexts.length - shown.length;
  return html`${facts(
    ["Model", modelText(document.model)],
    ["Text", source.source],
    [
      "Prompts",
      `${source.prompts.choose} to choose on, ${source.prompts.report} to report on, ${counted(source.continuation_tokens, "token")} each`,
    ],
    [
      "Contexts",
      contexts.map((context) => `${context.at_context} (${counted(context.positions, "position")})`).join(", "),
    ],
    ["Whole drafts measured", whole(document.measured.length)],
  )}
<h4>Loss by layer and choice</h4>
${note(html`Loss ℓ is what a choice takes from −ln α, α being the acceptance rate: 0.01 costs about one accepted token in a hundred. Losses of blocks and head are added up. Whiskers: 95 %.${left > 0 && ` ${whole(left)} further contexts are in the document.`}`)}
${figures(shown.flatMap((context) => BLOCK_KINDS.map((kind) => lossFigure(context, kind))))}
${headTable(document)}
${wholeDrafts(document, path)}`;
}

const Z95 = 1.96;

type LossList = readonly { loss: number; standard_error: number }[];

/** Choices with a loss for each layer, cheapest kernel first. */
const lossesOf = (context: CalibrationContext, kind: BlockKind): [Choice, LossList][] =>
  draftChoices(Object.keys(context[kind])).flatMap((choice): [Choice, LossList][] => {
    const losses = context[kind][choice];
    return losses === undefined ? [] : [[choice, losses]];
  });

function lossFigure(context: CalibrationContext, kind: BlockKind): Html | null {
  const lists = lossesOf(context, kind);
  if (lists.length === 0) return null;
  const series = lists.map(
    ([choice, losses]): Series => ({
      name: choice,
      style: choiceStyle(choice),
      points: losses.map(({ loss, standard_error }, layer) => ({
        x: layer,
        y: loss,
        low: loss - Z95 * standard_error,
        high: loss + Z95 * standard_error,
        title: `layer ${layer}, ${choice}: ${significant(loss)}`,
      })),
    }),
  );
  return figure({
    title: `Loss of ${KIND_NAMES[kind]}, context ${context.at_context}`,
    caption: "One block at a time, all others as in the target.",
    legend: lineLegend(series),
    chart: lineChart({
      x: { label: "layer", scale: "linear", integers: true, tight: true },
      y: { label: "loss ℓ", scale: "log" },
      series,
      alternative: lists.map(([choice, losses]) => `${choice}: ${extremes(losses)}.`).join(" "),
    }),
    data: {
      columns: [
        numeric("Layer"),
        ...lists.flatMap(([choice]) => [
          numeric(`${choice}: loss`),
          numeric("± standard error"),
          numeric("acceptance alone"),
        ]),
      ],
      rows: Array.from({ length: Math.max(...lists.map(([, losses]) => losses.length)) }, (_, layer): Part[] => [
        layer,
        ...lists.flatMap(([, losses]) => lossCells(losses[layer])),
      ]),
    },
  });
}

const lossCells = (one: LossList[number] | undefined): Part[] =>
  one === undefined
    ? [NONE, NONE, NONE]
    : [significant(one.loss), significant(one.standard_error, 2), percent(Math.exp(-one.loss))];

function extremes(losses: LossList): string {
  const values = losses.map(({ loss }) => loss);
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return `from ${significant(low)} in layer ${values.indexOf(low)} to ${significant(high)} in layer ${values.indexOf(high)}`;
}

const headTable = ({ contexts }: Calibration): Html =>
  table({
    caption: "Loss of the head by kernel and context",
    columns: [
      numeric("Context, tokens"),
      text("Kernel"),
      numeric("Loss"),
      numeric("± standard error"),
      numeric("Acceptance alone"),
    ],
    rows: contexts.flatMap(({ at_context, head }) =>
      Object.entries(head).map(([kernel, loss]): Part[] => [at_context, kernel, ...lossCells(loss)]),
    ),
  });
