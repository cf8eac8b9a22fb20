/**
 * Verifications of one model on one device over time, and where their speedup or acceptance changes.
 *
 * The runtime's version belongs to no group: whether an update of it made plans slower is what a history is read for.
 * Nor does a plan's content: a plan is followed by the name of its file, and where no name comes twice (names with dates
 * in them), all verifications are one series. Where plan, runtime or prompts change together with a figure, the change
 * says so.
 */
import { type Device, limitsOf, type ModelRef } from "../schema/common.js";
import type { Verification } from "../schema/verification.js";
import { findChanges, LEAST_OBSERVATIONS, MOST_OBSERVATIONS, type Observation } from "../stats/change-points.js";
import { studentQuantile } from "../stats/student.js";

export interface HistoryEntry {
  file: string;
  sha256: string;
  verification: Verification;
}

export type Quantity = "speedup" | "acceptance";

/** What is not the same on both sides of a change, besides the figure itself. */
export type Circumstance = "plan" | "drafter" | "runtime" | "prompts" | "token limit" | "draftplan version";

export interface TrendChange {
  quantity: Quantity;
  /** place within `dated` of the last verification before the change, and of the first after it */
  last: number;
  first: number;
  /** of the stretches on both sides: geometric means of speedup, means of acceptance */
  before: number;
  after: number;
  /** of speedup: (after / before - 1) · 100. Null for acceptance, which is a share itself */
  changePercent: number | null;
  /** share of random orders in which the two sides differ as much */
  pValue: number;
  alsoChanged: Circumstance[];
}

export interface Trend {
  /** of the latest verification: a model may be called by several names */
  model: ModelRef;
  device: Omit<Device, "runtime">;
  /** name of the plan's file; null where every verification has another */
  plan: string | null;
  /** by `created`, oldest first */
  dated: HistoryEntry[];
  /** without `created`, in the order they were read; no part of any series */
  undated: HistoryEntry[];
  /** oldest first */
  changes: TrendChange[];
  /** quantities with fewer verifications than a change can be told from */
  tooFew: Quantity[];
}

const SEED = 1;
/** Half the width of a 95 % interval, in standard deviations, where it was found by a bootstrap. */
const NORMAL_95 = 1.96;
/**
 * A difference below 1 % of speedup, or 0.5 points of acceptance, is not marked. Noise below 0.1 % is not measured by any
 * clock here. Acceptance has no interval of its own: all verifications weigh alike.
 */
const SPEEDUP = { seed: SEED, leastDifference: Math.log(1.01), leastNoise: 0.001 };
const ACCEPTANCE = { seed: SEED, leastDifference: 0.005, leastNoise: 0.001 };

/** One trend for each model, device and plan, the one with the latest verification first. */
export function trendsOf(entries: readonly HistoryEntry[]): Trend[] {
  const devices = [...groupedBy(entries, modelAndDevice).values()];
  return devices.flatMap(trendsOfDevice).sort((a, b) => inOrder(latest(b), latest(a)));
}

function trendsOfDevice(entries: readonly HistoryEntry[]): Trend[] {
  const plans = groupedBy(entries, planName);
  if (plans.size > 1 && plans.size === entries.length) return [trendOf(entries, null)];
  return [...plans].map(([plan, ofPlan]) => trendOf(ofPlan, plan));
}

function groupedBy(entries: readonly HistoryEntry[], keyOf: (entry: HistoryEntry) => string) {
  const groups = new Map<string, HistoryEntry[]>();
  for (const entry of entries) {
    const group = groups.get(keyOf(entry));
    if (group === undefined) groups.set(keyOf(entry), [entry]);
    else group.push(entry);
  }
  return groups;
}

const latest = ({ dated }: Trend): string => (dated.length === 0 ? "" : timeOf(dated[dated.length - 1]));

function modelAndDevice({ verification: { model, device } }: HistoryEntry): string {
  const { processor, provider, threads, platform } = device;
  return JSON.stringify([model.weights_sha256 ?? model.architecture_sha256, processor, provider, threads, platform]);
}

/** Name of the plan's file, in whatever folder it lies. */
export const planName = ({ verification }: HistoryEntry): string =>
  verification.plan.path.slice(
    Math.max(verification.plan.path.lastIndexOf("/"), verification.plan.path.lastIndexOf("\\")) + 1,
  );

