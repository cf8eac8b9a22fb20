/** Verifications of one model on one device over time: speedup and acceptance, with the changes that were found. */
import { limitsOf } from "../../schema/common.js";
import type { Verification } from "../../schema/verification.js";
import { figure, figures, numeric, text } from "../charts/figure.js";
import { type LinePoint, lineChart, type Series } from "../charts/line.js";
import { type LegendEntry, legend, type SeriesStyle } from "../charts/series.js";
import { counted, factor, fixed, listed, moment, percent } from "../format.js";
import { foreign, foreignPath, type Html, html, type Part } from "../html.js";
import type { Documents, FollowedTrend, Section, Shown } from "../types.js";
import { digestText, intervalText, MEASURED, NONE, note, orNone, PREDICTED } from "./facts.js";

/** Below that there is no course to follow. */
const LEAST_POINTS = 2;
/** Plans of different names may be alternatives to each other: only so many are taken for one plan made anew each time. */
const LEAST_WITHOUT_NAME = 10;
const LEVEL: SeriesStyle = { look: 2, dashed: true };

export function historySection({ trends, verifications }: Documents): Section | null {
  const shown = trends.filter(({ plan, dated }) => dated.length >= (plan === null ? LEAST_WITHOUT_NAME : LEAST_POINTS));
  if (shown.length === 0) return null;
  const parts = shown.map((trend, i) => ({ trend, id: `trend-${i + 1}`, title: titleOf(trend) }));
  return {
    id: "trend",
    title: "Over time",
    body: html`${parts.map(
      ({
        trend,
        id,
        title,
      }) => html`<article class="document" aria-labelledby="${id}"><h3 id="${id}">${foreign(title)}</h3>
${trendBody(trend, verifications)}</article>
`,
    )}`,
    entries: parts.map(({ id, title }) => ({ id, title })),
  };
}

function titleOf({ model, device, plan, dated }: FollowedTrend): string {
  const name = plan === null ? model.name : `${model.name}, ${plan}`;
  return `${name}: ${counted(dated.length, "verification")} on ${device.processor}, ${counted(device.threads, "thread")}`;
}

function trendBody(trend: FollowedTrend, verifications: readonly Shown<"draftplan/verification">[]): Html {
  const drafted = trend.dated.filter(({ verification }) => verification.acceptance !== null);
  return html`${changesPart(trend)}
${figures(speedupFigure(trend, verifications), drafted.length >= LEAST_POINTS && acceptanceFigure(trend))}`;
}

function changesPart({ changes, tooFew, dated }: FollowedTrend): Html {
  if (tooFew.length === 2) return note("These are too few verifications to tell a change of level from noise.");
  if (changes.length === 0) return html`<p>No change of level was found.</p>\n`;
  const lines = changes.map((change) => {
    const { quantity, first, before, after, changePercent, alsoChanged } = change;
    const write = quantity === "speedup" ? factor : percent;
    const size = changePercent === null ? "" : ` by ${fixed(Math.abs(changePercent), 1)} %`;
    const also = alsoChanged.length === 0 ? "" : `; changed as well: ${listed(alsoChanged)}`;
    const since = moment(dated[first].verification.created ?? "");
    return html`<li>Since ${foreign(since)} ${quantity} has ${after < before ? "fallen" : "risen"}${size}, from ${write(before)} to ${write(after)}${also}.</li>`;
  });
  return html`<ul>${lines}</ul>\n`;
}

function speedupFigure(trend: FollowedTrend, verifications: readonly Shown<"draftplan/verification">[]): Html {
  const runs = trend.dated.map(({ verification }) => verification);
  const measured = seriesOf(runs, "measured", MEASURED, ({ speedup: { median, low, high } }) => ({
    y: median,
    ...limitsOf({ low, high }),
  }));
  const predicted = seriesOf(runs, "predicted", PREDICTED, ({ predicted_speedup }) =>
    predicted_speedup === null ? null : { y: predicted_speedup },
  );
  const levels = levelSeries(trend, "speedup", factor);
  const last = runs[runs.length - 1].speedup;
  return figure({
    title: "Speedup, verification by verification",
    caption: html`Whiskers: 95 % interval over prompts. ${levels.length > 0 && "A broken line runs at the level between two changes."}`,
    legend: legend(entriesOf(measured, predicted, levels)),
    chart: lineChart({
      x: { label: "verification, oldest first", scale: "linear", integers: true, tight: true },
      y: { label: "times plain decoding", scale: "linear", include: [1] },
      series: [...levels, predicted, measured].filter(({ points }) => points.length > 0),
      alternative: `${counted(runs.length, "verification")}, the last one ${factor(last.median)}, 95 % interval ${intervalText(last)}.`,
    }),
    data: {
      columns: [
        text("Made"),
        text("Verification"),
        text("Plan"),
        text("Runtime"),
        numeric("Speedup"),
        numeric("95 % interval"),
        numeric("Predicted"),
        numeric("Tokens/s"),
        text("Output"),
      ],
      rows: trend.dated.map(({ verification, file }) => speedupRow(verification, file, verifications)),
    },
  });
}

