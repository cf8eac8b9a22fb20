/** What constraints do to a plan, its candidates, exchanges and explanation; and what is said of them. */
import { describe, expect, test } from "vitest";
import { type ChoiceSet, compactDraft, expandDraft, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import type { Constraints } from "../../src/schema/constraints.js";
import type { Profile } from "../../src/schema/profile.js";
import { BYTES_PER_MIB, NO_LIMITS, resolveConstraints } from "../../src/solve/constraints.js";
import { self } from "../../src/solve/drafter.js";
import { neighbours } from "../../src/solve/exchanges.js";
import {
  constrainedFrontier,
  constraintWarnings,
  draftBytes,
  explainDraft,
  fitSurrogate,
  type Group,
  groupsAt,
  improveByExchanges,
  openProblem,
  planSegments,
  proposals,
  rankedCandidates,
  type SolveInput,
  type SolveWarning,
  satisfies,
} from "../../src/solve/index.js";
import { toChoiceSet } from "../../src/solve/problem.js";
import { highsRelaxation } from "../oracle/highs-knapsack.js";
import { LAYERS, makeCalibration, makeProfile } from "../support/documents.js";
import { trials } from "../support/long.js";
import { draw, seeds } from "./instances.js";
import { AT, DEPTH, synthetic } from "./synthetic.js";

const MIB = BYTES_PER_MIB;
const WEIGHTS = { attn: { int8: MIB }, mlp: { int8: 2 * MIB }, head: { int8: 4 * MIB } };
const withBytes = (profile: Profile): Profile => ({ ...profile, weight_bytes: WEIGHTS });

describe("constraints as a plan writes them", () => {
  const resolve = (constraints: Constraints | undefined, profile = withBytes(makeProfile())) =>
    resolveConstraints(constraints, profile, ["int8", "skip"]);

  test("none is no limit; layers are both of their blocks; whole layers keep the other block too", () => {
    expect(resolve(undefined)).toBe(NO_LIMITS);
    expect(resolve({ keep: ["0", "2.mlp"] }).kept).toEqual(new Set([0, 1, 5]));
    expect(resolve({ keep: ["2.mlp"], whole_layers: true })).toMatchObject({
      wholeLayers: true,
      kept: new Set([4, 5]),
    });
    expect(resolve({ keep_first_attention: true, max_skip: 3 })).toEqual({
      ...NO_LIMITS,
      kept: new Set([0]),
      maxSkip: 3,
    });
    expect(resolve({ draft_memory_mib: 2.5 }).memory).toEqual({ mostBytes: 2.5 * MIB, weightBytes: WEIGHTS });
  });

  test.each(["3", "99", "x.attn", "3.mlp", "-1", "01", "", "1.norm"])(
    "to keep '%s' of three layers is refused",
    (name) => {
      expect(() => resolve({ keep: [name] })).toThrow(expect.objectContaining({ code: "BLOCK_UNKNOWN" }));
    },
  );

  test("memory is refused where the profile does not say what a copy takes, and only for kernels that are allowed", () => {
    const missing = expect.objectContaining({ code: "WEIGHT_BYTES_MISSING", what: expect.stringMatching(/int8/) });
    expect(() => resolve({ draft_memory_mib: 1 }, makeProfile())).toThrow(missing);
    const partly = { ...makeProfile(), weight_bytes: { ...WEIGHTS, head: {} } };
    expect(() => resolve({ draft_memory_mib: 1 }, partly)).toThrow(missing);
    expect(resolveConstraints({ draft_memory_mib: 1 }, makeProfile(), ["skip"]).memory?.mostBytes).toBe(MIB);
  });

  test("a draft holds the copies of its quantised blocks and head", () => {
    const set = { blocks: ["int8", "target", "skip", "int8", "target", "int8"] as const, head: "int8" as const };
    expect(draftBytes(WEIGHTS, set)).toBe((1 + 2 + 2 + 4) * MIB);
    expect(draftBytes(WEIGHTS, targetChoices(LAYERS))).toBe(0);
  });
});

describe("warnings of constraints", () => {
  const warnings = (constraints: Constraints, choices: ("int8" | "skip")[] = ["int8", "skip"]): SolveWarning[] =>
    constraintWarnings(
      openProblem({ profile: withBytes(makeProfile()), calibration: makeCalibration(), choices, constraints }),
    );

  test.each<[string, Constraints, ("int8" | "skip")[] | undefined, string, RegExp]>([
    ["all layers kept", { keep: ["0", "1", "2"] }, undefined, "NOTHING_TO_SKIP", /all 3 layers.*target and int8 alone/],
    ["nothing skipped", { max_skip: 0 }, undefined, "NOTHING_TO_SKIP", /--max-skip/],
    ["half a layer", { max_skip: 1, whole_layers: true }, undefined, "NOTHING_TO_SKIP", /whole layer is 2/],
    ["skips only, and none", { max_skip: 0 }, ["skip"], "NOTHING_TO_SKIP", /plain decoding/],
    [
      "no room",
      { draft_memory_mib: 0.9 },
      undefined,
      "DRAFT_MEMORY_SMALL",
      /0\.9 MiB.*attention.*1 MiB.*13 MiB in int8/,
    ],
    [
      "no room for a layer",
      { draft_memory_mib: 2.9, whole_layers: true },
      undefined,
      "DRAFT_MEMORY_SMALL",
      /a layer in int8, takes 3 MiB/,
    ],
    ["no room, and no skips", { draft_memory_mib: 0 }, ["int8"], "DRAFT_MEMORY_SMALL", /plain decoding/],
  ])("%s", (_, constraints, choices, code, message) => {
    expect(warnings(constraints, choices)).toEqual([{ code, message: expect.stringMatching(message) }]);
  });

  test("a span takes its kernel's copy, and is warned of where that has no room, its kernel allowed without it or not", () => {
    const constraints = { draft_memory_mib: 0.9 };
    const inputs = { profile: withBytes(makeProfile()), calibration: makeCalibration() };
    const { layers, limits } = openProblem({ ...inputs, choices: ["int8"], constraints });
    const [warning, ...more] = constraintWarnings({ layers, limits, choices: ["int8@64", "skip"] });
    expect(warning.message).toMatch(/an attention block in int8, takes 1 MiB/);
    expect(more).toEqual([]);
  });

  test("there are none where something can be skipped and something quantised", () => {
    expect(warnings({ max_skip: 1, draft_memory_mib: 1, keep: ["0", "1"] })).toEqual([]);
    expect(warnings({ max_skip: 2, whole_layers: true })).toEqual([]);
    expect(warnings({ max_skip: 0 }, ["int8"])).toEqual([]);
    expect(warnings({ draft_memory_mib: 0 }, ["skip"])).toEqual([]);
  });
});

/** Each alone, and all together. */
const SETS: Constraints[] = [
  { whole_layers: true },
  { keep: ["0", "7", "3.attn"] },
  { keep_first_attention: true },
  { max_skip: 2 },
  { draft_memory_mib: 9 },
  { whole_layers: true, keep: ["0", "7"], keep_first_attention: true, max_skip: 4, draft_memory_mib: 12 },
];

interface Relaxed {
  id: string;
  costUs: number;
  loss: number;
  skipped: number;
  bytes: number;
}

/** Percent that α could be larger at the draft's own cost, by HiGHS: constraints written out for blocks and layers by hand. */
function relaxedGap(groups: readonly Group[], { blocks, head }: ChoiceSet, constraints: Constraints): number {
  const kept = new Set([
    ...(constraints.keep ?? []).flatMap((name) => (name.includes(".") ? [name] : [`${name}.attn`, `${name}.mlp`])),
    ...(constraints.keep_first_attention === true ? ["0.attn"] : []),
  ]);
  const size = { attn: MIB, mlp: 2 * MIB, head: 4 * MIB };
  const single = groups.map(({ id, choices }) => ({
    id,
    choices: choices
      .filter((choice) => choice.id !== "skip" || !kept.has(id))
      .map((choice): Relaxed => {
        const bytes = choice.id === "int8" ? size[(id.split(".")[1] ?? id) as keyof typeof size] : 0;
        return { ...choice, skipped: choice.id === "skip" ? 1 : 0, bytes };
      }),
  }));
  const own = [...blocks, head].map((id, g) => single[g].choices.find((choice) => choice.id === id) as Relaxed);
  const sum = (of: (choice: Relaxed) => number) => own.reduce((total, choice) => total + of(choice), 0);
  const layers = single.slice(0, -1).flatMap(({ id, choices }, g) => {
    if (g % 2 === 1) return [];
    const joined = choices.flatMap((attn) => {
      const mlp = single[g + 1].choices.find((choice) => choice.id === attn.id);
      const add = (key: "costUs" | "loss" | "skipped" | "bytes") => attn[key] + (mlp?.[key] ?? 0);
      const both = { costUs: add("costUs"), loss: add("loss"), skipped: add("skipped"), bytes: add("bytes") };
      return mlp === undefined ? [] : [{ id: attn.id, ...both }];
    });
    return [{ id, choices: joined }];
  });
  const limits = [
    ...(constraints.max_skip === undefined ? [] : [{ most: constraints.max_skip, of: (c: Relaxed) => c.skipped }]),
    ...(constraints.draft_memory_mib === undefined
      ? []
      : [{ most: constraints.draft_memory_mib * MIB, of: (c: Relaxed) => c.bytes }]),
  ];
  const relaxed = constraints.whole_layers === true ? [...layers, single[single.length - 1]] : single;
  const bound = highsRelaxation(
    relaxed,
    sum(({ costUs }) => costUs),
    limits,
  );
  return Math.max(0, 100 * (1 - Math.exp(bound - sum(({ loss }) => loss))));
}

/** Skipping layer 1 whole is better than the sum says, layer 2 worse. */
const PAIRS = [
  { first: 2, second: 3, loss: -0.02, standardErrors: 5 },
  { first: 4, second: 5, loss: 0.3, standardErrors: 5 },
];

describe.each(SETS)("under %j", (constraints) => {
  const worlds = seeds(trials(1, 4)).map((seed) => {
    const world = synthetic(seed, 0.8);
    const profile = withBytes(world.profile);
    const random = draw(seed);
    // any drafts: those that break the constraints are to be left out
    const sets = seeds(30).map(() => {
      const share = 0.5 * random.float();
      const layer = () => (random.chance(share) ? "skip" : random.chance(0.5) ? "int8" : "target");
      const blocks = seeds(DEPTH).flatMap(() => {
        const both = layer();
        return random.chance(0.7) ? [both, both] : [both, layer()];
      });
      return {
        blocks: blocks as ("skip" | "int8" | "target")[],
        head: random.chance(0.5) ? "int8" : "target",
      } as const;
    });
    const measured = [uniformChoices(DEPTH, "int8"), targetChoices(DEPTH), ...sets].map(world.measure);
    const input: SolveInput = {
      profile,
      calibration: { ...world.calibration, measured },
      choices: ["int8", "skip"],
      constraints,
    };
    return { input, problem: openProblem(input), seed };
  });

  test("measured drafts that break them are left out, and no draft proposed breaks them", () => {
    for (const { input, problem } of worlds) {
      const all = input.calibration.measured.map(({ draft }) => expandDraft(draft, DEPTH, "test"));
      const [context] = problem.contexts;
      expect(context.measured.map(({ set }) => set)).toEqual(all.filter((set) => satisfies(problem.limits, set)));
      expect(context.measured.length).toBeLessThan(all.length);
      expect(context.measured.length).toBeGreaterThan(0);
      for (const first of [true, false])
        for (const set of proposals(problem, context, first)) expect(satisfies(problem.limits, set)).toBe(true);
    }
  });

  test("candidates and exchanges keep them, with pair terms too", () => {
    for (const { problem } of worlds) {
      const surrogate = { ...fitSurrogate(problem.contexts[0]), pairs: PAIRS };
      const ranked = rankedCandidates(problem, AT, surrogate);
      for (const { set } of ranked) expect(satisfies(problem.limits, set)).toBe(true);
      const from = ranked[0].set;
      const near = neighbours(problem, from);
      expect(near.length).toBeGreaterThan(0);
      for (const set of near) expect(satisfies(problem.limits, set)).toBe(true);
      expect(satisfies(problem.limits, improveByExchanges(problem, AT, surrogate, from))).toBe(true);
    }
  });

  test("the plan keeps them, of measured drafts and of the surrogate's; an LP gap is not below 0", () => {
    let drafted = 0;
    for (const { input } of worlds) {
      for (const measured of [input.calibration.measured, []]) {
        const problem = openProblem({ ...input, calibration: { ...input.calibration, measured } });
        for (const { draft, predicted } of planSegments(problem)) {
          if (draft === undefined) continue;
          drafted++;
          expect(satisfies(problem.limits, expandDraft(draft, DEPTH, "test"))).toBe(true);
          expect(predicted?.evidence).toBe(measured.length === 0 ? "surrogate" : "choose");
          expect(predicted?.lp_gap_percent).toBeGreaterThanOrEqual(0);
        }
      }
    }
    expect(drafted).toBeGreaterThan(0);
  });

  test("a plan's LP gap is that of HiGHS's relaxation of drafts that keep them", () => {
    for (const { input } of worlds) {
      for (const measured of [input.calibration.measured, []]) {
        const problem = openProblem({ ...input, calibration: { ...input.calibration, measured } });
        for (const { draft, predicted } of planSegments(problem)) {
          if (draft === undefined || predicted === undefined) continue;
          const set = expandDraft(draft, DEPTH, "test");
          const groups = groupsAt(problem, predicted.at_context);
          const gap = relaxedGap(groups, set, constraints);
          expect(predicted.lp_gap_percent).toBeCloseTo(gap, 3);
        }
      }
    }
  });

  test("explained, turns are to drafts that keep them, and there are no margins", () => {
    const [{ input, problem }] = worlds;
    const frontier = constrainedFrontier(problem.limits, groupsAt(problem, AT));
    const own = frontier[frontier.length >> 1];
    const { draft } = explainDraft(input, AT, { drafter: self(toChoiceSet(own.chosen)), draftTokens: 2 });
    draft?.blocks.forEach(({ margin, ifQuicker }, i) => {
      expect(margin).toBeNull();
      const quicker = frontier.filter((p) => p.costUs < own.costUs - 1e-9 && p.chosen[i] !== own.chosen[i]).at(-1);
      expect(ifQuicker?.choice ?? null).toBe(quicker?.chosen[i] ?? null);
    });
    expect(draft?.blocks).toHaveLength(2 * DEPTH + 1);
  });
});

test("layers, kept blocks and bytes each change the LP gap of drafts on the frontier, or the test above would be idle", () => {
  const changes = SETS.map((constraints) =>
    seeds(4).some((seed) => {
      const { profile, calibration } = synthetic(seed, 0.8);
      const problem = openProblem({ profile: withBytes(profile), calibration, choices: ["int8", "skip"], constraints });
      const groups = groupsAt(problem, AT);
      return constrainedFrontier(problem.limits, groups).some(({ chosen }) => {
        const set = toChoiceSet(chosen);
        return Math.abs(relaxedGap(groups, set, {}) - relaxedGap(groups, set, constraints)) > 0.01;
      });
    }),
  );
  // the first attention and two skips bind in none of these drafts (limited-bound.test.ts has limits that do)
  expect(changes).toEqual([true, true, false, false, true, true]);
});

describe("exchanges of whole layers", () => {
  test("are every draft with one layer or the head changed, or two layers exchanged", () => {
    const constraints = { whole_layers: true } as const;
    const problem = openProblem({
      profile: makeProfile(),
      calibration: makeCalibration(),
      choices: ["int8", "skip"],
      constraints,
    });
    const set = { blocks: ["skip", "skip", "int8", "int8", "target", "target"] as const, head: "target" as const };
    const layers = (draft: { blocks: readonly string[] }) => draft.blocks.filter((_, i) => i % 2 === 0).join(" ");
    const found = neighbours(problem, { ...set, blocks: [...set.blocks] }).map(
      (each) => `${layers(each)}, ${each.head}`,
    );
    const own = ["skip", "int8", "target"];
    const changed = own.flatMap((was, i) => own.filter((to) => to !== was).map((to) => own.with(i, to)));
    const swapped = [
      [0, 1],
      [0, 2],
      [1, 2],
    ].map(([a, b]) => own.with(a, own[b]).with(b, own[a]));
    const expected = [...changed, ...swapped].map((each) => `${each.join(" ")}, target`);
    expect(found.sort()).toEqual([...expected, `${own.join(" ")}, int8`].sort());
  });
});

test("nothing measured keeps the constraint: the surrogate's best that does is planned, and that is said", () => {
  const measured = [
    {
      at_context: 128,
      part: "choose" as const,
      draft: compactDraft(uniformChoices(LAYERS, "int8")),
      tokens: 900,
      curve: [1, 0.99],
    },
  ];
  const segments = planSegments(
    openProblem({
      profile: withBytes(makeProfile()),
      calibration: makeCalibration([128], measured),
      choices: ["int8", "skip"],
      constraints: { draft_memory_mib: 12 },
    }),
  );
  expect(segments.map(({ predicted }) => predicted?.evidence)).toContain("surrogate");
});
