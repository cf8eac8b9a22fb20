/** From options at each profiled context to a plan's segments. */
import { type ChoiceSet, choiceKey, compactDraft } from "../schema/choice.js";
import type { Predicted, Segment } from "../schema/plan.js";
import { rankedFrontier } from "./candidates.js";
import { constrainedGroups, constrainedIds } from "./constraints.js";
import { contextsBeyond } from "./extrapolate.js";
import { gainIsAboveNoise, speedOf } from "./gain.js";
import { lpGapPercent } from "./lp-bound.js";
import { solveMultipleChoice } from "./multiple-choice.js";
import { curveFromRate, expectedTokens } from "./objective.js";
import { contextFor, groupsAt, middle, type Problem, surrogateLoss } from "./problem.js";
import { drawnInterval, regretPercent } from "./resample.js";
import { acceptanceRate, expectedRate, fitCorrection } from "./surrogate.js";

/** A draft with its length, and what it reaches at one context. */
interface Option {
  key: string;
  set: ChoiceSet;
  draftTokens: number;
  /** [d+1] the curve it was chosen by */
  curve: readonly number[];
  /** positions behind the curve; null: it was not measured */
  tokens: number | null;
  evidence: "choose" | "surrogate";
  tokensPerSecond: number;
}

/** Ranges are merged where one draft is within this share of the best everywhere. */
const NEAR_BEST = 0.99;
/** Two options this close cannot be told apart by what was measured. */
const AS_GOOD = 0.995;

/** Every measured draft at every length, or, where nothing is measured, the surrogate's best. */
export function optionsAt(problem: Problem, n: number): Option[] {
  const context = contextFor(problem, n);
  const measured = context.measured.filter((m) => m.part === "choose");
  const sources: Pick<Option, "set" | "curve" | "evidence" | "tokens">[] =
    measured.length > 0 || problem.measuredOnly === true
      ? measured.map(({ set, curve, tokens }) => ({ set, curve, tokens, evidence: "choose" }))
      : rankedFrontier(problem, n, fitCorrection(context))
          .slice(0, 1)
          .map(({ set, loss }) => ({
            set,
            curve: curveFromRate(expectedRate(fitCorrection(context), loss), problem.maxDraft),
            tokens: null,
            evidence: "surrogate",
          }));
  return sources.flatMap(({ set, curve, evidence, tokens }) =>
    Array.from({ length: Math.min(problem.maxDraft, curve.length - 1) }, (_, i) => {
      const cut = curve.slice(0, i + 2);
      return {
        key: `${i + 1}|${choiceKey(set)}`,
        set,
        draftTokens: i + 1,
        curve: cut,
        tokens,
        evidence,
        tokensPerSecond: speedOf(problem.latency, n, set, cut),
      };
    }),
  );
}

/** Options that are near the best at one context; none where the best's gain is not above the noise. */
function nearBest(problem: Problem, n: number): Map<string, Option> {
  const options = optionsAt(problem, n);
  const [first, ...others] = options;
  if (first === undefined) return new Map();
  const best = others.reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a), first);
  if (!gainIsAboveNoise(problem, n, best)) return new Map();
  return new Map(options.filter((o) => o.tokensPerSecond >= NEAR_BEST * best.tokensPerSecond).map((o) => [o.key, o]));
}

interface Run {
  /** indices into the contexts, first and last */
  first: number;
  last: number;
  option: Option | null;
}

/** The fewest runs of neighbouring contexts such that one option is near the best in each. */
function runs(problem: Problem, contexts: readonly number[]): Run[] {
  const near = contexts.map((n) => nearBest(problem, n));
  const found: Run[] = [];
  for (let first = 0; first < near.length; ) {
    let alive = [...near[first].keys()];
    let last = first;
    while (last + 1 < near.length) {
      const next = near[last + 1];
      const still = alive.filter((key) => next.has(key));
      if (near[first].size === 0 ? next.size > 0 : still.length === 0) break;
      alive = still;
      last++;
    }
    const winner = shortestOfBest(alive, near.slice(first, last + 1));
    found.push({ first, last, option: winner === undefined ? null : (near[first].get(winner) as Option) });
    first = last + 1;
  }
  return found;
}

/**
 * Of the options that are near the best everywhere, the best on the whole; among those as good as that the one with the
 * shortest draft, since the far end of an acceptance curve rests on the fewest rounds.
 */
function shortestOfBest(keys: readonly string[], near: readonly ReadonlyMap<string, Option>[]): string | undefined {
  const total = (key: string) =>
    near.reduce((sum, options) => sum + Math.log((options.get(key) as Option).tokensPerSecond), 0) / near.length;
  const ranked = keys.map((key) => ({ key, total: total(key), draftTokens: near[0].get(key)?.draftTokens ?? 0 }));
  const best = Math.max(...ranked.map((entry) => entry.total));
  const asGood = ranked.filter((entry) => entry.total >= best + Math.log(AS_GOOD));
  return asGood.sort((a, b) => a.draftTokens - b.draftTokens || b.total - a.total || (a.key < b.key ? -1 : 1))[0]?.key;
}

/**
 * The plan's segments: contexts from 0 to the last profiled one, and, where costs are drawn on, segments of their own from
 * there. So what was profiled is planned the same with and without what lies beyond it.
 */
