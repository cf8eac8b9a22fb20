/** The draft length by batch, against trying every length at every batch. */
import { describe, expect, test } from "vitest";
import { lengthAt, toSteps } from "../../../src/schema/length-by-batch.js";
import { Plan, type Segment } from "../../../src/schema/plan.js";
import { Profile } from "../../../src/schema/profile.js";
import { planDocument, segmentsBy } from "../../../src/solve/index.js";
import { batchSpeed, bestByBatch } from "../../oracle/brute-force-batch.js";
import { uniform } from "../../support/numbers.js";
import { calibrationOf, type Part, type Planted, problemOf, profileOf } from "./planted.js";

const QUERIES = [1, 2, 3, 4, 5, 6, 7, 8, 9];
const weights = (part: Part) => (part === "fixed" ? 30 : part === "head" ? 300 : 200);

/** Reading the weights is all that a pass takes: neither batch nor query length costs anything. */
const memoryBound: Planted = {
  name: "memory-bound",
  ...{ batches: [1, 4, 16, 64], contexts: [256], queries: QUERIES, int8: 0.3, rate: 0.8 },
  us: weights,
};

/** Past four rows of a matrix product every further row costs as much as the first. */
const computeBound: Planted = {
  ...memoryBound,
  name: "compute-bound",
  us: (part, batch, _context, query) => weights(part) * Math.max(1, (batch * query) / 4),
};

/** Verification takes five times as long from the ninth sequence on: another kernel. */
const stepAtEight: Planted = {
  ...memoryBound,
  name: "a step at batch 8",
  batches: [1, 4, 8, 9, 32],
  us: (part, batch, _context, query) => weights(part) * (batch > 8 && query > 2 ? 5 : 1),
};

/** Times rise with batch and query length by random amounts. */
function random(seed: number): Planted {
  const next = uniform(seed);
  const batches = [1, 2, 8, 24].slice(0, 2 + Math.floor(3 * next()));
  const queries = [1, 3, 9];
  const times = new Map<string, number>();
  for (const part of ["fixed", "head", "attn", "mlp"])
    queries.reduce(
      (least, q) =>
        batches.reduce((us, batch) => {
          times.set(`${part} ${batch} ${q}`, us);
          return us * (1 + 1.5 * next() ** 3);
        }, least) * 0.7,
      20 + 300 * next(),
    );
  const us: Planted["us"] = (part, batch, _context, query) => times.get(`${part} ${batch} ${query}`) as number;
  return {
    name: `seed ${seed}`,
    batches,
    queries,
    contexts: [256],
    us,
    int8: 0.1 + 0.25 * next(),
    rate: 0.7 + 0.25 * next(),
  };
}

const solve = (planted: Planted, whole = false, keptRate?: number): Segment[] =>
  segmentsBy("knapsack", {
    profile: profileOf(planted, whole),
    calibration: calibrationOf(planted, keptRate),
    choices: ["int8"],
  });

/** [largest batch] what the segment says of the batches 1, 2, 3, … */
function lengthsOf({ draft_tokens_by_batch: steps }: Segment, largest: number): number[] {
  if (steps === undefined) throw new Error("the segment says nothing of batches");
  expect(steps[steps.length - 1].to).toBe(largest);
  return Array.from({ length: largest }, (_, i) => lengthAt(steps, i + 1));
}

describe("the draft length by batch", () => {
  test.each([memoryBound, computeBound, stepAtEight])("is what brute force finds: $name", (planted) => {
    const best = bestByBatch(problemOf(planted, 256));
    const [segment] = solve(planted);
    expect(lengthsOf(segment, best.length)).toEqual(best);
    expect(segment.draft_tokens).toBe(best[0]);
  });

  test("the planted tables differ as their names say", () => {
    const [memory, compute, step] = [memoryBound, computeBound, stepAtEight].map((planted) =>
      bestByBatch(problemOf(planted, 256)),
    );
    expect(new Set(memory).size).toBe(1);
    expect(compute[0]).toBeGreaterThan(0);
    expect(compute.at(-1)).toBe(0);
    expect(new Set(step.slice(0, 8)).size).toBe(1);
    expect(step[8]).toBeLessThan(step[7]);
  });

  test.each([memoryBound, computeBound, stepAtEight])(
    "is found where further batches give whole passes alone: $name",
    (planted) => {
      const best = bestByBatch(problemOf(planted, 256, true));
      expect(lengthsOf(solve(planted, true)[0], best.length)).toEqual(best);
    },
  );

  test("reaches what brute force reaches, on random tables", () => {
    const segments = Array.from({ length: 60 }, (_, seed) => {
      const planted = random(seed);
      return { problem: problemOf(planted, 256), segment: solve(planted)[0] };
    });
    const drafting = segments.filter(({ segment }) => segment.speculate); // of others a plan has no draft
    expect(drafting.length).toBeGreaterThan(30);
    for (const { problem, segment } of drafting) {
      const best = bestByBatch(problem);
      const found = lengthsOf(segment, best.length);
      expect(found[0]).toBe(segment.draft_tokens);
      found.slice(1).forEach((d, i) => {
        expect(batchSpeed(problem, i + 2, d)).toBeCloseTo(batchSpeed(problem, i + 2, best[i + 1]), 6);
      });
    }
  });

  test("predicts, for every measured batch, the speed of all sequences together", () => {
    const [{ predicted }] = solve(computeBound);
    const problem = problemOf(computeBound, 256);
    for (const { batch, draft_tokens: d, tokens_per_second, speedup } of predicted?.by_batch ?? []) {
      expect(tokens_per_second / batchSpeed(problem, batch, d)).toBeCloseTo(1, 4);
      expect(speedup).toBeCloseTo(batchSpeed(problem, batch, d) / batchSpeed(problem, batch, 0), 4);
    }
    expect(predicted?.by_batch?.map(({ batch }) => batch)).toEqual(computeBound.batches);
  });

  test("is refused by text kept back where that predicts a loss", () => {
    const [segment] = solve(stepAtEight, false, 0.45);
    const kept = problemOf({ ...stepAtEight, rate: 0.45 }, 256);
    lengthsOf(segment, 32).forEach((d, i) => {
      expect(batchSpeed(kept, i + 1, d)).toBeGreaterThanOrEqual(batchSpeed(kept, i + 1, 0) * (1 - 1e-9));
    });
    const chosenAlone = bestByBatch(problemOf(stepAtEight, 256));
    expect(lengthsOf(segment, 32)).not.toEqual(chosenAlone);
  });
});

