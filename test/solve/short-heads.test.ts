/** Plans with short heads: the size that the solver picks is that of the best of all drafts, and the documents know it. */
import { expect, test } from "vitest";
import { shortHeadsOfBoth, usualShortHeads } from "../../src/pipeline/choices.js";
import type { Calibration } from "../../src/schema/calibration.js";
import type { Choice, DraftChoice, HeadKernel, ShortKernel } from "../../src/schema/choice.js";
import { rankingOf } from "../../src/schema/choices/ranking.js";
import type { Profile } from "../../src/schema/profile.js";
import { planDocument } from "../../src/solve/index.js";
import { bestPlan } from "../oracle/brute-force-plan.js";
import {
  blockUs,
  CONTEXTS,
  FIXED_US,
  HEAD_LOSS,
  headUs,
  LAYERS,
  LOOP,
  lossOf,
  makeCalibration,
  makeProfile,
  passUs,
  QUERIES,
} from "../support/documents.js";
import { expectFailure } from "../support/failure.js";

/** µs and loss of each, beside which int8 over all tokens takes headUs(true, 1) */
type Sizes = Readonly<Record<string, { us: number; loss: number }>>;
const INT8_US = headUs(true, 1);
const SIZES: Sizes = {
  "target:4096": { us: 0.5 * INT8_US, loss: 0.05 },
  "int8:8192": { us: 0.4 * INT8_US, loss: HEAD_LOSS + 0.004 },
  "int8:2048": { us: 0.2 * INT8_US, loss: HEAD_LOSS + 0.02 },
};
const ranking = rankingOf([2, 0, 1], 100);

function documents(sizes: Sizes): { profile: Profile; calibration: Calibration } {
  const profile = makeProfile();
  const calibration = { ...makeCalibration([128]), ranking };
  for (const [name, { us, loss }] of Object.entries(sizes)) {
    for (const { query_tokens, head_us } of profile.points) if (query_tokens === 1) head_us[name as ShortKernel] = us;
    for (const { head } of calibration.contexts) head[name as ShortKernel] = { loss, standard_error: 0.001 };
  }
  return { profile, calibration };
}

const INPUTS = { profile: { path: "p", sha256: "1".repeat(64) }, calibration: { path: "c", sha256: "2".repeat(64) } };
const OTHERS: DraftChoice[] = ["int8", "skip"];
const namesOf = (sizes: Sizes) => Object.keys(sizes) as ShortKernel[];

function bestAt(n: number, sizes: Sizes) {
  const blocks = Array.from({ length: 2 * LAYERS }, (_, index) => {
    const [layer, kind] = [index >> 1, index % 2 === 0 ? ("attn" as const) : ("mlp" as const)];
    return (["target", "int8", "skip"] as const).map((choice) => ({
      id: choice as string,
      cost: choice === "skip" ? 0 : blockUs(kind, layer, choice !== "target", n, 1),
      loss: choice === "target" ? 0 : lossOf(kind, layer, choice),
    }));
  });
  const head = [
    { id: "target", cost: headUs(false, 1), loss: 0 },
    { id: "int8", cost: INT8_US, loss: HEAD_LOSS },
    ...Object.entries(sizes).map(([id, { us, loss }]) => ({ id, cost: us, loss })),
  ];
  const rest = { fixedUs: FIXED_US, roundUs: LOOP.round_us, maxDraft: Math.min(16, QUERIES[QUERIES.length - 1] - 1) };
  return bestPlan({ blocks, head, ...rest, verifyUs: (d) => passUs(false, n, d + 1) });
}

test.each([
  ["one of three pays", SIZES],
  ["none pays: they lose too much", { "int8:2048": { us: 0.9 * INT8_US, loss: 1 } }],
  ["the smallest pays: it loses nothing more", { ...SIZES, "int8:16": { us: 0, loss: HEAD_LOSS } }],
])("at every context the plan is as fast as the best of all drafts: %s", (_name, sizes) => {
  const choices = [...OTHERS, ...namesOf(sizes)];
  const plan = planDocument({ ...documents(sizes), choices }, INPUTS);
  for (const n of CONTEXTS) {
    const best = bestAt(n, sizes);
    const segment = plan.segments.find(({ context_tokens: { from, to } }) => n >= from && n <= to);
    const speed =
      segment?.predicted?.along?.find((at) => at.context_tokens === n)?.tokens_per_second ??
      segment?.predicted?.tokens_per_second;
    // a merged range may serve a context by its neighbour's draft, within half a percent
    expect((speed as number) / best.tokensPerSecond).toBeGreaterThan(0.994);
    expect((speed as number) / best.tokensPerSecond).toBeLessThan(1 + 5e-6); // plans keep six digits
  }
  const heads = new Set(plan.segments.flatMap(({ draft }) => draft?.head ?? []));
  for (const head of heads) expect(CONTEXTS.map((n) => bestAt(n, sizes).ids.at(-1))).toContain(head);
  expect(plan.ranking).toEqual(ranking);
});

