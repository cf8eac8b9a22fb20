/** `--context` and `--query`: which points of the surface t(n, q) are measured. */
import { DraftplanError } from "../core/errors.js";
import { MAX_LOGIT_ROWS } from "../runtime/limits.js";

/** What was asked for: `A..B` leaves the points between to the tool, `A,B,C` is exact. */
export type Axis = { kind: "range"; from: number; to: number } | { kind: "list"; values: number[] };

export interface Grid {
  /** n, rising */
  contexts: number[];
  /** q, rising from 1 */
  queries: number[];
  /** every q up to the last, verified at the shortest context; empty where the points were named exactly */
  queryLine: number[];
}

/** The grid proper, without the line of query lengths beside it. */
export type Axes = Pick<Grid, "contexts" | "queries">;

export const DEFAULT_QUERY = "1..17";
const DEFAULT_CONTEXT = { from: 64, to: 4096 };
/** Attention is nearly linear in n, so a factor of four between points loses little. */
const CONTEXT_RATIO = 4;
const MAX_POINTS = 64;
const WHOLE = /^(0|[1-9]\d{0,8})$/;

const invalid = (option: string, text: string, what: string, remedy: string) =>
  new DraftplanError({ code: "OPTION_INVALID", at: `${option} ${text.slice(0, 60)}`, what, remedy });

const FORM = "Write a range as 64..4096 or exact points as 64,512,4096.";

/** @throws OPTION_INVALID for anything but `A`, `A..B` with A <= B, or `A,B,C` rising */
export function parseAxis(option: string, text: string): Axis {
  const whole = (part: string): number => {
    if (!WHOLE.test(part.trim()))
      throw invalid(option, text, `'${part.trim().slice(0, 20)}' is not a whole number of tokens`, FORM);
    return Number(part);
  };
  if (text.includes("..")) {
    const ends = text.split("..");
    if (ends.length !== 2) throw invalid(option, text, "a range has two ends", FORM);
    const [from, to] = ends.map(whole);
    if (from > to)
      throw invalid(option, text, `the range runs backwards, from ${from} to ${to}`, `Write ${option} ${to}..${from}.`);
    return { kind: "range", from, to };
  }
  const values = text.split(",").map(whole);
  if (values.length > MAX_POINTS)
    throw invalid(option, text, `${values.length} points; at most ${MAX_POINTS} are measured`, "Name fewer points.");
  if (values.some((value, i) => i > 0 && value <= values[i - 1])) {
    const sorted = [...new Set(values)].sort((a, b) => a - b);
    throw invalid(option, text, "the points do not rise", `Write ${option} ${sorted.join(",")}.`);
  }
  return { kind: "list", values };
}

const axisEnd = (axis: Axis): number => (axis.kind === "range" ? axis.to : axis.values[axis.values.length - 1]);

/** Both ends, and between them what `next` gives as long as it stays clear of the last point by `gap`. */
function rising(from: number, to: number, next: (value: number) => number, gap: number): number[] {
  const points = [from];
  for (let value = next(from); value * gap <= to && value < to; value = next(value)) points.push(value);
  if (to > from) points.push(to);
  return points;
}

function contextPoints(axis: Axis): number[] {
  if (axis.kind === "list") return axis.values;
  const next = (n: number) => (n < 16 ? DEFAULT_CONTEXT.from : n * CONTEXT_RATIO);
  return rising(axis.from, axis.to, next, 1.5);
}

/** 1, 2, 3, 5, 9, 17: the distance doubles, as the cost of a token falls with q. */
function queryPoints(axis: Axis): number[] {
  if (axis.kind === "list") return axis.values;
  if (axis.from !== 1) return [axis.from];
  return rising(0, axis.to - 1, (d) => Math.max(1, 2 * d), 1.3).map((d) => d + 1);
}

/** @throws OPTION_INVALID where q does not begin at 1 or is more than a pass can verify */
function resolveQueries(axis: Axis): number[] {
  const queries = queryPoints(axis);
  const text = axis.kind === "range" ? `${axis.from}..${axis.to}` : axis.values.join(",");
  if (queries[0] !== 1) {
    throw invalid(
      "--query",
      text,
      "q = 1 is missing: every draft step is a pass of one token",
      "Begin at 1, as in --query 1..17.",
    );
  }
  if (axisEnd(axis) > MAX_LOGIT_ROWS) {
    throw invalid(
      "--query",
      text,
      `a verification takes at most ${MAX_LOGIT_ROWS} tokens`,
      `Write --query 1..${MAX_LOGIT_ROWS} or less.`,
    );
  }
  return queries;
}

/**
 * The grid for a model whose contexts, those of the passes themselves included, must stay within `limit` tokens.
 * @param context null: 64 to 4096, or as far as the model goes
 * @throws OPTION_INVALID; CONTEXT_LIMIT where a point does not fit
 */
export function resolveGrid(context: Axis | null, query: Axis, limit: number): Grid {
  const queries = resolveQueries(query);
  const last = limit - queries[queries.length - 1];
  const to = Math.max(0, Math.min(DEFAULT_CONTEXT.to, last));
  const contexts = contextPoints(context ?? { kind: "range", from: Math.min(DEFAULT_CONTEXT.from, to), to });
  const end = contexts[contexts.length - 1];
  if (end > last) {
    const fitting = contexts.filter((n) => n <= last);
    const example = fitting.length > 1 ? `${fitting[0]}..${last}` : `${Math.max(0, last)}`;
    throw new DraftplanError({
      code: "CONTEXT_LIMIT",
      at: `--context ${end}`,
      what: `a pass of ${queries[queries.length - 1]} tokens at ${end} needs ${end + queries[queries.length - 1]}; the limit is ${limit}`,
      remedy:
        last < 1
          ? "Lower --query as well: the model's context is very short."
          : `Use --context ${example}, or lower --query.`,
    });
  }
  const left = queries[queries.length - 1] > queries.length;
  const queryLine = query.kind === "range" && left ? Array.from({ length: query.to }, (_, i) => i + 1) : [];
  return { contexts, queries, queryLine };
}