describe("several contexts", () => {
  /** Long contexts of many sequences are all cache: verification is free there, and costs much at short ones. */
  const byContext: Planted = {
    ...memoryBound,
    name: "by context",
    contexts: [64, 256, 1024, 4096],
    us: (part, batch, context, query) =>
      weights(part) * (context > 512 ? 1 : Math.max(1, (batch * query) / 4)) + (part === "attn" ? context / 50 : 0),
  };

  test("are cut where another function of the batch is better, each within 1 % of the best at every batch", () => {
    const segments = solve(byContext);
    expect(segments.length).toBeGreaterThan(1);
    expect(new Set(segments.map((one) => JSON.stringify(one.draft_tokens_by_batch))).size).toBeGreaterThan(1);
    for (const n of byContext.contexts) {
      const segment = segments.find(({ context_tokens: { to } }) => n < to) ?? segments[segments.length - 1];
      const problem = problemOf(byContext, n);
      const best = bestByBatch(problem);
      lengthsOf(segment, 64)
        .slice(1)
        .forEach((d, i) => {
          expect(batchSpeed(problem, i + 2, d)).toBeGreaterThan(0.99 * batchSpeed(problem, i + 2, best[i + 1]));
        });
    }
  });

  test("that a batch was not measured at have no length for it", () => {
    const profile = profileOf(byContext);
    const batches = profile.batches?.map((one) =>
      one.batch === 64 ? { ...one, points: one.points.filter(({ context_tokens: n }) => n <= 256) } : one,
    );
    const segments = segmentsBy("knapsack", {
      profile: Profile.parse({ ...profile, batches }),
      calibration: calibrationOf(byContext),
      choices: ["int8"],
    });
    const largest = (n: number) =>
      segments.find(({ context_tokens: { to } }) => n < to)?.draft_tokens_by_batch?.at(-1)?.to;
    expect([largest(64), largest(255), largest(4000)]).toEqual([64, 64, 16]);
  });
});

describe("a document", () => {
  const input = {
    profile: profileOf(stepAtEight),
    calibration: calibrationOf(stepAtEight),
    choices: ["int8" as const],
  };
  const ref = { path: "x.yaml", sha256: "e".repeat(64) };

  test("with batches is valid, and so is its plan", () => {
    expect(Profile.safeParse(input.profile).error).toBeUndefined();
    const plan = planDocument(input, { profile: ref, calibration: ref });
    expect(Plan.safeParse(plan).error).toBeUndefined();
  });

  test("without batches gives the same plan as before, without the new keys", () => {
    const { batches: _, ...profile } = input.profile;
    const [alone] = segmentsBy("knapsack", { ...input, profile });
    const [batched] = segmentsBy("knapsack", input);
    const { draft_tokens_by_batch, predicted, ...rest } = batched;
    const { by_batch, ...figures } = predicted ?? {};
    expect(draft_tokens_by_batch).toBeDefined();
    expect(by_batch).toBeDefined();
    expect(alone).toEqual({ ...rest, predicted: figures });
  });

  test.each([
    [
      "ranges that do not rise",
      [
        { to: 4, draft_tokens: 2 },
        { to: 4, draft_tokens: 1 },
      ],
    ],
    ["no draft at all", [{ to: 4, draft_tokens: 0 }]],
    ["a draft below 0", [{ to: 4, draft_tokens: -1 }]],
    ["no range", []],
  ])("refuses %s", (_what, draft_tokens_by_batch) => {
    const plan = planDocument(input, { profile: ref, calibration: ref });
    const segments = plan.segments.map((segment) => ({ ...segment, draft_tokens_by_batch }));
    expect(Plan.safeParse({ ...plan, segments }).success).toBe(false);
  });

  test("writes equal neighbours as one range", () => {
    expect(toSteps([5, 5, 2, 0, 0])).toEqual([
      { to: 2, draft_tokens: 5 },
      { to: 3, draft_tokens: 2 },
      { to: 5, draft_tokens: 0 },
    ]);
  });
});
