/** Drafts measured as wholes, beside the sum of what their blocks lose one by one. */

import type { Calibration, MeasuredDraft } from "../../schema/calibration.js";
import { blockKind, blockLayer, type ChoiceSet, describeChoices, expandDraft } from "../../schema/choice.js";
import { sum } from "../../stats/numbers.js";
import { details, figure, figures, numeric, prose, table, text } from "../charts/figure.js";
import { lineChart, lineLegend, type Series } from "../charts/line.js";
import { counted, fixed, percent, significant, whole } from "../format.js";
import { type Html, html, type Part } from "../html.js";
import { orNone, spread } from "./facts.js";

interface WholeDraft {
  measured: MeasuredDraft;
  set: ChoiceSet;
  /** Σ ℓ; null where a loss is not in the document */
  expectedLoss: number | null;
  /** −ln of the measured acceptance rate; null where nothing or everything was accepted */
  measuredLoss: number | null;
  acceptance: number | null;
}

/** A table of more rows is no longer read. */
const MAX_LISTED = 100;

export function wholeDrafts(document: Calibration, path: string): Html | null {
  if (document.measured.length === 0) return null;
  const drafts = document.measured.map((measured) => describe(measured, document, path));
  const listed = drafts.slice(0, MAX_LISTED);
  return html`<h4>Whole drafts</h4>
${figures(additivityFigure(drafts))}
${details(
  `Drafts measured: ${listed.length === drafts.length ? whole(drafts.length) : `the first ${MAX_LISTED} of ${whole(drafts.length)}`}`,
  table({
    caption: "Drafts measured as wholes",
    captionHidden: true,
    columns: [
      prose("Draft"),
      numeric("Context"),
      text("Text"),
      numeric("Positions"),
      numeric("Draft length"),
      numeric("Acceptance"),
      numeric("Tokens a round"),
      numeric("Σ ℓ"),
    ],
    rows: listed.map(({ measured, set, acceptance, expectedLoss }): Part[] => [
      describeChoices(set),
      measured.at_context,
      measured.part === "choose" ? "chosen on" : "kept back",
      whole(measured.tokens),
      measured.curve.length - 1,
      orNone(acceptance, percent),
      fixed(sum(measured.curve), 2),
      orNone(expectedLoss, significant),
    ]),
  }),
)}`;
}

function describe(measured: MeasuredDraft, document: Calibration, path: string): WholeDraft {
  const set = expandDraft(measured.draft, document.model.layers, path);
  const acceptance = rateOf(measured.curve);
  return {
    measured,
    set,
    acceptance,
    expectedLoss: sumOfLosses(set, measured.at_context, document),
    measuredLoss: acceptance === null || acceptance <= 0 || acceptance >= 1 ? null : -Math.log(acceptance),
  };
}

/** Accepted tokens per token drafted up to and including the first rejection: Σ a_1..a_d / Σ a_0..a_(d-1). */
function rateOf(curve: readonly number[]): number | null {
  return curve.length < 2 ? null : sum(curve.slice(1)) / sum(curve.slice(0, -1));
}

function sumOfLosses({ blocks, head }: ChoiceSet, atContext: number, { contexts }: Calibration): number | null {
  const context = contexts.find(({ at_context }) => at_context === atContext);
  if (context === undefined) return null;
  const headLoss = head === "target" ? 0 : context.head[head]?.loss;
  const losses = blocks.map((choice, index) =>
    choice === "target" ? 0 : context[blockKind(index)][choice]?.[blockLayer(index)]?.loss,
  );
  return [headLoss, ...losses].reduce<number | null>(
    (sum, loss) => (sum === null || loss === undefined ? null : sum + loss),
    0,
  );
}

const PART_NAMES = { choose: "text plans are chosen on", report: "text kept back" } as const;
const MAX_POINTS = 400;

function additivityFigure(drafts: readonly WholeDraft[]): Html | null {
  const known = drafts.flatMap(({ measured, set, expectedLoss, measuredLoss }) =>
    expectedLoss === null || measuredLoss === null ? [] : [{ measured, set, expectedLoss, measuredLoss }],
  );
  if (known.length === 0) return null;
  const drawn = spread(known, MAX_POINTS);
  const series = (["choose", "report"] as const).map(
    (part, i): Series => ({
      name: PART_NAMES[part],
      style: { look: i },
      unconnected: true,
      points: drawn
        .filter(({ measured }) => measured.part === part)
        .map(({ set, measured, expectedLoss, measuredLoss }) => ({
          x: expectedLoss,
          y: measuredLoss,
          title: `context ${measured.at_context}, ${describeChoices(set)}: expected ${significant(expectedLoss)}, measured ${significant(measuredLoss)}`,
        })),
    }),
  );
  const present = series.filter(({ points }) => points.length > 0);
  return figure({
    title: "Sum of losses against what was measured",
    caption:
      "Each mark is a whole draft. On the line, blocks do not interact; above it, together they cost more than the sum of each alone.",
    legend: lineLegend(present),
    chart: lineChart({
      x: { label: "expected: Σ ℓ", scale: "log" },
      y: { label: "measured: −ln α", scale: "log" },
      series: present,
      diagonal: true,
      alternative: `${counted(known.length, "draft")}; the measured loss is ${significant(medianRatio(known))} times the sum, in the median.`,
    }),
    data: {
      columns: [prose("Draft"), numeric("Context"), numeric("Expected"), numeric("Measured")],
      rows: drawn.map(({ set, measured, expectedLoss, measuredLoss }): Part[] => [
        describeChoices(set),
        measured.at_context,
        significant(expectedLoss),
        significant(measuredLoss),
      ]),
    },
  });
}

function medianRatio(drafts: readonly { expectedLoss: number; measuredLoss: number }[]): number {
  const ratios = drafts.map(({ expectedLoss, measuredLoss }) => measuredLoss / expectedLoss).sort((a, b) => a - b);
  return ratios[Math.floor(ratios.length / 2)];
}
