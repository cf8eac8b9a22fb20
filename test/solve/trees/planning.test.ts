/** Heads against the model's own blocks and plain decoding, in worlds where the answer is known. */
import { describe, expect, test } from "vitest";
import { compactDraft, uniformChoices } from "../../../src/schema/choice.js";
import { Plan, Segment } from "../../../src/schema/plan.js";
import { curveFromRate, openProblem, planDocument, planSegments, refutedWarnings } from "../../../src/solve/index.js";
import { optionsAt } from "../../../src/solve/options.js";
import { everyTree } from "../../oracle/brute-force-tree.js";
import { expandedOf, isChain, yieldOf } from "../../oracle/tree-speed.js";
import { CONTEXTS, LAYERS, LOOP, passUs } from "../../support/documents.js";
import { draw, seeds } from "../instances.js";
import { alone, HEADS_SHA, type PlantedHeads, planted } from "./planted.js";

const CHOICES = ["int8", "skip"] as const;
const INPUTS = {
  profile: { path: "p.yaml", sha256: "1".repeat(64) },
  calibration: { path: "c.yaml", sha256: "2".repeat(64) },
};
const AT = 256;

const verifyUs = (n: number, q: number): number => passUs(false, n, q);
const stepUs = (n: number): number => verifyUs(n, 1) + LOOP.step_us;

/** Texts in which heads are right together, positions apart, so that every position begins a round. */
function randomTexts(seed: number): number[][][] {
  const random = draw(seed);
  const hard = 0.3 + 0.5 * random.float();
  return Array.from({ length: 400 }, () => {
    const share = random.float() < 0.4 ? 0.95 : hard;
    const path: number[] = [];
    while (path.length < 3 && random.float() < share) path.push(Math.floor(3 * random.float() ** 3));
    return [path];
  });
}

function hydraUs(tree: readonly string[], passes: readonly { us: number; rowUs: number }[]): number {
  return expandedOf(tree).reduce((sum, rows, depth) => sum + passes[depth].us + (rows - 1) * passes[depth].rowUs, 0);
}

