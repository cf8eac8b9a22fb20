/**
 * A plan is decided on one part of the text and confirmed on the other: of many drafts the one that looked best on the text
 * of choosing looks better there than it is. Where text kept back predicts a loss for what was decided, a shorter draft of
 * the same choices is tried, then the next best drafts by the text of choosing, three at most, then plain decoding. Text
 * kept back only refuses: it picks nothing, so it stays text that the plan was not picked on. Once it has refused a draft,
 * only drafts that it knows of follow: one that nobody held against it might be as bad.
 *
 * Between two knots an option's speedup is T · step(n) / D(n), T a constant and the others lines, so whether it lies below 1
 * changes at most once there, and an option that gains at all knots gains everywhere between them.
 */

import type { ChoiceSet } from "../schema/choice.js";
import type { Refuted } from "../schema/plan.js";
import { significant } from "../stats/numbers.js";
import { drafterRecord, familyKey, longestDraft, nodesOf } from "./drafter.js";
import { mainOf } from "./drafting/drafters.js";
import type { Option } from "./drafting/option.js";
import { knownOf } from "./evidence.js";
import { gainIsAboveNoise, speedBy } from "./gain.js";
import { type ContextData, contextFor, middle, type Problem } from "./problem.js";

/** Contexts of a plan, `last` included. */
export interface Stretch {
  from: number;
  last: number;
}

/** What is done along a stretch. */
export interface Decided extends Stretch {
  /** null: plain decoding */
  option: Option | null;
  /** what text kept back refused, in the order tried */
  refuted: Refuted[];
}

/** A draft whose acceptance on text kept back would tell what to plan, and the calibrated contexts to measure it at. */
export interface Unconfirmed {
  set: ChoiceSet;
  draftTokens: number;
  contexts: ContextData[];
  /** would follow a draft that text kept back refused; false: a plan rests on it as it is */
  follows: boolean;
}

export interface Planning {
  problem: Problem;
  /** profiled contexts, rising */
  grid: readonly number[];
  options: (n: number) => readonly Option[];
  /** filled with what is not known of text kept back */
  unconfirmed: Unconfirmed[];
}

/** Other drafts that are tried where text kept back refuses the first. */
const MOST_OTHERS = 3;
/** Refused drafts that a segment names. */
const MOST_REFUTED = 16;

/**
 * @param pick what the text of choosing decided
 * @param near drafts and lengths as good as the pick at every context of the stretch
 */
export function confirmed(planning: Planning, stretch: Stretch, pick: Option, near: readonly Option[]): Decided[] {
  if (!isRefuted(planning, stretch, pick)) return [settled(planning, stretch, pick, [])];
  const keys = new Set(near.map(({ key }) => key));
  const whole = another(planning, stretch, pick, (option) => keys.has(option.key));
  if (whole.option !== null) return [settled(planning, stretch, whole.option, whole.refuted)];
  return piecewise(planning, stretch, pick);
}

/** Stretches that the pick gains on keep it; on the others every draft that gains there may follow. */
function piecewise(planning: Planning, stretch: Stretch, pick: Option): Decided[] {
  const stretches = alternating(planning, stretch, pick);
  if (stretches.length > 1) return stretches.flatMap((part) => piecewise(planning, part, pick));
  if (!isRefuted(planning, stretch, pick)) return [settled(planning, stretch, pick, [])];
  const { option, refuted } = another(planning, stretch, pick, () => true);
  if (option !== null) return [settled(planning, stretch, option, refuted)];
  const contexts = planning.grid.filter((n) => n >= stretch.from && n <= stretch.last);
  if (contexts.length < 2) return [{ ...stretch, option: null, refuted }];
  const half = contexts.length >> 1;
  const cut = Math.max(contexts[half - 1] + 1, middle(contexts[half - 1], contexts[half]));
  return merged([
    ...piecewise(planning, { from: stretch.from, last: cut - 1 }, pick),
    ...piecewise(planning, { from: cut, last: stretch.last }, pick),
  ]);
}