test("documents that lack one are refused by its name, and those that have one solve without it as before", async () => {
  const { profile, calibration } = documents(SIZES);
  const plan = (choices: DraftChoice[], p = profile, c: Calibration = calibration) =>
    planDocument({ profile: p, calibration: c, choices }, INPUTS);
  const asked: DraftChoice[] = ["skip", "int8:8192"]; // without int8 for blocks
  expect(plan(asked).segments.some(({ draft }) => draft?.head === "int8:8192")).toBe(true);
  await expectFailure(() => plan(asked, makeProfile()), "CHOICE_UNAVAILABLE", /profile has no int8:8192/);
  await expectFailure(() => plan(asked, profile, makeCalibration([128])), "CHOICE_UNAVAILABLE", /calibration has no/);
  const before = plan(OTHERS, makeProfile(), makeCalibration([128]));
  expect(plan(OTHERS)).toEqual(before);
  expect(before.ranking).toBeUndefined();
});

test("memory: a short head is a copy of its own, the target's rows too", async () => {
  const { profile, calibration } = documents(SIZES);
  const weight_bytes = { attn: { int8: 1 << 20 }, mlp: { int8: 1 << 20 }, head: { int8: 1 << 20 } };
  const solve = (head: Partial<Record<HeadKernel, number>>, mib: number, choices: DraftChoice[]) =>
    planDocument(
      {
        ...{ calibration, choices, constraints: { draft_memory_mib: mib } },
        profile: { ...profile, weight_bytes: { ...weight_bytes, head: { ...weight_bytes.head, ...head } } },
      },
      INPUTS,
    );
  const headsOf = (plan: ReturnType<typeof solve>) => plan.segments.map(({ draft }) => draft?.head ?? "none");
  const bytes = { "target:4096": 3 << 20, "int8:8192": 2 << 20, "int8:2048": 1 << 20 };
  const all: DraftChoice[] = ["skip", "target:4096", "int8:8192", "int8:2048"];
  const within = (mib: number) =>
    headsOf(solve(bytes, mib, all)).every((h) => (bytes[h as "int8:8192"] ?? 0) <= mib << 20);
  expect([1, 2, 3].map(within)).toEqual([true, true, true]);
  expect(headsOf(solve(bytes, 2, all))).toContain("int8:8192");
  expect(headsOf(solve(bytes, 1, all))).not.toContain("int8:8192");
  await expectFailure(() => solve({}, 4, all), "WEIGHT_BYTES_MISSING", /target:4096/);
});

test("what both documents measured is offered, and measured by default only where a vocabulary is large", () => {
  const { profile, calibration } = documents(SIZES);
  expect(shortHeadsOfBoth(profile, calibration)).toEqual(["target:4096", "int8:8192", "int8:2048"]);
  expect(shortHeadsOfBoth(profile, makeCalibration([128]))).toEqual([]);
  const of = (vocabSize: number, kernels: readonly ("target" | "int8")[] = ["target", "int8"], provider = "cpu") =>
    usualShortHeads({ spec: { vocabSize }, engine: { kernels } }, { provider });
  expect(of(4096)).toEqual([]);
  expect(of(49_152)).toEqual(["int8:16384", "int8:8192"]);
  expect(of(32_000)).toEqual(["int8:8192"]);
  expect(of(49_152, ["target"])).toEqual(["target:16384", "target:8192"]);
  expect(of(49_152, ["target", "int8"], "cuda")).toEqual([]);
});

test("a block's choices are what they are without short heads", () => {
  const { profile, calibration } = documents(SIZES);
  const plan = planDocument({ profile, calibration, choices: [...OTHERS, "int8:2048"] }, INPUTS);
  const choices = plan.segments.flatMap(({ draft }) => Object.values(draft?.choices ?? {}) as Choice[]);
  expect(choices.filter((choice) => choice.includes(":"))).toEqual([]);
});