function trendOf(entries: readonly HistoryEntry[], plan: string | null): Trend {
  const dated = entries.filter(({ verification }) => verification.created !== undefined).sort(byTime);
  const undated = entries.filter(({ verification }) => verification.created === undefined);
  const { model, device } = (dated.at(-1) ?? entries[0]).verification;
  const { processor, provider, threads, platform } = device;
  const series = [seriesOf(dated, "speedup"), seriesOf(dated, "acceptance")];
  return {
    model,
    device: { processor, provider, threads, platform },
    plan,
    dated,
    undated,
    changes: series.flatMap((one) => changesOf(one, dated)).sort((a, b) => a.first - b.first),
    tooFew: series.filter(({ places }) => places.length < LEAST_OBSERVATIONS).map(({ quantity }) => quantity),
  };
}

/** Times are all in UTC; without the Z, texts of more or fewer digits are in the order of their times. */
const timeOf = ({ verification }: HistoryEntry): string => verification.created?.replace("Z", "") ?? "";

/** Of two at the same moment the file's name decides, so that the order is always the same. */
const byTime = (a: HistoryEntry, b: HistoryEntry): number => inOrder(timeOf(a), timeOf(b)) || inOrder(a.file, b.file);

const inOrder = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);

interface QuantitySeries {
  quantity: Quantity;
  /** place of each observation within the dated verifications */
  places: number[];
  observations: Observation[];
}

/** A verification whose output was wrong measured something else; one that drafted nothing has no acceptance. */
function seriesOf(dated: readonly HistoryEntry[], quantity: Quantity): QuantitySeries {
  const places: number[] = [];
  const found: { value: number; noise: number | null }[] = [];
  dated.forEach(({ verification }, place) => {
    const observation = verification.lossless ? observe(verification, quantity) : null;
    if (observation === null) return;
    places.push(place);
    found.push(observation);
  });
  // of too few prompts to have an interval: no surer than the least sure of the others
  const most = Math.max(0, ...found.map(({ noise }) => noise ?? 0));
  const observations = found.map(({ value, noise }) => ({ value, noise: noise ?? most }));
  return { quantity, places: places.slice(-MOST_OBSERVATIONS), observations: observations.slice(-MOST_OBSERVATIONS) };
}

/** Speedup by its logarithm: half as fast is as far from 1 as twice as fast, and noise is relative. */
function observe(
  { speedup, interval, acceptance, prompts }: Verification,
  quantity: Quantity,
): { value: number; noise: number | null } | null {
  switch (quantity) {
    case "speedup": {
      if (speedup.median <= 0) return null; // a document may say so; nothing measured does
      const limits = limitsOf(speedup);
      if (limits === null) return { value: Math.log(speedup.median), noise: null };
      const width = Math.log(limits.high / limits.low);
      const known = Number.isFinite(width) && width > 0;
      const timed = prompts.filter((prompt) => prompt.speedup !== null).length;
      const half = interval === undefined || timed < 2 ? NORMAL_95 : studentQuantile(0.975, timed - 1);
      return { value: Math.log(speedup.median), noise: known ? width / (2 * half) : 0 };
    }
    case "acceptance":
      return acceptance === null ? null : { value: acceptance, noise: 0 };
  }
}

function changesOf({ quantity, places, observations }: QuantitySeries, dated: readonly HistoryEntry[]): TrendChange[] {
  const isSpeedup = quantity === "speedup";
  return findChanges(observations, isSpeedup ? SPEEDUP : ACCEPTANCE).map((change) => {
    const before = isSpeedup ? Math.exp(change.before) : change.before;
    const after = isSpeedup ? Math.exp(change.after) : change.after;
    const [last, first] = [places[change.index - 1], places[change.index]];
    return {
      ...{ quantity, last, first, before, after, pValue: change.pValue },
      changePercent: isSpeedup ? 100 * (after / before - 1) : null,
      alsoChanged: circumstances(dated[last].verification, dated[first].verification),
    };
  });
}

/** Who stood in for the plan's own drafters, wherever heads lie; empty: nobody did. */
const drafterKey = ({ drafter }: Verification): string =>
  drafter === undefined ? "" : drafter.kind === "heads" ? drafter.sha256 : drafter.kind;

function circumstances(before: Verification, after: Verification): Circumstance[] {
  const different: Record<Circumstance, boolean> = {
    plan: before.plan.sha256 !== after.plan.sha256,
    drafter: drafterKey(before) !== drafterKey(after),
    runtime: before.device.runtime !== after.device.runtime,
    prompts: before.prompts_sha256 !== after.prompts_sha256,
    "token limit": before.max_tokens !== after.max_tokens,
    "draftplan version": before.versions?.draftplan !== after.versions?.draftplan,
  };
  return (Object.keys(different) as Circumstance[]).filter((name) => different[name]);
}