/** Neighbours that are both left to plain decoding, joined. */
function merged(parts: readonly Decided[]): Decided[] {
  const joined: Decided[] = [];
  for (const part of parts) {
    const before = joined.at(-1);
    if (before === undefined || before.option !== null || part.option !== null) joined.push(part);
    else joined.splice(-1, 1, { ...before, last: part.last, refuted: union(before.refuted, part.refuted) });
  }
  return joined;
}

/** Of the same draft refused on both sides the worse figure. */
function union(a: readonly Refuted[], b: readonly Refuted[]): Refuted[] {
  const same = (x: Refuted, y: Refuted) =>
    x.draft_tokens === y.draft_tokens && JSON.stringify([x.drafter, x.draft]) === JSON.stringify([y.drafter, y.draft]);
  const worse = a.map((one) => b.find((other) => same(one, other) && other.speedup < one.speedup) ?? one);
  return [...worse, ...b.filter((other) => !a.some((one) => same(one, other)))].slice(0, MOST_REFUTED);
}

function settled(planning: Planning, stretch: Stretch, option: Option, refuted: Refuted[]): Decided {
  const unknown = contextsOf(planning, stretch).filter((context) => reportedAt(context, option) === null);
  wanted(planning, option, unknown, false);
  return { ...stretch, option, refuted };
}

/** The best by the text of choosing among a shorter draft and a few others that text kept back predicts no loss for. */
function another(
  planning: Planning,
  stretch: Stretch,
  pick: Option,
  isOffered: (option: Option) => boolean,
): { option: Option | null; refuted: Refuted[] } {
  const ranked = rankedAlong(planning, stretch).filter(isOffered);
  const refuted = [worst(planning, stretch, pick)];
  const isSame = (option: Option) => familyKey(option.drafter) === familyKey(pick.drafter);
  const length = ({ drafter, draftTokens }: Option) => nodesOf(drafter, draftTokens);
  const shorter = ranked.find(
    (option) => isSame(option) && length(option) < length(pick) && !isRefuted(planning, stretch, option),
  );
  if (shorter !== undefined) return { option: shorter, refuted };
  const others = bestOfEachFamily(ranked.filter((option) => !isSame(option))).slice(0, MOST_OTHERS);
  const known = contextsOf(planning, stretch).filter((context) => reportedAt(context, pick) !== null);
  let asked = false;
  for (const option of others) {
    const contexts = known.filter((context) => reportedAt(context, option) === null);
    if (contexts.length > 0) {
      if (!asked) wanted(planning, option, contexts, true);
      asked = true; // one at a time: what it shows may make the next one needless
    } else if (isRefuted(planning, stretch, option)) refuted.push(worst(planning, stretch, option));
    else return { option, refuted };
  }
  return { option: null, refuted };
}

/** Options that gain, beyond noise, at every profiled context of the stretch, best on the whole first. */
function rankedAlong({ problem, grid, options }: Planning, stretch: Stretch): Option[] {
  const inside = grid.filter((n) => n >= stretch.from && n <= stretch.last);
  const contexts = inside.length === 0 ? [Math.round((stretch.from + stretch.last) / 2)] : inside;
  const at = contexts.map((n) => new Map(options(n).map((option) => [option.key, option])));
  const total = (key: string) => at.reduce((sum, here) => sum + Math.log(here.get(key)?.tokensPerSecond ?? 0), 0);
  return [...at[0].values()]
    .filter(({ key }) =>
      contexts.every((n, i) => {
        const option = at[i].get(key);
        return option !== undefined && gainIsAboveNoise(problem, n, option);
      }),
    )
    .map((option) => ({ option, total: total(option.key) }))
    .sort(
      (a, b) =>
        b.total - a.total || a.option.draftTokens - b.option.draftTokens || (a.option.key < b.option.key ? -1 : 1),
    )
    .map(({ option }) => option);
}

