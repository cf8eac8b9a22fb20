/** Siblings of a draft's last token: planned where their rows are worth it, predicted as counted, and nowhere else. */
import { describe, expect, test } from "vitest";
import { predictedFindings } from "../../../src/check/predicted-figures.js";
import { Calibration, type MeasuredDraft } from "../../../src/schema/calibration.js";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import { Plan } from "../../../src/schema/plan.js";
import { Profile } from "../../../src/schema/profile.js";
import type { ConfidenceTable } from "../../../src/schema/stop/confidence.js";
import {
  explainDraft,
  openLatency,
  planDocument,
  plannedBy,
  type SolveInput,
  segmentsBy,
} from "../../../src/solve/index.js";
import { LAYERS, LOOP, makeCalibration, makeProfile } from "../../support/documents.js";

const INT8 = uniformChoices(LAYERS, "int8");
const RATE = 0.55;
const D = 8;
/** of the tokens that the draft misses nearly all are its second or third */
const SHARES = [0.3, 0.1, 0.01, 0, 0, 0, 0];

const curve = Array.from({ length: D + 1 }, (_, i) => Number((RATE ** i).toPrecision(12)));
const record = (
  part: "choose" | "report",
  siblings: number[] | undefined,
  more: Partial<MeasuredDraft> = {},
): MeasuredDraft => ({
  ...{ at_context: 128, part, draft: compactDraft(INT8), tokens: 1000, curve, reached: new Array(D).fill(500) },
  ...(siblings === undefined ? {} : { siblings: new Array(D).fill(siblings) }),
  ...more,
});
const ref = { path: "x.yaml", sha256: "0".repeat(64) };
const READING_US = 2;
const profile = (timesChain: number | null): Profile => {
  const base = makeProfile();
  const { context_tokens, query_tokens } = base.grid;
  const tree_passes = context_tokens.flatMap((n) =>
    query_tokens
      .filter((q) => q > 1)
      .map((q) => ({ context_tokens: n, query_tokens: q, times_chain: timesChain ?? 1, pairs: 9 })),
  );
  const loop = { ...LOOP, confidence_us: READING_US };
  return Profile.parse({ ...base, loop, ...(timesChain === null ? {} : { tree_passes }) });
};
const input = (timesChain: number | null, ...measured: MeasuredDraft[]): SolveInput => ({
  profile: profile(timesChain),
  calibration: Calibration.parse(makeCalibration([128], measured)),
  choices: ["int8"],
});
const planOf = (given: SolveInput): Plan => {
  const plan = Plan.parse(planDocument(given, { profile: ref, calibration: ref }));
  expect(segmentsBy("knapsack", given)).toEqual(plan.segments);
  expect(predictedFindings("plan.yaml", plan)).toEqual([]);
  return plan;
};
const siblingsOf = ({ segments }: Plan) =>
  segments.map(({ drafter }) => (drafter?.kind === "self" ? (drafter.siblings ?? 0) : 0));

