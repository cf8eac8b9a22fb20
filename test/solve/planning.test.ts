import { describe, expect, test } from "vitest";
import type { DraftplanError } from "../../src/core/errors.js";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { compactDraft, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import {
  acceptanceRate,
  contextFor,
  curveFromRate,
  expectedRate,
  fitCorrection,
  openProblem,
  planDocument,
  planSegments,
  proposals,
  rankedFrontier,
  type SolveInput,
  surrogateLoss,
} from "../../src/solve/index.js";
import { bestPlan } from "../oracle/brute-force-plan.js";
import {
  blockUs,
  FIXED_US,
  HEAD_LOSS,
  headUs,
  LAYERS,
  LOOP,
  lossOf,
  makeCalibration,
  makeProfile,
  passUs,
} from "../support/documents.js";

type DraftChoice = "int8" | "skip";
const MIXED: DraftChoice[] = ["int8", "skip"];
const NEUTRAL = { a: 0, gamma: 1 };

const verifyUs = (n: number) => (d: number) => passUs(false, n, d + 1);

function naive(n: number, choices: readonly DraftChoice[]) {
  const blocks = Array.from({ length: 2 * LAYERS }, (_, index) => {
    const kind = index % 2 === 0 ? "attn" : "mlp";
    const layer = index >> 1;
    const all = [{ id: "target", cost: blockUs(kind, layer, false, n, 1), loss: 0 }];
    if (choices.includes("int8"))
      all.push({ id: "int8", cost: blockUs(kind, layer, true, n, 1), loss: lossOf(kind, layer, "int8") });
    if (choices.includes("skip")) all.push({ id: "skip", cost: 0, loss: lossOf(kind, layer, "skip") });
    return all;
  });
  const head = [{ id: "target", cost: headUs(false, 1), loss: 0 }];
  if (choices.includes("int8")) head.push({ id: "int8", cost: headUs(true, 1), loss: HEAD_LOSS });
  return bestPlan({ blocks, head, fixedUs: FIXED_US, verifyUs: verifyUs(n), roundUs: LOOP.round_us, maxDraft: 16 });
}

const open = (choices: DraftChoice[], contexts?: number[], measured?: MeasuredDraft[]) =>
  openProblem({ profile: makeProfile(), calibration: makeCalibration(contexts, measured), choices });

describe("the planner against every draft of a model of three layers", () => {
  test.each([
    [64, MIXED],
    [256, MIXED],
    [1024, MIXED],
    [64, ["skip"] as DraftChoice[]],
    [1024, ["skip"] as DraftChoice[]],
  ])("context %i, choices %j: the frontier's best is the best of all", (n, choices) => {
    const [best] = rankedFrontier(open(choices), n, NEUTRAL);
    const expected = naive(n, choices);
    expect(best.tokensPerSecond).toBeCloseTo(expected.tokensPerSecond, 6);
    expect(best.draftTokens).toBe(expected.draftTokens);
  });

  test("the surrogate's sum is the knapsack's loss", () => {
    const problem = open(MIXED);
    const context = contextFor(problem, 64);
    const set = { blocks: ["skip", "int8", "target", "skip", "int8", "target"] as const, head: "int8" as const };
    const expected =
      lossOf("attn", 0, "skip") +
      lossOf("mlp", 0, "int8") +
      lossOf("mlp", 1, "skip") +
      lossOf("attn", 2, "int8") +
      HEAD_LOSS;
    expect(surrogateLoss(context.losses, set)).toBeCloseTo(expected, 12);
  });
});

const measured = (
  at_context: number,
  set: ReturnType<typeof uniformChoices>,
  alpha: number,
  part: "choose" | "report" = "choose",
  d = 16,
): MeasuredDraft => ({
  at_context,
  part,
  draft: compactDraft(set),
  tokens: 500,
  curve: curveFromRate(alpha, d),
});

describe("measurement decides", () => {
  const int8 = uniformChoices(LAYERS, "int8");
  const skipOne = { blocks: targetChoices(LAYERS).blocks.with(4, "skip"), head: "target" as const };

  test("the better measured draft is planned, whatever the surrogate says", () => {
    const good = planSegments(open(MIXED, [128], [measured(128, int8, 0.97), measured(128, skipOne, 0.6)]));
    expect(expandDraft(good[0].draft as never, LAYERS, "plan")).toEqual(int8);
    const other = planSegments(open(MIXED, [128], [measured(128, int8, 0.02), measured(128, skipOne, 0.999)]));
    const chosen = other.flatMap(({ draft }) => (draft === undefined ? [] : [expandDraft(draft, LAYERS, "plan")]));
    for (const set of chosen) expect(set).toEqual(skipOne);
  });

  test("nothing is speculated where no draft gains", () => {
    const segments = planSegments(open(["skip"], [128], [measured(128, skipOne, 0.3)]));
    expect(segments).toEqual([{ context_tokens: { from: 0, to: 1024 }, speculate: false }]);
  });

  test("predictions come from the report, choice does not", () => {
    const all = [
      measured(128, int8, 0.97),
      measured(128, skipOne, 0.5),
      measured(128, int8, 0.5, "report"),
      measured(128, skipOne, 0.999, "report"),
    ];
    const [segment] = planSegments(open(MIXED, [128], all));
    expect(segment.predicted?.evidence).toBe("report");
    expect(segment.predicted?.acceptance).toBeCloseTo(0.5, 5);
    expect(expandDraft(segment.draft as never, LAYERS, "plan")).toEqual(int8);
  });

  test("a prediction has the error that was counted for drafts of its length, of the text that it rests on", () => {
    const errors = (first: number) => Array.from({ length: 16 }, (_, i) => first + i / 1000);
    const counted = { ...measured(128, int8, 0.97), length_errors: errors(0.01) };
    const [chosen] = planSegments(open(MIXED, [128], [counted]));
    expect(chosen.predicted?.accepted_length_error).toBe(0.01 + ((chosen.draft_tokens ?? 0) - 1) / 1000);
    const report = { ...measured(128, int8, 0.96, "report"), length_errors: errors(0.03) };
    const [reported] = planSegments(open(MIXED, [128], [counted, report]));
    expect(reported.predicted?.accepted_length_error).toBe(0.03 + ((reported.draft_tokens ?? 0) - 1) / 1000);
    const uncounted = measured(128, int8, 0.96, "report");
    const [blind] = planSegments(open(MIXED, [128], [counted, uncounted]));
    expect(blind.predicted).not.toHaveProperty("accepted_length_error");
  });

  test("predicted figures follow from each other", () => {
    const [{ predicted, draft_tokens }] = planSegments(open(MIXED, [128], [measured(128, int8, 0.97)]));
    if (predicted === undefined || draft_tokens === undefined) throw new Error("the plan does not speculate");
    const tokens = predicted.acceptance_curve.reduce((a, b) => a + b, 0);
    const round = draft_tokens * predicted.draft_us + predicted.verify_us + predicted.round_us;
    expect(predicted.acceptance_curve).toHaveLength(draft_tokens + 1);
    expect(predicted.accepted_length).toBeCloseTo(tokens, 4);
    expect(predicted.tokens_per_second / ((1e6 * tokens) / round)).toBeCloseTo(1, 5);
    expect(predicted.speedup / ((predicted.tokens_per_second * predicted.target_step_us) / 1e6)).toBeCloseTo(1, 5);
    expect(predicted.target_step_us).toBeCloseTo(verifyUs(predicted.at_context)(0) + LOOP.step_us, 2);
  });

  test("where one context favours another draft the plan has a segment for each", () => {
    const all = [
      measured(64, int8, 0.98),
      measured(64, skipOne, 0.5),
      measured(1024, int8, 0.05),
      measured(1024, skipOne, 1),
    ];
    const segments = planSegments(open(MIXED, [64, 1024], all));
    expect(segments.length).toBeGreaterThan(1);
    expect(segments[0].context_tokens.from).toBe(0);
    segments.slice(1).forEach((s, i) => expect(s.context_tokens.from).toBe(segments[i].context_tokens.to));
    expect(segments.at(-1)?.context_tokens.to).toBe(1024);
  });

  test("one plan covers contexts where it is within 1 % of the best", () => {
    const all = [64, 1024].flatMap((at) => [measured(at, int8, 0.97), measured(at, skipOne, 0.5)]);
    const drafts = planSegments(open(MIXED, [64, 1024], all));
    expect(new Set(drafts.map(({ draft }) => JSON.stringify(draft))).size).toBe(1);
  });
});

describe("the surrogate's correction", () => {
  test("recovers a planted factor and curvature from many drafts, and stays put without any", () => {
    const problem = open(MIXED);
    expect(fitCorrection(contextFor(problem, 64))).toEqual(NEUTRAL);
    const planted = { a: 0.4, gamma: 0.8 };
    const sets = rankedFrontier(problem, 64, NEUTRAL).filter(({ loss }) => loss > 0.01);
    const repeated = Array.from({ length: 8 }, () => sets).flat();
    const all = repeated.map(({ set, loss }) => measured(128, set as never, expectedRate(planted, loss)));
    const fitted = fitCorrection(contextFor(open(MIXED, [128], all), 64));
    expect(fitted.a).toBeCloseTo(planted.a, 1);
    expect(fitted.gamma).toBeCloseTo(planted.gamma, 1);
  });

  test("the acceptance rate of a geometric curve is its ratio", () => {
    expect(acceptanceRate(curveFromRate(0.83, 7))).toBeCloseTo(0.83, 12);
    expect(acceptanceRate([1])).toBe(0);
  });
});

describe("proposals", () => {
  test("never name a measured draft again, and end", () => {
    let calibration = makeCalibration([128]);
    let rounds = 0;
    for (; rounds < 20; rounds++) {
      const problem = openProblem({ profile: makeProfile(), calibration, choices: MIXED });
      const [context] = problem.contexts;
      const sets = proposals(problem, context, rounds === 0);
      if (sets.length === 0) break;
      const found = sets.map((set) =>
        measured(128, set as never, expectedRate({ a: 0.3, gamma: 0.9 }, surrogateLoss(context.losses, set))),
      );
      const keys = [...calibration.measured, ...found].map(({ draft }) => JSON.stringify(draft));
      expect(new Set(keys).size).toBe(keys.length);
      calibration = { ...calibration, measured: [...calibration.measured, ...found] };
    }
    expect(rounds).toBeGreaterThan(0);
    expect(rounds).toBeLessThan(10);
  });
});

describe("plan documents", () => {
  const inputs = {
    profile: { path: "p.yaml", sha256: "d".repeat(64) },
    calibration: { path: "c.yaml", sha256: "e".repeat(64) },
  };

  test("the same inputs give the same plan, byte for byte, and it is valid", () => {
    const make = () =>
      stringifyDocument(
        planDocument({ profile: makeProfile(), calibration: makeCalibration([64, 1024]), choices: MIXED }, inputs),
      );
    expect(make()).toBe(make());
    expect(parseDocument(make(), "plan.yaml").kind).toBe("draftplan/plan");
  });

  test("what one document lacks of a choice is named, and what measures it", () => {
    const { profile, calibration } = { profile: makeProfile(), calibration: makeCalibration() };
    const without = <T extends object>(of: T) =>
      Object.fromEntries(Object.entries(of).filter(([key]) => key !== "int8"));
    const unprofiled = (part: "attn_us" | "head_us") => ({
      ...profile,
      points: profile.points.map((point) => ({ ...point, [part]: without(point[part]) }) as typeof point),
    });
    const uncalibrated = (part: "attn" | "mlp" | "head") => ({
      ...calibration,
      contexts: calibration.contexts.map((one) => ({ ...one, [part]: without(one[part]) }) as typeof one),
    });
    const refused = (input: Partial<SolveInput>) => {
      try {
        openProblem({ profile, calibration, choices: ["skip", "int8"], ...input });
      } catch (error) {
        return `${(error as DraftplanError).message}: ${(error as DraftplanError).remedy}`;
      }
      return "";
    };
    expect(refused({})).toBe("");
    for (const part of ["attn_us", "head_us"] as const)
      expect(refused({ profile: unprofiled(part) })).toMatch(
        /the profile has no int8[\s\S]*profile MODEL --choices int8/,
      );
    for (const part of ["attn", "mlp", "head"] as const)
      expect(refused({ calibration: uncalibrated(part) })).toMatch(
        /the calibration has no int8[\s\S]*calibrate MODEL --choices int8/,
      );
    // heads alone need none of them
    expect(refused({ profile: unprofiled("attn_us"), drafters: ["heads"] })).toBe("");
  });

  test.each([
    [
      "another architecture",
      { model: { ...makeCalibration().model, architecture_sha256: "f".repeat(64) } },
      "DOCUMENT_MISMATCH",
    ],
    ["another kernel", { kernels: { target: "fp32", int8: "another int8" } }, "DOCUMENT_MISMATCH"],
    ["no int8 losses", { contexts: makeCalibration().contexts.map((c) => ({ ...c, head: {} })) }, "CHOICE_UNAVAILABLE"],
  ])("a calibration with %s is not joined", (_, change, code) => {
    const calibration = { ...makeCalibration(), ...change };
    expect(() => openProblem({ profile: makeProfile(), calibration, choices: MIXED })).toThrow(
      expect.objectContaining({ code }),
    );
  });
});
