import { describe, expect, test } from "vitest";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, choiceKey, compactDraft, expandDraft, uniformChoices } from "../../src/schema/choice.js";
import { curveFromRate, openProblem, planSegments } from "../../src/solve/index.js";
import { fewestRanges, straight } from "../oracle/dense-ranges.js";
import {
  blockUs,
  CONTEXTS,
  FIXED_US,
  headUs,
  LAYERS,
  LOOP,
  makeCalibration,
  makeProfile,
} from "../support/documents.js";
import { draw, seeds } from "./instances.js";

const int8 = uniformChoices(LAYERS, "int8");
const SETS: ChoiceSet[] = [int8, { ...int8, blocks: int8.blocks.with(5, "skip") }, { ...int8, head: "target" }];

/**
 * Every draft measured at every calibrated context, at rates that make lengths and drafts compete. Calibrated contexts are
 * those profiled, or others, so that curves change between profiled contexts and latencies between calibrated ones.
 */
function instance(seed: number) {
  const random = draw(seed);
  const calibrated = [CONTEXTS, [128], [100, 700]][seed % 4] ?? CONTEXTS;
  const spread = [0.01, 0.03, 0.13][seed % 3];
  const rates = calibrated.map(() =>
    SETS.map(() => 0.86 + 0.13 * ((seed % 7) / 7) * (1 - spread / 0.13) + spread * random.float()),
  );
  const measured: MeasuredDraft[] = calibrated.flatMap((at_context, i) =>
    SETS.map((set, s) => ({
      at_context,
      part: "choose" as const,
      draft: compactDraft(set),
      tokens: 1_000_000,
      curve: curveFromRate(rates[i][s], 16),
    })),
  );
  const calibration = makeCalibration(calibrated, measured);
  const problem = openProblem({ profile: makeProfile(), calibration, choices: ["int8", "skip"] });
  return { problem, calibrated, rates };
}

/** µs of a pass of the target, or of a draft, at a profiled context: the parts added up by hand. */
function passUs(n: number, q: number, set: ChoiceSet | null): number {
  let us = FIXED_US + headUs(set?.head === "int8", q);
  for (let block = 0; block < 2 * LAYERS; block++) {
    const choice = set?.blocks[block] ?? "target";
    if (choice !== "skip") us += blockUs(block % 2 === 0 ? "attn" : "mlp", block >> 1, choice === "int8", n, q);
  }
  return us;
}

/** Speed of every draft and length at any context, from the profile's and the calibration's own numbers. */
function naiveSpeeds({ calibrated, rates }: Pick<ReturnType<typeof instance>, "calibrated" | "rates">) {
  const drafts = SETS.map((set) => CONTEXTS.map((n) => passUs(n, 1, set)));
  const passes = Array.from({ length: 17 }, (_, d) => CONTEXTS.map((n) => passUs(n, d + 1, null)));
  return (n: number): Map<string, number> => {
    // the calibrated context nearest in ratio
    const at = calibrated.findIndex(
      (context, i) => i === calibrated.length - 1 || n < Math.round(Math.sqrt(context * calibrated[i + 1])),
    );
    const speeds = new Map<string, number>();
    SETS.forEach((_, s) => {
      const rate = rates[at][s];
      for (let d = 1; d <= 16; d++) {
        const tokens = (1 - rate ** (d + 1)) / (1 - rate);
        const us = d * straight(CONTEXTS, drafts[s], n) + straight(CONTEXTS, passes[d], n) + LOOP.round_us;
        speeds.set(`${s} ${d}`, (1e6 * tokens) / us);
      }
    });
    return speeds;
  };
}

describe("merged ranges", () => {
  test.each(seeds(40))(
    "are within 1 % of the best measured draft and length at every single context, and as few as possible (seed %i)",
    (seed) => {
      const { problem, ...made } = instance(seed);
      const segments = planSegments(problem);
      const speeds = naiveSpeeds(made);
      const last = CONTEXTS[CONTEXTS.length - 1];
      let expected = 0;
      for (const { context_tokens, draft, draft_tokens } of segments) {
        if (draft === undefined) throw new Error("every draft gains here");
        const own = choiceKey(expandDraft(draft, LAYERS, "test"));
        const key = `${SETS.findIndex((set) => choiceKey(set) === own)} ${draft_tokens}`;
        expect(context_tokens.from).toBe(expected);
        expected = context_tokens.to;
        for (let n = context_tokens.from; n < context_tokens.to || n === last; n++) {
          const here = speeds(n);
          expect((here.get(key) ?? Number.NaN) / Math.max(...here.values())).toBeGreaterThanOrEqual(0.99 - 1e-9);
        }
      }
      expect(expected).toBe(last);
      expect(segments).toHaveLength(fewestRanges(speeds, last, 0.99).length);
    },
  );

  test("the instances have plans of one range and of several, and ranges that end between the middles of contexts", () => {
    const plans = seeds(40).map((seed) => planSegments(instance(seed).problem));
    expect(plans.filter((segments) => segments.length === 1).length).toBeGreaterThan(2);
    expect(plans.filter((segments) => segments.length > 2).length).toBeGreaterThan(1);
    const ends = plans.flatMap((segments) => segments.slice(1).map(({ context_tokens }) => context_tokens.from));
    expect(ends.filter((end) => end === 128 || end === 512).length).toBeGreaterThan(2);
    expect(ends.filter((end) => end !== 128 && end !== 512).length).toBeGreaterThan(1);
  });

  test("one draft with another best length at each end is one range where a length between serves both", () => {
    const measured: MeasuredDraft[] = [64, 1024].map((at_context, i) => ({
      at_context,
      part: "choose",
      draft: compactDraft(int8),
      tokens: 1_000_000,
      curve: curveFromRate([0.93, 0.94][i], 16),
    }));
    const problem = openProblem({
      profile: makeProfile(),
      calibration: makeCalibration([64, 1024], measured),
      choices: ["int8"],
    });
    const [only, ...others] = planSegments(problem);
    expect(others).toEqual([]);
    expect(expandDraft(only.draft as never, LAYERS, "test")).toEqual(int8);
  });
});
