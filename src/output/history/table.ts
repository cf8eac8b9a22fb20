/** A trend as a person reads it, in 80 columns or in fewer. */
import type { HistoryEntry, Trend, TrendChange } from "../../check/history.js";
import { counted, visible } from "../../core/text.js";
import { type Interval, limitsOf } from "../../schema/common.js";
import { FALSE_ALARM_RATE, LEAST_OBSERVATIONS, MOST_OBSERVATIONS } from "../../stats/change-points.js";
import { drawTable, TABLE_COLUMNS } from "../table.js";

function trendLines(trend: Trend, columns: number): string[] {
  const { model, device, plan, dated, undated } = trend;
  const weights =
    model.weights_sha256 === null ? "weights not recorded" : `weights ${model.weights_sha256.slice(0, 8)}`;
  return [
    `${visible(model.name)} (${weights})${plan === null ? "" : `, plan ${visible(plan)}`}`,
    `on ${visible(device.processor)}, ${visible(device.provider)}, ${counted(device.threads, "thread")}, ${visible(device.platform)}`,
    ...runtimeLine(trend),
    "",
    ...(dated.length === 0 ? [] : [tableOf(trend, dated, columns), ...changeLines(trend)]),
    ...(undated.length === 0
      ? []
      : ["", "Without a date (created), and no part of the trend:", tableOf(trend, undated, columns)]),
  ];
}

/** One library in all: its name stands above the table, and its versions in it. */
function runtimeLine(trend: Trend): string[] {
  const name = commonRuntime(trend);
  return name === null ? [] : [`runtime ${visible(name)}`];
}

function commonRuntime({ dated, undated }: Trend): string | null {
  const names = [...dated, ...undated].map(({ verification }) => /^(\S+) \S+$/.exec(verification.device.runtime)?.[1]);
  const [first] = names;
  return first !== undefined && names.every((name) => name === first) ? first : null;
}

const HEAD = ["  made (UTC)", "plan", "runtime", "tokens/s", "speedup, 95 %", "accepted", "pred."];
const ALIGN = ["left", "left", "left", "right", "right", "right", "right"] as const;

function tableOf(trend: Trend, entries: readonly HistoryEntry[], columns: number): string {
  const library = commonRuntime(trend);
  const rows = entries.map((entry) => cells(trend, entry, library));
  return drawTable({ head: HEAD, rows, look: "bare", padding: [0, 0], align: ALIGN }, columns);
}

function cells({ changes, dated }: Trend, entry: HistoryEntry, library: string | null): string[] {
  const { verification } = entry;
  const isFirst = changes.some(({ first }) => dated[first] === entry);
  const { created, plan, device, tokens_per_second, speedup, acceptance, lossless } = verification;
  const error = verification.prediction_error_percent;
  return [
    `${isFirst ? ">" : " "} ${created === undefined ? "-" : minuteOf(created)}`,
    plan.sha256.slice(0, 8),
    visible(library === null ? device.runtime : device.runtime.slice(library.length + 1)),
    tokens_per_second.plan.toFixed(1),
    lossless ? speedupText(speedup) : "NOT lossless",
    acceptance === null ? "-" : `${(100 * acceptance).toFixed(1)} %`,
    error === null ? "-" : `${signed(error)} %`,
  ];
}

function speedupText(speedup: Interval): string {
  const limits = limitsOf(speedup);
  return limits === null
    ? times(speedup.median)
    : `${times(speedup.median)} (${times(limits.low)}-${times(limits.high)})`;
}

/** What is marked and how sure it is, or why nothing can be marked yet. */
function changeLines(trend: Trend): string[] {
  const { dated, changes, tooFew } = trend;
  const known = (["speedup", "acceptance"] as const).filter((quantity) => !tooFew.includes(quantity));
  if (known.length === 0) {
    return [
      "",
      `No change can be marked yet: ${counted(dated.length, "verification")} with a date, and it takes ${LEAST_OBSERVATIONS}.`,
    ];
  }
  const chance = `${100 * FALSE_ALARM_RATE} %`;
  return [
    "",
    ...(changes.length === 0
      ? [`No change of ${known.join(" or ")}.`]
      : changes.map((change) => changeLine(change, trend))),
    `Where nothing changes, a mark appears with a chance of at most ${chance} a figure.`,
    ...tooFew.map(
      (quantity) => `No change of ${quantity} can be marked yet: it takes ${LEAST_OBSERVATIONS} verifications.`,
    ),
    ...(dated.length > MOST_OBSERVATIONS ? [`Changes are looked for among the latest ${MOST_OBSERVATIONS}.`] : []),
  ];
}

/** `> 2026-03-04 02:00: speedup fell by 9.8 %, from 1.52 to 1.37`, and what else changed */
function changeLine(change: TrendChange, { dated }: Trend): string {
  const { quantity, first, before, after, changePercent, alsoChanged } = change;
  const when = minuteOf(dated[first].verification.created ?? "");
  const moved = after < before ? "fell" : "rose";
  const from =
    quantity === "speedup"
      ? `by ${Math.abs(changePercent ?? 0).toFixed(1)} %, from ${times(before)} to ${times(after)}`
      : `from ${(100 * before).toFixed(1)} % to ${(100 * after).toFixed(1)} %`;
  const also = alsoChanged.length === 0 ? "" : `\n  changed as well: ${alsoChanged.join(", ")}`;
  return `> ${when}: ${quantity} ${moved} ${from}${also}`;
}

/** `2026-03-04 02:00` */
const minuteOf = (created: string): string => created.slice(0, 16).replace("T", " ");
const times = (ratio: number): string => ratio.toFixed(2);
const signed = (percent: number): string => `${percent > 0 ? "+" : ""}${percent.toFixed(1)}`;

export function historyLines(trends: readonly Trend[], folder: string, columns = TABLE_COLUMNS): string[] {
  if (trends.length === 0) {
    return [
      `No verification lies below ${visible(folder)}. Make one with:`,
      "  draftplan verify PLAN --model MODEL -o FILE",
    ];
  }
  const lines = trends.flatMap((trend, i) => [...(i === 0 ? [] : [""]), ...trendLines(trend, columns)]);
  const several = ["", `${trends.length} trends; choose among them with --model-name, --device or --plan NAME`];
  return trends.length === 1 ? lines : [...lines, ...several];
}
