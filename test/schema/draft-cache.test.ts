/** The standalone curve of a plan's segment: which record of a calibration it is, and when there is none. */
import { expect, test } from "vitest";
import type { Calibration, MeasuredDraft } from "../../src/schema/calibration.js";
import { standaloneCurve } from "../../src/schema/draft-cache.js";
import type { Plan } from "../../src/schema/plan.js";
import { calibration as example, plan as examplePlan } from "../support/example-documents.js";

const SET = examplePlan().segments[0].draft as NonNullable<Plan["segments"][number]["draft"]>;
/** the same blocks, written out */
const SAME = { default: "skip", head: "int8", skip: [], choices: { "0.mlp": "target", "1.attn": "int8" } } as const;

const record = (over: Partial<MeasuredDraft>): MeasuredDraft => ({
  ...{ at_context: 512, part: "choose", draft: SET, tokens: 100, curve: [1, 0.5, 0.3, 0.2, 0.1] },
  ...over,
});
const own = (over: Partial<MeasuredDraft>) => record({ draft_cache: "own", ...over });
const known = (...measured: MeasuredDraft[]): Calibration => ({ ...example(), measured });

test("a record over the target's cache is never a standalone curve", () => {
  expect(standaloneCurve(examplePlan(), 0, known(record({})))).toBeNull();
  expect(standaloneCurve(examplePlan(), 0, null)).toBeNull();
});

test("the same blocks in another spelling are the same draft; other blocks, and shorter curves, are not", () => {
  const found = standaloneCurve(examplePlan(), 0, known(own({ draft: { ...SAME, skip: [], choices: SAME.choices } })));
  expect(found?.curve).toEqual([1, 0.5, 0.3, 0.2]);
  expect(standaloneCurve(examplePlan(), 0, known(own({ draft: { ...SET, skip: [] } })))).toBeNull();
  expect(standaloneCurve(examplePlan(), 0, known(own({ curve: [1, 0.5, 0.3] })))).toBeNull();
});

test("the nearest context by ratio counts first, then text kept back", () => {
  const far = own({ at_context: 8, part: "report", tokens: 1 });
  const near = own({ tokens: 2 });
  const kept = own({ part: "report", tokens: 3, reached: [40, 30, 20, 10] });
  expect(standaloneCurve(examplePlan(), 0, known(far, near))).toMatchObject({ atContext: 512, positions: 2 });
  expect(standaloneCurve(examplePlan(), 0, known(far, near, kept))).toEqual({
    ...{ atContext: 512, curve: [1, 0.5, 0.3, 0.2], part: "report", positions: 3, rounds: 20 },
  });
});

test("a plan solved for a cache of its own says its curve itself", () => {
  const plan: Plan = { ...examplePlan(), draft_cache: "own" };
  expect(standaloneCurve(plan, 0, known(own({})))).toMatchObject({
    ...{ atContext: 512, curve: [1, 0.95, 0.9, 0.82], rounds: null },
  });
});

test("a segment that does not speculate has none", () => {
  expect(standaloneCurve(examplePlan(), 1, known(own({})))).toBeNull();
});