describe("the best tree of heads at a context", () => {
  test.each(seeds(40).map((seed) => ({ seed })))("is the best of all trees by the formula: seed $seed", ({ seed }) => {
    const random = draw(1000 + seed);
    const texts = randomTexts(seed);
    // measured at q = 5 alone, which holds below
    const times = (n: number, q: number) => 1 + (q / 40) * (n / 1024) * (1 + (seed % 3));
    // Medusa's pass costs the same whatever the tree. Hydra's depends on its shape: by depth alone here, rows free
    const passes =
      seed % 2 === 0 ? 40 + 200 * random.float() : [0, 1, 2].map(() => ({ us: 20 + 250 * random.float(), rowUs: 0 }));
    const heads: PlantedHeads = {
      heads: 3,
      contexts: [{ at_context: AT, part: "choose", texts }],
      passes,
      timesChain: times,
    };
    const problem = openProblem({ ...planted(heads, [], [1, 5]), choices: [...CHOICES], drafters: ["heads"] });
    const speedOf = (tree: readonly string[]): number => {
      const draftUs = typeof passes === "number" ? passes : hydraUs(tree, passes);
      const judgeUs = verifyUs(AT, tree.length + 1) * (isChain(tree) ? 1 : times(AT, 5));
      return (1e6 * yieldOf(tree, texts)) / (draftUs + judgeUs + LOOP.round_us);
    };
    const all = everyTree([3, 3, 3], 4).filter((tree) => tree.length > 0);
    const best = Math.max(...all.map(speedOf));
    const options = optionsAt(problem, AT);
    for (const { drafter, tokensPerSecond } of options) {
      if (drafter.kind !== "heads") throw new Error("heads alone may draft here");
      const tree = drafter.tree.map((ranks) => ranks.join(","));
      expect(tokensPerSecond / speedOf(tree)).toBeCloseTo(1, 9);
    }
    expect(Math.max(...options.map((option) => option.tokensPerSecond)) / best).toBeCloseTo(1, 9);
  });

  test("Hydra's rows are paid for: of two trees of one size and depth the one of fewer passed rows is cheaper", () => {
    const texts = alone([
      [[0, 0], 300],
      [[1, 0], 290],
      [[0, 1], 280],
      [[], 130],
    ]);
    const heads = (rowUs: number): PlantedHeads => ({
      heads: 2,
      contexts: [{ at_context: AT, part: "choose", texts }],
      passes: [
        { us: 30, rowUs },
        { us: 30, rowUs },
      ],
    });
    const best = (rowUs: number) => {
      const problem = openProblem({ ...planted(heads(rowUs), [], [1, 5]), choices: [...CHOICES], drafters: ["heads"] });
      return optionsAt(problem, AT).reduce((a, b) => (b.tokensPerSecond > a.tokensPerSecond ? b : a));
    };
    const [free, dear] = [best(0), best(100)];
    const rowsOf = ({ drafter }: typeof free) => (drafter.kind === "heads" ? drafter.rows : []);
    expect(rowsOf(free)).toEqual([1, 2]);
    expect(1e6 * free.curve.reduce((a, b) => a + b, 0) - free.tokensPerSecond * 60).toBeGreaterThan(0);
    expect(dear.tokensPerSecond).toBeLessThan(free.tokensPerSecond);
  });

  test("is never deeper than 30 rounds came to", () => {
    const texts = (deep: number) =>
      alone([
        [[0, 0, 0], deep],
        [[0, 0], 100],
        [[0], 300],
        [[], 100],
      ]);
    const depths = (deep: number) => {
      const heads = {
        heads: 3,
        contexts: [{ at_context: AT, part: "choose" as const, texts: texts(deep) }],
        passes: 5,
      };
      const problem = openProblem({ ...planted(heads), choices: [...CHOICES], drafters: ["heads"] });
      return Math.max(...optionsAt(problem, AT).map(({ draftTokens }) => draftTokens));
    };
    // 100 + deep positions came to the third token, deep of them had it right
    expect(depths(29)).toBe(3);
    const few = alone([
      [[0, 0], 29],
      [[0], 400],
      [[], 100],
    ]);
    const heads = { heads: 3, contexts: [{ at_context: AT, part: "choose" as const, texts: few }], passes: 5 };
    const problem = openProblem({ ...planted(heads), choices: [...CHOICES], drafters: ["heads"] });
    expect(Math.max(...optionsAt(problem, AT).map(({ draftTokens }) => draftTokens))).toBe(2);
  });
});

const good = alone([
  [[0, 0, 0], 500],
  [[0, 0, 1], 100],
  [[0, 1], 100],
  [[1, 0], 150],
  [[], 150],
]);
const bad = alone([
  [[0], 60],
  [[], 940],
]);
const int8 = uniformChoices(LAYERS, "int8");
const selfDraft = (at_context: number, part: "choose" | "report", rate: number) => ({
  ...{ at_context, part, draft: compactDraft(int8), tokens: 1_000_000, curve: curveFromRate(rate, 16) },
});
const kinds = (segments: readonly Segment[]) =>
  segments.map(({ speculate, drafter }) => (speculate ? (drafter?.kind ?? "self") : "plain"));
const both = (at_context: number, texts: readonly (readonly (readonly number[])[])[]) =>
  (["choose", "report"] as const).map((part) => ({ at_context, part, texts }));
const bothSelf = (at: number, rate: number) => (["choose", "report"] as const).map((part) => selfDraft(at, part, rate));

