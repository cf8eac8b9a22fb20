/** A profile as tables: what parts cost over n, what a verification costs over q, and how far to trust it. */
import { mean } from "simple-statistics";
import { counted } from "../core/text.js";
import {
  type AttentionKernel,
  type HeadKernel,
  KERNEL_NAMES,
  type Kernel,
  kernelOf,
  orderedChoices,
  shortHeads,
} from "../schema/choice.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";
import { scaledText, timesFloorText } from "../schema/profile-text.js";
import { headsCostLines } from "./heads-lines.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

/** Columns set to the right, no frame: at most 72 columns wide for the default grid. */
const table = (head: string[], rows: string[][], columns: number): string =>
  drawTable({ head, rows, look: "bare", align: head.map((_, i) => (i === 0 ? "left" : "right")) }, columns);

const micro = (us: number): string => us.toFixed(us < 100 ? 1 : 0);
const milli = (us: number): string => (us / 1000).toFixed(us < 10_000 ? 2 : 1);
const percent = (value: number): string => `${value.toFixed(1)} %`;

/** µs at q = 1: a layer's attention (beside it KnapSpec's straight line), a layer's MLP, the head, and all of it together. */
function stepTable(profile: Profile, columns: number): string {
  const steps = profile.points.filter(({ query_tokens }) => query_tokens === 1);
  const rows = attentionsOf(profile).flatMap((kernel) => steps.flatMap((point) => stepRow(profile, kernel, point)));
  return table(["kernel", "context", "attention", "line", "MLP", "head", "fixed", "step ms", "off"], rows, columns);
}

/** Kernels, each before its spans, as far as attention was measured in them. */
const attentionsOf = ({ points }: Profile): AttentionKernel[] =>
  orderedChoices(points.flatMap(({ attn_us }) => Object.keys(attn_us) as AttentionKernel[]));

/** Of a span the MLP and the head are its kernel's. */
function stepRow(profile: Profile, choice: AttentionKernel, point: ProfilePoint): string[][] {
  const kernel = kernelOf(choice);
  const [attn, mlp, head] = [point.attn_us[choice], point.mlp_us[kernel], point.head_us[kernel]];
  if (attn === undefined || mlp === undefined || head === undefined) return [];
  const line = profile.attention_line.find((l) => l.kernel === choice);
  const onLine = line === undefined ? "" : micro(line.intercept_us + line.slope_us_per_token * point.context_tokens);
  const step = point.fixed_us + head + profile.model.layers * (mean(attn) + mean(mlp));
  const parts = [micro(mean(attn)), onLine, micro(mean(mlp)), micro(head), micro(point.fixed_us)];
  return [[choice, String(point.context_tokens), ...parts, milli(step), percent(point.residual_percent)]];
}

/** ms of one pass of the whole target over q tokens. */
function verificationTable({ grid, points }: Profile, columns: number): string {
  const rows = grid.context_tokens.map((n) => [
    String(n),
    ...grid.query_tokens.map((q) => {
      const point = points.find((p) => p.context_tokens === n && p.query_tokens === q);
      return point === undefined ? "" : milli(point.whole_target_us);
    }),
  ]);
  return table(["context", ...grid.query_tokens.map((q) => `q ${q}`)], rows, columns);
}

/** A rise from one query length to the next above this is a step worth naming. */
const STEP = 1.08;

/** Where a verification becomes dearer at once, so that a draft just short of it is cheap. */
function verificationSteps({ query_line: line }: Profile): string[] {
  if (line === undefined) return [];
  const { target_us: us } = line;
  const steps = line.query_tokens.filter((q) => q > 2 && us[q - 1] > STEP * us[q - 2]);
  if (steps.length === 0) return [`from q to q it grows without steps above ${Math.round(100 * (STEP - 1))} %`];
  const named = steps.map((q) => `q ${q - 1} to ${q} (${milli(us[q - 2])} to ${milli(us[q - 1])} ms)`);
  return [`steps: ${named.join(", ")}`];
}

/** `heads over a part of the vocabulary, µs: int8:8192 410.2, int8:2048 150.7`. */
function shortHeadLines({ points }: Profile): string[] {
  const steps = points.filter(({ query_tokens }) => query_tokens === 1);
  const shorts = shortHeads(steps.flatMap(({ head_us }) => Object.keys(head_us) as HeadKernel[]));
  if (shorts.length === 0) return [];
  const costs = shorts.map((head) => `${head} ${micro(mean(steps.map(({ head_us }) => head_us[head] ?? 0)))}`);
  return [`heads over a part of the vocabulary, µs: ${costs.join(", ")}`];
}

/** How far predictions were off for drafts that the fit never saw. */
function errorLines({ errors }: Profile): string[] {
  const line = (name: string, summary: NonNullable<Profile["errors"]>["held_out"]) =>
    summary === null
      ? []
      : [
          `${name}: off by ${percent(summary.median_percent)} (median of ${summary.drafts} drafts), ${percent(summary.p90_percent)} at p90, ${percent(summary.signed_percent)} signed`,
        ];
  if (errors === undefined) return [];
  return [...line("held-out drafts", errors.held_out), ...line("left-out contexts", errors.left_out_context)];
}

/** KnapSpec's third constant: the MLP of one layer at q = 1, which its model takes to be the same at every context. */
function meanMlp({ points }: Profile, kernel: Kernel): string {
  const steps = points.filter((point) => point.query_tokens === 1);
  const costs = steps.flatMap(({ mlp_us: mlp }) => (mlp[kernel] === undefined ? [] : [mean(mlp[kernel])]));
  return costs.length === 0 ? "" : `, MLP c3 ${micro(mean(costs))}`;
}

const SPARKS = 24;