export function planSegments(problem: Problem): Segment[] {
  const { gridContexts, extrapolated } = problem;
  const profiled = segmentsOver(problem, gridContexts, 0);
  if (extrapolated === undefined) return profiled;
  const end = profiled[profiled.length - 1].context_tokens.to;
  const beyond = segmentsOver(problem, contextsBeyond(extrapolated), end);
  return [...profiled, ...beyond.map((segment): Segment => ({ ...segment, extrapolated: true }))];
}

function segmentsOver(problem: Problem, grid: readonly number[], begin: number): Segment[] {
  const all = runs(problem, grid);
  return all.map(({ first, last, option }, i) => {
    const from = i === 0 ? begin : middle(grid[first - 1], grid[first]);
    const to = i === all.length - 1 ? Math.max(grid[last], from + 1) : middle(grid[last], grid[last + 1]);
    if (option === null) return { context_tokens: { from, to }, speculate: false };
    const centre = middle(grid[first], grid[last]);
    const at = grid.slice(first, last + 1).reduce((a, b) => (Math.abs(b - centre) < Math.abs(a - centre) ? b : a));
    return {
      context_tokens: { from, to },
      speculate: true,
      draft: compactDraft(option.set),
      draft_tokens: option.draftTokens,
      predicted: {
        ...predict(problem, at, option),
        ...speedsAlong(problem, grid.slice(first, last + 1), option),
      },
    };
  });
}

/** What the draft reaches at each of the segment's contexts: a merged range may be a long one. */
function speedsAlong(problem: Problem, contexts: readonly number[], option: Option): Pick<Predicted, "along"> {
  if (contexts.length < 2) return {};
  const along = contexts.map((n) => {
    const { curve } = evidenceAt(problem, n, option, optionsAt(problem, n));
    const speed = speedOf(problem.latency, n, option.set, curve);
    const speedup = (speed * problem.latency.stepUs(n)) / 1e6;
    return { context_tokens: n, tokens_per_second: digits(speed), speedup: digits(speedup) };
  });
  return { along };
}

/** The draft's curve at a context: the reported one where there is one, else what it was chosen by. */
function evidenceAt(problem: Problem, n: number, option: Option, options: readonly Option[]) {
  const key = choiceKey(option.set);
  const d = option.draftTokens;
  const reported = contextFor(problem, n).measured.find(
    (m) => m.part === "report" && m.key === key && m.curve.length > d,
  );
  const chosenBy = options.find((o) => o.key === option.key)?.curve ?? option.curve;
  return {
    curve: (reported?.curve ?? chosenBy).slice(0, d + 1),
    evidence: reported === undefined ? option.evidence : ("report" as const),
  };
}

/** The prediction for a chosen draft, by its reported curve where there is one. */
function predict(problem: Problem, n: number, option: Option): Predicted {
  const { latency } = problem;
  const options = optionsAt(problem, n);
  const d = option.draftTokens;
  const { curve, evidence } = evidenceAt(problem, n, option, options);
  const speed = speedOf(latency, n, option.set, curve);
  return {
    at_context: n,
    acceptance: digits(acceptanceRate(curve)),
    acceptance_curve: curve.map(digits),
    accepted_length: digits(expectedTokens(curve)),
    draft_us: digits(latency.draftUs(option.set, n)),
    verify_us: digits(latency.verifyUs(n, d)),
    round_us: digits(latency.roundUs),
    target_step_us: digits(latency.stepUs(n)),
    tokens_per_second: digits(speed),
    speedup: digits((speed * latency.stepUs(n)) / 1e6),
    lp_gap_percent: digits(lpGap(problem, n, option.set)),
    ...uncertainty(problem, n, options, option, curve),
    evidence,
  };
}

/** What the profile's resamples make of the prediction; nothing where it has none. */
function uncertainty(
  problem: Problem,
  n: number,
  options: readonly Option[],
  chosen: Option,
  curve: readonly number[],
): Pick<Predicted, "speedup_interval" | "regret_percent"> {
  const resampled = problem.resampled();
  if (resampled.length === 0) return {};
  const { low, high } = drawnInterval(
    resampled.map((latency) => (speedOf(latency, n, chosen.set, curve) * latency.stepUs(n)) / 1e6),
  );
  const regret = regretPercent(
    resampled.map((latency) => speedOf(latency, n, chosen.set, chosen.curve)),
    resampled.map((latency) =>
      Math.max(1e6 / latency.stepUs(n), ...options.map(({ set, curve: own }) => speedOf(latency, n, set, own))),
    ),
  );
  return {
    speedup_interval: { low: digits(low), high: digits(high) },
    regret_percent: { mean: hundredth(regret.mean), p95: hundredth(regret.p95) },
  };
}

/**
 * How far the draft's surrogate loss lies above the LP bound for its own cost. Limits on skipped blocks and on memory are
 * left out of the relaxation: with fewer constraints it is a lower bound still, and the gap may then be theirs.
 */
function lpGap(problem: Problem, n: number, set: ChoiceSet): number {
  const groups = constrainedGroups(problem.limits, groupsAt(problem, n));
  const ids = constrainedIds(problem.limits, set);
  const costUs = groups.reduce((sum, group, i) => sum + (group.choices.find((c) => c.id === ids[i])?.costUs ?? 0), 0);
  const { lowerBound } = solveMultipleChoice(groups, costUs);
  return Math.max(0, lpGapPercent(surrogateLoss(contextFor(problem, n).losses, set), lowerBound));
}

const hundredth = (percent: number): number => Math.round(100 * percent) / 100;

/** Six significant digits: what a measurement is good for, and short to read. */
export const digits = (x: number): number => Number(x.toPrecision(6));
