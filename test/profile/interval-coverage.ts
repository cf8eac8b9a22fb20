/**
 * How often the interval that a profile gives a plan's speedup covers the truth: sweeps of planted machines on the fake
 * clock, again and again, each with noise of its own.
 */
import { profileModel } from "../../src/profile/profile.js";
import { type Choice, type ChoiceSet, uniformChoices } from "../../src/schema/choice.js";
import { type LatencyModel, openLatency } from "../../src/solve/latency.js";
import { drawnInterval, resampledLatencies } from "../../src/solve/resample.js";
import { fakePassUs } from "../support/fake-engine.js";
import { normal, uniform } from "../support/numbers.js";
import { asDocument, fakeSpec, planted, plantedTimes } from "./support.js";

export const LAYERS = 6;
const GRID = { contexts: [64, 512, 2048], queries: [1, 2, 5], queryLine: [] };
const DRAFT_TOKENS = 4;
/** chance of each drafted token, given those before it */
const ACCEPTANCE = 0.8;

/** What a machine does to a pass beside its exact time. */
export interface Machine {
  /** relative standard deviation of every single pass */
  noise: number;
  /** of what slows whole spells of passes alike, and how many passes a spell lasts */
  spells?: { deviation: number; passes: number };
  /** share of passes that take four times as long */
  outliers?: number;
  /** growth a pass */
  drift?: number;
}

export const MACHINES: Record<string, Machine> = {
  quiet: { noise: 0.01 },
  noisy: { noise: 0.04, outliers: 0.02 },
  "noisy in spells": { noise: 0.02, spells: { deviation: 0.05, passes: 60 } },
  "that becomes slower": { noise: 0.02, drift: 1 / 30_000 },
};

function disturbance({ noise, spells, outliers = 0, drift = 0 }: Machine, seed: number) {
  const next = uniform(seed);
  let spell = 1;
  return (us: number, pass: number): number => {
    if (spells !== undefined && next() < 1 / spells.passes) spell = Math.exp(spells.deviation * normal(next));
    const outlier = next() < outliers ? 4 : 1;
    return us * spell * outlier * Math.exp(noise * normal(next)) * (1 + pass * drift);
  };
}

/** Drafts that a solver may come to: all int8, some of it skipped, and one of everything. */
export const DRAFTS: Record<string, ChoiceSet> = {
  "all int8": uniformChoices(LAYERS, "int8"),
  "half skipped": draft((i) => (i % 4 < 2 ? "int8" : "skip")),
  mixed: draft((i) => (["target", "int8", "skip"] as const)[i % 3]),
};

function draft(choiceOf: (index: number) => Choice): ChoiceSet {
  return { blocks: Array.from({ length: 2 * LAYERS }, (_, i) => choiceOf(i)), head: "int8" };
}

const tokens = Array.from({ length: DRAFT_TOKENS + 1 }, (_, i) => ACCEPTANCE ** i).reduce((a, b) => a + b);
const speedupOf = (draftUs: number, verifyUs: number, stepUs: number): number =>
  (tokens * stepUs) / (DRAFT_TOKENS * draftUs + verifyUs);

const predicted = (latency: LatencyModel, set: ChoiceSet, n: number): number =>
  speedupOf(latency.draftUs(set, n), latency.verifyUs(n, DRAFT_TOKENS), latency.stepUs(n));

/** One sweep; for every draft and context, whether its 90 % interval covers the truth, and how wide it is. */
export async function sweepOnce(machine: Machine, rounds: number, seed: number) {
  const times = plantedTimes(LAYERS, 0.15, 1000 + seed);
  const world = planted(LAYERS, { ...times, disturbance: disturbance(machine, seed) });
  const measured = await profileModel({
    ...world,
    ...GRID,
    seed,
    minRounds: rounds,
    maxRounds: rounds,
    budgetSeconds: 1e6,
  });
  const profile = asDocument(measured, LAYERS);
  const draws = resampledLatencies(profile);
  const latency = openLatency(profile);
  const model = { spec: fakeSpec(LAYERS), times, clock: world.clock, missRate: () => 0 };
  const exact = (position: number, q: number, choices: ChoiceSet) =>
    fakePassUs(model, { position, q, rows: q, choices });
  const target = uniformChoices(LAYERS, "target");
  return Object.entries(DRAFTS).flatMap(([name, set]) =>
    GRID.contexts.map((n) => {
      const truth = speedupOf(exact(n, 1, set), exact(n, DRAFT_TOKENS + 1, target), exact(n, 1, target));
      const { low, high } = drawnInterval(draws.map((one) => predicted(one, set, n)));
      const estimate = predicted(latency, set, n);
      return {
        name,
        n,
        covers: low <= truth && truth <= high,
        width: (high - low) / truth,
        error: estimate / truth - 1,
      };
    }),
  );
}