/** Attention over context, a line of text for each kernel, all to one scale. */
function attentionSparks(profile: Profile): string[] {
  const { points, grid } = profile;
  const [first, last] = [grid.context_tokens[0], grid.context_tokens[grid.context_tokens.length - 1]];
  if (first === last) return [];
  const curves = attentionsOf(profile).flatMap((kernel) => {
    const curve = points.flatMap(({ query_tokens: q, context_tokens: n, attn_us: attn }) =>
      q !== 1 || attn[kernel] === undefined ? [] : [[n, mean(attn[kernel])] as const],
    );
    return curve.length === 0 ? [] : [{ kernel, curve }];
  });
  const width = Math.max(7, ...curves.map(({ kernel }) => kernel.length + 1));
  const most = Math.max(...curves.flatMap(({ curve }) => curve.map(([, us]) => us)));
  return [
    `Attention from ${first} to ${last} tokens of context, bars from 0 to ${micro(most)} µs`,
    ...curves.map(({ kernel, curve }) => `${kernel.padEnd(width)}${sparkline(resampledAt(curve, SPARKS), most)}`),
    "",
  ];
}

const BARS = "▁▂▃▄▅▆▇█";

/** @param most the value of a full bar; bars begin at 0, so that two lines of the same `most` compare */
export function sparkline(values: readonly number[], most: number): string {
  const top = BARS.length - 1;
  const bar = (value: number) => (most > 0 ? Math.round((top * Math.max(0, value)) / most) : 0);
  return values.map((value) => BARS[Math.min(top, bar(value))]).join("");
}

/**
 * Values at evenly spaced places of a line through points.
 * @param points [x, y] by rising x, at least one
 */
export function resampledAt(points: readonly (readonly [number, number])[], count: number): number[] {
  const [first, last] = [points[0][0], points[points.length - 1][0]];
  return Array.from({ length: count }, (_, i) => {
    const x = first + ((last - first) * i) / Math.max(1, count - 1);
    const after = points.findIndex(([px]) => px >= x);
    if (after <= 0) return points[Math.max(0, after)][1];
    const [[x0, y0], [x1, y1]] = [points[after - 1], points[after]];
    return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
  });
}

/** `attention 1.2 to 2.1, MLP 1.3, head 1.1 times the floor` for each kernel. */
function floorLines({ floor }: Profile): string[] {
  if (floor === undefined) return [];
  const kernels = KERNEL_NAMES.filter((kernel) => floor.parts.some((one) => one.kernel === kernel));
  return [
    `times the floor of reading memory once, at ${(floor.read_bytes_per_second / 1e9).toFixed(1)} GB/s (below 1: from a cache):`,
    ...kernels.map((kernel) => `  ${kernel}: ${timesFloorText(floor, kernel)}`),
  ];
}

export function profileTables(profile: Profile, columns = TABLE_COLUMNS): string {
  const { attention_line: lines, loop, sampling } = profile;
  const fits = lines.map(
    (l) =>
      `${l.kernel} c1 ${l.intercept_us.toFixed(1)} + c2 ${l.slope_us_per_token.toFixed(4)} n, R² ${l.r_squared.toFixed(4)}${meanMlp(profile, l.kernel)}`,
  );
  return [
    "One token a pass: µs per layer of attention and MLP, µs of the head",
    stepTable(profile, columns),
    "",
    ...attentionSparks(profile),
    "The whole target over q tokens, ms",
    verificationTable(profile, columns),
    ...verificationSteps(profile),
    "",
    ...(fits.length === 0 ? [] : [`attention as a straight line (KnapSpec), µs: ${fits.join("; ")}`]),
    ...shortHeadLines(profile),
    ...floorLines(profile),
    ...errorLines(profile),
    ...headsCostLines(profile),
    `the decoding loop adds ${micro(loop.round_us)} µs to a round, ${micro(loop.step_us)} µs to a plain step${
      loop.span_us === undefined ? "" : `, each layer with a span ${micro(loop.span_us)} µs to a round`
    }`,
    ...(sampling === undefined
      ? []
      : [
          `${counted(sampling.rounds, "round")}; the target's passes spread by ${percent(sampling.spread_percent)}, their median lies ${percent(sampling.contention_percent)} above the fastest`,
        ]),
    ...originLines(profile),
  ].join("\n");
}

/** Where figures come from, if not from the whole model on this device. @returns no line for a profile of a whole model with its own weights */
export function originLines({ synthetic, scaled, imported }: Profile): string[] {
  const lines: string[] = [];
  if (imported !== undefined) {
    const whole = imported.whole_pass === "summed" ? "; no whole pass was measured, so the parts are added up" : "";
    lines.push(`imported from ${imported.source}: measured by another engine${whole}`);
  }
  if (synthetic !== undefined) lines.push("made-up weights: latency does not depend on their values");
  if (scaled !== undefined) lines.push(`scaled: ${scaledText(scaled)} were measured and stand for all`);
  return lines;
}

/** What ended the sweep, and which criterion was not met. */
export function stopLine(sampling: Profile["sampling"]): string {
  if (sampling === undefined) return "";
  const { rounds, stopped_by, unmet = [], precision_percent } = sampling;
  const precise = precision_percent == null ? "" : `, the target's medians known to ${precision_percent.toFixed(1)} %`;
  const ending = {
    precision: "precise enough",
    rounds: "enough rounds",
    time: "no more time",
    interrupted: "interrupted",
  };
  const why = stopped_by === undefined ? "" : ` (${ending[stopped_by]})`;
  return `measured ${counted(rounds, "round")}${why}${precise}${unmet.length === 0 ? "" : `; not met: ${unmet.join(", ")}`}`;
}
