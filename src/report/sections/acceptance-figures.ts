/** Pictures of a verification: how many drafted tokens were accepted, position by position. */
import type { Plan } from "../../schema/plan.js";
import type { Verification } from "../../schema/verification.js";
import { figure, numeric } from "../charts/figure.js";
import { lineChart, lineLegend, type Series } from "../charts/line.js";
import { percent, range } from "../format.js";
import type { Html, Part } from "../html.js";
import { MEASURED, orNone, PREDICTED } from "./facts.js";

const MAX_PREDICTED_CURVES = 4;

/** Predicted curves of the ranges that the run visited. */
function visitedCurves(
  { by_context }: Verification,
  plan: Plan | undefined,
): { name: string; curve: readonly number[] }[] {
  const visited = new Set(by_context.filter(({ rounds }) => rounds > 0).map((record) => record.context_tokens.from));
  return (plan?.segments ?? []).flatMap(({ context_tokens, predicted }) =>
    predicted === undefined || !visited.has(context_tokens.from)
      ? []
      : [{ name: `predicted, context ${range(context_tokens)}`, curve: predicted.acceptance_curve }],
  );
}

export function acceptanceFigure(document: Verification, plan: Plan | undefined): Html {
  const measured = document.acceptance_curve ?? [];
  const predicted = visitedCurves(document, plan);
  const points = (name: string, curve: readonly number[]) =>
    curve.map((share, i) => ({ x: i, y: share, title: `${name}: first ${i} accepted in ${percent(share)} of rounds` }));
  const series: Series[] = [
    ...predicted.slice(0, MAX_PREDICTED_CURVES).map(({ name, curve }, i) => ({
      name,
      style: { ...PREDICTED, look: 1 + i },
      points: points(name, curve),
    })),
    { name: "measured", style: MEASURED, points: points("measured", measured) },
  ];
  const longest = Math.max(measured.length, ...predicted.map(({ curve }) => curve.length));
  return figure({
    title: "Acceptance by position",
    caption: "Share of rounds whose first i drafted tokens were all accepted.",
    legend: lineLegend([...series].reverse()),
    chart: lineChart({
      x: { label: "drafted tokens i", scale: "linear", integers: true, tight: true, include: [0] },
      y: { label: "share of rounds", scale: "linear", include: [1] },
      series,
      alternative: `Measured: ${percent(measured[measured.length - 1] ?? 0)} of rounds accept all ${measured.length - 1} drafted tokens.${predicted.map(({ name, curve }) => ` ${name}: ${percent(curve[curve.length - 1])} accept all ${curve.length - 1}.`).join("")}`,
    }),
    data: {
      columns: [numeric("Drafted tokens"), numeric("Measured"), ...predicted.map(({ name }) => numeric(name))],
      rows: Array.from({ length: longest }, (_, i): Part[] => [
        i,
        orNone(measured[i], percent),
        ...predicted.map(({ curve }) => orNone(curve[i], percent)),
      ]),
    },
  });
}

/** 95 % of a normal distribution lie within so many standard deviations. */
const Z95 = 1.96;

const intervalOf = ({ low, high }: { low: number; high: number }): string => `${percent(low)} to ${percent(high)}`;

/** Wilson's interval of a share: within 0 and 1 even where all or none succeeded. */
function wilson(successes: number, trials: number): { low: number; high: number } {
  const share = successes / trials;
  const scale = 1 + Z95 ** 2 / trials;
  const middle = (share + Z95 ** 2 / (2 * trials)) / scale;
  const half = (Z95 / scale) * Math.sqrt((share * (1 - share)) / trials + Z95 ** 2 / (4 * trials ** 2));
  return { low: Math.max(0, middle - half), high: Math.min(1, middle + half) };
}

export function positionFigure({ by_position = [] }: Verification): Html | null {
  const tried = by_position.filter((record) => record.tried > 0 && record.accepted <= record.tried);
  if (tried.length === 0) return null;
  const points = tried.map(({ position, tried, accepted }) => ({
    x: position,
    y: accepted / tried,
    ...wilson(accepted, tried),
    title: `token ${position}: ${accepted} of ${tried} accepted`,
  }));
  return figure({
    title: "Acceptance of each drafted token",
    caption:
      "Given that all before it were accepted. Whiskers: 95 %, as if rounds were independent; far positions are reached by few rounds.",
    chart: lineChart({
      x: { label: "position in the round", scale: "linear", integers: true, include: [1] },
      y: { label: "share accepted", scale: "linear", include: [1] },
      series: [{ name: "measured", style: MEASURED, points, unconnected: true }],
      alternative: points.map(({ title }) => title).join("; "),
    }),
    data: {
      columns: [
        numeric("Position"),
        numeric("Rounds that reached it"),
        numeric("Accepted"),
        numeric("Share"),
        numeric("95 % interval"),
      ],
      rows: tried.map(({ position, tried, accepted }): Part[] => [
        position,
        tried,
        accepted,
        percent(accepted / tried),
        intervalOf(wilson(accepted, tried)),
      ]),
    },
  });
}