describe("who drafts", () => {
  test("heads where they are better, the model's own blocks where those are, nobody where both lose", () => {
    const heads = {
      heads: 3,
      passes: 40,
      contexts: [...both(64, good), ...both(256, bad), ...both(1024, bad)],
    };
    const { profile, calibration } = planted(heads, [
      ...bothSelf(64, 0.5),
      ...bothSelf(256, 0.97),
      ...bothSelf(1024, 0.05),
    ]);
    const plan = planDocument({ profile, calibration, choices: [...CHOICES] }, INPUTS);
    expect(kinds(plan.segments)).toEqual(["heads", "self", "plain"]);
    expect(plan.drafters).toEqual(["self", "heads"]);
    expect(Plan.parse(plan)).toEqual(plan);
    const [first] = plan.segments;
    const { drafter, predicted } = first;
    if (drafter?.kind !== "heads" || predicted === undefined) throw new Error("heads draft there");
    expect(drafter).toMatchObject({ path: "heads", sha256: HEADS_SHA });
    const tree = drafter.tree.map((ranks) => ranks.join(","));
    const tokens = yieldOf(tree, good);
    const us = 40 + verifyUs(predicted.at_context, tree.length + 1) + LOOP.round_us;
    expect(predicted.accepted_length).toBeCloseTo(tokens, 4);
    expect(predicted.draft_us).toBe(40);
    expect(predicted.tokens_per_second / ((1e6 * tokens) / us)).toBeCloseTo(1, 4);
    expect(predicted.speedup / ((tokens * stepUs(predicted.at_context)) / us)).toBeCloseTo(1, 4);
    expect(predicted).toMatchObject({ evidence: "report", positions: 1000 });
    expect(predicted.rounds).toBeGreaterThanOrEqual(30);
  });

  test("a prediction says how surely its tokens of a round are known: by whole texts, of the part that it rests on", () => {
    // half the texts are easy, half hard, and of both kinds as many: 3 tokens a round of one, 1 of the other
    const easy = () => Array.from({ length: 30 }, () => [0, 0, 0]);
    const hard = () => Array.from({ length: 30 }, () => [] as number[]);
    const texts = Array.from({ length: 16 }, (_, i) => (i % 2 === 0 ? easy() : hard()));
    const heads = { heads: 3, passes: 5, contexts: both(256, texts) };
    const { profile, calibration } = planted(heads);
    const errorWith = (beside: { kinds?: number[]; windows?: number[] }) => {
      const [one] = calibration.heads ?? [];
      const contexts = one.contexts.map((context) => (context.part === "report" ? { ...context, ...beside } : context));
      const told = { ...calibration, heads: [{ ...one, contexts }] };
      const plan = planDocument({ profile, calibration: told, choices: [...CHOICES], drafters: ["heads"] }, INPUTS);
      const { drafter, predicted } = plan.segments[0];
      if (drafter?.kind !== "heads" || predicted === undefined) throw new Error("heads draft there");
      const depth = Math.max(...drafter.tree.map(({ length }) => length));
      return { error: predicted.accepted_length_error, depth };
    };
    // E rounds of an easy text, 30 of a hard one; residuals ±t of 16 texts around the mean: √(16 t² · 16/15) / all tokens
    const { error, depth } = errorWith({});
    const rounds = 30 / (depth + 1);
    const [tokens, all] = [16 * 30, 8 * (rounds + 30)];
    const off = 30 - (tokens / all) * rounds;
    expect(error).toBeCloseTo((4 * off * Math.sqrt(16 / 15)) / tokens, 2);
    expect(errorWith({ kinds: texts.map((_, i) => i % 2) }).error).toBe(0);
    // pairs of texts behind one window: 8 windows of two easy or two hard ones
    const pairs = errorWith({ windows: texts.map((_, i) => (i % 2) + 2 * (i >> 2)) }).error;
    expect(pairs).toBeCloseTo((Math.sqrt(8) * 2 * off * Math.sqrt(8 / 7)) / tokens, 2);
  });

  test("with one kind of drafter the plan is that kind's best, and says so", () => {
    const heads = { heads: 3, passes: 40, contexts: both(256, good) };
    const { profile, calibration } = planted(heads, bothSelf(256, 0.97));
    const solve = (drafters?: ("self" | "heads")[]) =>
      planDocument({ profile, calibration, choices: [...CHOICES], drafters }, INPUTS);
    const { heads: _, ...without } = calibration;
    const today = planDocument({ profile, calibration: without, choices: [...CHOICES] }, INPUTS);
    expect(solve(["self"])).toEqual(today);
    expect(today.drafters).toBeUndefined();
    expect(new Set(kinds(solve(["heads"]).segments))).toEqual(new Set(["heads"]));
    expect(solve(["heads"]).drafters).toEqual(["heads"]);
    // the best of both is at no context slower than either
    const speed = (plan: Plan) =>
      plan.segments.flatMap(({ predicted }) => predicted?.along?.map((at) => at.tokens_per_second) ?? []);
    const of = (plan: Plan) => Math.min(...speed(plan).map((one, i) => one / (speed(today)[i] ?? one)));
    expect(of(solve())).toBeGreaterThan(0.99);
  });

  test("constraints and choices are of the model's own blocks: heads that win stay", () => {
    const heads = { heads: 3, passes: 40, contexts: both(256, good) };
    const { profile, calibration } = planted(heads, bothSelf(256, 0.9));
    const constrained = planSegments(
      openProblem({ profile, calibration, choices: [], constraints: { whole_layers: true } }),
    );
    expect(new Set(kinds(constrained))).toEqual(new Set(["heads"]));
  });
});