function speedupRow(
  run: Verification,
  file: string,
  verifications: readonly Shown<"draftplan/verification">[],
): Part[] {
  const id = verifications.find(({ document }) => document === run)?.id;
  return [
    moment(run.created ?? ""),
    id === undefined ? foreignPath(file) : html`<a href="#${id}">${foreignPath(file)}</a>`,
    digestText(run.plan.sha256),
    run.device.runtime,
    factor(run.speedup.median),
    intervalText(run.speedup),
    orNone(run.predicted_speedup, factor),
    fixed(run.tokens_per_second.plan, 1),
    run.lossless ? "lossless" : "not lossless",
  ];
}

function acceptanceFigure(trend: FollowedTrend): Html {
  const runs = trend.dated.map(({ verification }) => verification);
  const measured = seriesOf(runs, "measured", MEASURED, ({ acceptance }) =>
    acceptance === null ? null : { y: acceptance },
  );
  const levels = levelSeries(trend, "acceptance", percent);
  return figure({
    title: "Acceptance, verification by verification",
    caption: "Share of drafted tokens that were accepted.",
    legend: legend(entriesOf(measured, null, levels)),
    chart: lineChart({
      x: { label: "verification, oldest first", scale: "linear", integers: true, tight: true },
      y: { label: "acceptance rate", scale: "linear" },
      series: [...levels, measured],
      alternative: `${counted(measured.points.length, "verification")} that drafted.`,
    }),
    data: {
      columns: [text("Made"), numeric("Acceptance"), numeric("Tokens a round")],
      rows: runs.map(({ created, acceptance, accepted_length }): Part[] => [
        moment(created ?? ""),
        acceptance === null ? NONE : percent(acceptance),
        orNone(accepted_length, (length) => fixed(length, 2)),
      ]),
    },
  });
}

type Figure = { y: number; low?: number; high?: number };

/** By the verification's place, and not its time: a week without one would take most of the chart. */
function seriesOf(
  runs: readonly Verification[],
  name: string,
  style: SeriesStyle,
  figureOf: (run: Verification) => Figure | null,
): Series {
  const points = runs.flatMap((run, i): LinePoint[] => {
    const point = figureOf(run);
    return point === null ? [] : [{ x: i + 1, ...point, title: `${moment(run.created ?? "")}, ${name}` }];
  });
  return { name, style, points, unconnected: name === "predicted" };
}

/** A level line for each stretch between changes; none where nothing changed. */
function levelSeries({ changes, dated }: FollowedTrend, quantity: string, write: (value: number) => string): Series[] {
  const own = changes.filter((change) => change.quantity === quantity);
  if (own.length === 0) return [];
  const starts = [0, ...own.map(({ first }) => first)];
  return starts.map((from, i) => {
    const y = i === 0 ? own[0].before : own[i - 1].after;
    const to = i < own.length ? own[i].last : dated.length - 1;
    const point = (place: number): LinePoint => ({ x: place + 1, y, title: `level ${write(y)}` });
    return { name: "level", style: LEVEL, points: [point(from), point(to)] };
  });
}

function entriesOf(measured: Series, predicted: Series | null, levels: readonly Series[]): LegendEntry[] {
  return [
    { name: "measured", style: measured.style, drawn: "line" },
    ...(predicted === null || predicted.points.length === 0
      ? []
      : [{ name: "predicted", style: PREDICTED, drawn: "marks" } as const]),
    ...(levels.length === 0 ? [] : [{ name: "level between changes", style: LEVEL, drawn: "line" } as const]),
  ];
}