describe("where the draft's misses are its next likeliest tokens, and rows are cheap", () => {
  const given = input(1, record("choose", SHARES), record("report", SHARES));
  const plan = planOf(given);

  test("the plan has siblings, and predicts the last token's acceptance with theirs", () => {
    expect(Math.max(...siblingsOf(plan))).toBeGreaterThanOrEqual(1);
    for (const { drafter, draft_tokens: d = 0, predicted } of plan.segments) {
      if (drafter?.kind !== "self" || drafter.siblings === undefined || predicted === undefined) continue;
      const rate = SHARES.slice(0, drafter.siblings).reduce((sum, share) => sum + share, 0);
      const expected = [...curve.slice(0, d), RATE ** d + rate * RATE ** (d - 1)];
      predicted.acceptance_curve.forEach((a, i) => {
        expect(a).toBeCloseTo(expected[i], 5);
      });
      const latency = openLatency(given.profile);
      const n = predicted.at_context;
      const us =
        d * latency.draftUs(INT8, n) + READING_US + latency.verifyTreeUs(n, d + drafter.siblings) + LOOP.round_us;
      const tokens = expected.reduce((sum, a) => sum + a, 0);
      expect(Math.abs(predicted.tokens_per_second / ((1e6 * tokens) / us) - 1)).toBeLessThan(1e-4);
    }
  });

  test("no other number of tokens and siblings is predicted to be faster by a per cent", () => {
    const latency = openLatency(given.profile);
    const speeds = (n: number) =>
      Array.from({ length: D }, (_, i) => i + 1).flatMap((d) =>
        [0, 1, 2, 3, 4, 5, 6, 7].map((s) => {
          const rate = SHARES.slice(0, s).reduce((sum, share) => sum + share, 0);
          const tokens = curve.slice(0, d + 1).reduce((sum, a) => sum + a, 0) + rate * curve[d - 1];
          const verify = s === 0 ? latency.verifyUs(n, d) : latency.verifyTreeUs(n, d + s) + READING_US;
          return (1e6 * tokens) / (d * latency.draftUs(INT8, n) + verify + LOOP.round_us);
        }),
      );
    for (const { predicted } of plan.segments)
      if (predicted !== undefined)
        expect(predicted.tokens_per_second).toBeGreaterThan(0.985 * Math.max(...speeds(predicted.at_context)));
  });

  test("explain says so", () => {
    const segment = plan.segments[siblingsOf(plan).findIndex((siblings) => siblings > 0)];
    const planned = plannedBy(segment, LAYERS, "plan");
    const n = segment.predicted?.at_context ?? 128;
    const { draft } = explainDraft(given, n, planned);
    expect(draft?.drafter).toMatchObject({ kind: "self", siblings: Math.max(...siblingsOf(plan)) });
    expect(draft?.speedup).toBeCloseTo(segment.predicted?.speedup ?? 0, 4);
    expect(draft?.blocks.length).toBeGreaterThan(0);
  });
});

test.each([
  ["trees were not timed", input(null, record("choose", SHARES))],
  ["a tree costs half as much again as a chain", input(1.5, record("choose", SHARES))],
  ["nobody looked at them", input(1, record("choose", undefined))],
  ["the draft's next tokens are never right", input(1, record("choose", [0, 0, 0, 0, 0, 0, 0]))],
  [
    "the engine verifies chains alone",
    { ...input(1, record("choose", SHARES)), constraints: { chains: true as const } },
  ],
])("none are planned where %s: the plan is the one without", (_what, given) => {
  const plan = planOf(given);
  expect(Math.max(...siblingsOf(plan))).toBe(0);
  const plain = { ...given, calibration: Calibration.parse(makeCalibration([128], [record("choose", undefined)])) };
  expect(plan.segments).toEqual(planOf(plain).segments);
});

test("of siblings and an early end the plan has the faster", () => {
  const confidence: ConfidenceTable = [
    { below: 0.7, positions: 450, accepted: 0, acceptance: 0.001 },
    { below: 1, positions: 550, accepted: 550, acceptance: 0.999 },
  ];
  const plan = planOf(input(1, record("choose", [0.05, 0.02, 0, 0, 0, 0, 0], { confidence })));
  expect(plan.segments.some(({ stop }) => stop?.rule === "early")).toBe(true);
  expect(Math.max(...siblingsOf(plan))).toBe(0);
});

test("text kept back on which nobody looked at siblings counts the chain, and refuses by that alone", () => {
  const given = input(1, record("choose", SHARES), record("report", undefined));
  const plan = planOf(given);
  const segment = plan.segments.find(({ drafter }) => drafter?.kind === "self" && drafter.siblings !== undefined);
  expect(segment?.predicted?.acceptance_curve.at(-1)).toBeCloseTo(RATE ** (segment?.draft_tokens ?? 0), 5);
});