/** The model's own drafts can be measured on text kept back when they are wanted; heads were measured on all of it before. */
function wanted(
  { unconfirmed }: Planning,
  { drafter, draftTokens }: Option,
  contexts: ContextData[],
  follows: boolean,
): void {
  const main = mainOf(drafter);
  const length = drafter.kind === "hybrid" ? drafter.otherwiseTokens : draftTokens;
  if (contexts.length > 0 && main.kind === "self")
    unconfirmed.push({ set: main.set, draftTokens: length, contexts, follows });
}

/** Of options that differ in how far they draft alone the best one. */
function bestOfEachFamily(ranked: readonly Option[]): Option[] {
  const families = new Map<string, Option>();
  for (const option of ranked) {
    const key = familyKey(option.drafter);
    if (!families.has(key)) families.set(key, option);
  }
  return [...families.values()];
}

/** Contexts that settle the whole stretch: its ends, profiled contexts, and where another calibrated context begins. */
function knotsOf({ problem, grid }: Planning, { from, last }: Stretch): number[] {
  const inside = [...grid, ...problem.contexts.flatMap(({ to }) => [to - 1, to])].filter((n) => n > from && n < last);
  return [...new Set([from, ...inside, last])].sort((a, b) => a - b);
}

/** Calibrated contexts that the stretch's profiled ones belong to; that of its middle where it has none. */
function contextsOf({ problem, grid }: Planning, { from, last }: Stretch): ContextData[] {
  const inside = grid.filter((n) => n >= from && n <= last);
  const contexts = inside.length === 0 ? [Math.round((from + last) / 2)] : inside;
  return [...new Set(contexts.map((n) => contextFor(problem, n)))];
}

/** The curve [d+1] of a draft on text kept back; null where it was not measured to that length. */
export const reportedAt = (context: ContextData, option: Pick<Option, "drafter" | "draftTokens">) =>
  knownOf(context, "report", option);

/** By the text kept back; null where that says nothing. */
function confirmedSpeedup({ problem }: Planning, n: number, option: Option): number | null {
  const known = reportedAt(contextFor(problem, n), option);
  if (known === null) return null;
  const { drafter, draftTokens } = option;
  const curve = known.curve.slice(0, longestDraft(drafter, draftTokens) + 1);
  return (speedBy(problem.latency, n, drafter, { ...known, curve }) * problem.latency.stepUs(n)) / 1e6;
}

const losesAt = (planning: Planning, n: number, option: Option): boolean =>
  (confirmedSpeedup(planning, n, option) ?? 1) < 1;

const isRefuted = (planning: Planning, stretch: Stretch, option: Option): boolean =>
  knotsOf(planning, stretch).some((n) => losesAt(planning, n, option));

function worst(planning: Planning, stretch: Stretch, option: Option): Refuted {
  const at = knotsOf(planning, stretch).flatMap((n) => {
    const speedup = confirmedSpeedup(planning, n, option);
    return speedup === null ? [] : [{ at_context: n, speedup }];
  });
  const { at_context, speedup } = at.reduce((a, b) => (b.speedup < a.speedup ? b : a));
  return {
    ...drafterRecord(option.drafter),
    draft_tokens: option.draftTokens,
    at_context,
    speedup: significant(speedup, 6),
  };
}

/** The longest stretches along which an option is refused throughout, or nowhere. */
function alternating(planning: Planning, { from, last }: Stretch, option: Option): Stretch[] {
  const loses = (n: number) => losesAt(planning, n, option);
  const knots = knotsOf(planning, { from, last });
  const parts: Stretch[] = [];
  let begin = from;
  for (let i = 1; i < knots.length; i++) {
    let [before, after] = [knots[i - 1], knots[i]];
    const was = loses(before);
    if (loses(after) === was) continue;
    while (after - before > 1) {
      const between = Math.trunc((before + after) / 2);
      if (loses(between) === was) before = between;
      else after = between;
    }
    parts.push({ from: begin, last: before });
    begin = after;
  }
  return [...parts, { from: begin, last }];
}