describe("where text kept back refutes heads", () => {
  const shallow = alone([
    [[0], 620],
    [[1], 80],
    [[], 300],
  ]);
  const nothing = alone([
    [[2, 2], 1],
    [[], 999],
  ]);
  const refuting = (
    report: readonly (readonly (readonly number[])[])[],
    measured = bothSelf(256, 0.05),
    passes = 250,
  ) =>
    planted(
      {
        heads: 3,
        passes,
        contexts: [
          { at_context: 256, part: "choose", texts: good },
          { at_context: 256, part: "report", texts: report },
        ],
      },
      measured,
    );

  test("altogether, the model's own blocks follow, and the segment names the tree refused", () => {
    const { profile, calibration } = refuting(nothing, bothSelf(256, 0.9));
    const segments = planSegments(openProblem({ profile, calibration, choices: [...CHOICES] }));
    expect(new Set(kinds(segments))).toEqual(new Set(["self"]));
    for (const segment of segments) {
      expect(Segment.parse(segment)).toEqual(segment);
      expect(segment.refuted?.[0]).toMatchObject({ drafter: { kind: "heads", sha256: HEADS_SHA } });
      expect(segment.refuted?.[0].speedup).toBeLessThan(1);
    }
    expect(refutedWarnings(segments, LAYERS)[0].message).toMatch(/loss for \d tokens with heads, a tree of/);
  });

  test("and nothing else is known, decoding is plain", () => {
    const { profile, calibration } = refuting(nothing);
    expect(new Set(kinds(planSegments(openProblem({ profile, calibration, choices: [...CHOICES] }))))).toEqual(
      new Set(["plain"]),
    );
  });

  test("in its depth alone, a smaller tree of the same heads follows", () => {
    // each further node costs a fortieth of a step: deep trees lose on text where nothing deep is right
    const { profile, calibration } = refuting(shallow, bothSelf(256, 0.05), 720);
    const segments = planSegments(openProblem({ profile, calibration, choices: [...CHOICES] }));
    const smaller = segments.flatMap(({ drafter, refuted: [was] = [], predicted }) =>
      drafter?.kind === "heads" && was?.drafter?.kind === "heads" ? [{ drafter, was: was.drafter, predicted }] : [],
    );
    expect(smaller.length).toBeGreaterThan(0);
    for (const { drafter, was, predicted } of smaller) {
      expect(drafter.tree.length).toBeLessThan(was.tree.length);
      expect(predicted?.speedup).toBeGreaterThanOrEqual(1);
    }
  });
});

test("plans reach every profiled context", () => {
  const { profile, calibration } = planted({ heads: 3, passes: 40, contexts: both(256, good) }, bothSelf(256, 0.9));
  const segments = planSegments(openProblem({ profile, calibration, choices: [...CHOICES] }));
  expect(segments[0].context_tokens.from).toBe(0);
  expect(segments.at(-1)?.context_tokens.to).toBe(CONTEXTS.at(-1));
});
