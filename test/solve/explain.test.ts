/** Why a block has its choice: against trying every draft of a small model. */
import { describe, expect, test } from "vitest";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, compactDraft, uniformChoices } from "../../src/schema/choice.js";
import { self } from "../../src/solve/drafter.js";
import { otherChoices } from "../../src/solve/explain.js";
import { explainDraft, type Group, paretoFrontier, type SolveInput } from "../../src/solve/index.js";
import { lossErrors, marginOf } from "../../src/solve/margins.js";
import {
  blockUs,
  CONTEXTS,
  FIXED_US,
  headUs,
  LAYERS,
  LOOP,
  lossOf,
  makeCalibration,
  makeProfile,
} from "../support/documents.js";
import { uniform } from "../support/numbers.js";

function instance(seed: number): Group[] {
  const next = uniform(seed);
  return Array.from({ length: 5 }, (_, g) => ({
    id: `b${g}`,
    choices: ["target", "int8", "skip"].map((id, c) => ({
      id,
      costUs: id === "skip" ? 0 : Math.round(20 + 80 * next()) / (c + 1),
      loss: c === 0 ? 0 : c * next(),
    })),
  }));
}

/** Every draft of the groups. */
const drafts = (groups: readonly Group[]) =>
  groups.reduce<{ chosen: string[]; costUs: number; loss: number }[]>(
    (all, { choices }) =>
      all.flatMap((draft) =>
        choices.map(({ id, costUs, loss }) => ({
          chosen: [...draft.chosen, id],
          costUs: draft.costUs + costUs,
          loss: draft.loss + loss,
        })),
      ),
    [{ chosen: [], costUs: 0, loss: 0 }],
  );

describe("the draft step at which a block's choice turns", () => {
  test.each([1, 2, 3, 4])("is that of the best draft of its budget, found by trying all: seed %i", (seed) => {
    const groups = instance(seed);
    const all = drafts(groups);
    const best = all.filter((a) =>
      all.every((b) => b.costUs > a.costUs || b.loss > a.loss || b === a || b.loss === a.loss),
    );
    const rising = best.sort((a, b) => a.costUs - b.costUs);
    const own = rising[rising.length >> 1];
    const besidesUs = 7;
    groups.forEach((_, g) => {
      const found = otherChoices(paretoFrontier(groups), g, own.chosen[g], {
        costUs: own.costUs,
        besidesUs,
        rateOf: (loss) => Math.exp(-loss),
      });
      const below = rising.filter((draft) => draft.costUs < own.costUs && draft.chosen[g] !== own.chosen[g]).at(-1);
      const above = rising.find((draft) => draft.costUs > own.costUs && draft.chosen[g] !== own.chosen[g]);
      expect(found.ifQuicker?.draftUs ?? null).toEqual(
        below === undefined ? null : expect.closeTo(below.costUs + besidesUs, 6),
      );
      expect(found.ifSlower?.draftUs ?? null).toEqual(
        above === undefined ? null : expect.closeTo(above.costUs + besidesUs, 6),
      );
      expect(found.ifQuicker?.acceptance).toEqual(below && expect.closeTo(Math.exp(-below.loss), 9));
      expect(found.ifQuicker?.choice ?? null).toBe(below?.chosen[g] ?? null);
      expect(found.ifSlower?.choice ?? null).toBe(above?.chosen[g] ?? null);
    });
  });
});

describe("the margin of a choice", () => {
  test.each([1, 2, 3, 4, 5, 6])("is what the best draft as quick loses more, found by trying all: seed %i", (seed) => {
    const groups = instance(seed);
    const all = drafts(groups);
    const own = all[(97 * seed) % all.length];
    const errorOf = (group: number, choice: string) => (choice === "target" ? 0 : (group + 1) / 100);
    groups.forEach((_, g) => {
      const others = all.filter((draft) => draft.costUs <= own.costUs + 1e-9 && draft.chosen[g] !== own.chosen[g]);
      const found = marginOf(groups, own.chosen, g, errorOf);
      if (others.length === 0) return expect(found).toBeNull();
      const best = others.reduce((a, b) => (b.loss < a.loss ? b : a));
      const squares = best.chosen.map((choice, i) =>
        choice === own.chosen[i] ? 0 : errorOf(i, choice) ** 2 + errorOf(i, own.chosen[i]) ** 2,
      );
      expect(found?.loss).toBeCloseTo(best.loss - own.loss, 9);
      expect(found?.choice).toBe(best.chosen[g]);
      expect(found?.standardError).toBeCloseTo(Math.sqrt(squares.reduce((sum, square) => sum + square, 0)), 9);
    });
  });
});

test("the error of a choice's loss is its block's, the head's is the head's, and the target loses nothing for certain", () => {
  const [context] = makeCalibration().contexts;
  const losses = (first: number) =>
    Array.from({ length: LAYERS }, (_, layer) => ({ loss: 0.1, standard_error: first + layer }));
  const errorOf = lossErrors(
    {
      ...context,
      head: { int8: { loss: 0.1, standard_error: 7 } },
      attn: { int8: losses(10), skip: losses(20) },
      mlp: { int8: losses(30) },
    },
    LAYERS,
  );
  const groups = Array.from({ length: 2 * LAYERS + 1 }, (_, group) => group);
  expect(groups.map((group) => errorOf(group, "int8"))).toEqual([10, 30, 11, 31, 12, 32, 7]);
  expect(groups.map((group) => errorOf(group, "target"))).toEqual(groups.map(() => 0));
  expect([0, 1, 2].map((group) => errorOf(group, "skip"))).toEqual([20, 0, 21]);
});

describe("a draft of a model whose times and losses can be added up", () => {
  const at = CONTEXTS[1];
  const set: ChoiceSet = { blocks: ["int8", "int8", "skip", "int8", "int8", "int8"], head: "int8" };
  const curve = [1, 0.9, 0.8, 0.7];
  const record = (part: "choose" | "report", of = curve): MeasuredDraft => ({
    ...{ at_context: 128, part, tokens: 500 },
    ...{ draft: compactDraft(set), curve: of },
  });
  const input = (measured: MeasuredDraft[]): SolveInput => ({
    profile: makeProfile(),
    calibration: makeCalibration([128], measured),
    choices: ["int8", "skip"],
  });
  const own = { drafter: self(set), draftTokens: 3 };
  /** the objective written out; `slower` is the factor of attention */
  const speedup = (n: number, slower: number, a: readonly number[]): number => {
    const total = (of: (block: number) => number) => set.blocks.reduce((sum, _, block) => sum + of(block), 0);
    const us = (block: number, int8: boolean, q: number) =>
      blockUs(block % 2 === 0 ? "attn" : "mlp", block >> 1, int8, n, q) * (block % 2 === 0 ? slower : 1);
    const target = (q: number) => FIXED_US + headUs(false, q) + total((block) => us(block, false, q));
    const draft =
      FIXED_US + headUs(true, 1) + total((block) => (set.blocks[block] === "skip" ? 0 : us(block, true, 1)));
    const tokens = a.reduce((sum, x) => sum + x, 0);
    return (tokens * (target(1) + LOOP.step_us)) / (3 * draft + target(4) + LOOP.round_us);
  };

  test("its costs, losses and speedup are those of the documents", () => {
    const { draft, targetStepUs } = explainDraft(
      input([record("choose"), record("report", [1, 0.8, 0.6, 0.5])]),
      at,
      own,
    );
    const blocks = [0, 1, 2].flatMap((layer) => [
      blockUs("attn", layer, false, at, 1),
      blockUs("mlp", layer, false, at, 1),
    ]);
    const step = FIXED_US + headUs(false, 1) + blocks.reduce((sum, us) => sum + us, 0) + LOOP.step_us;
    expect(targetStepUs).toBeCloseTo(step, 6);
    expect(draft).toMatchObject({ evidence: "report", draftTokens: 3 });
    expect(draft?.speedup).toBeCloseTo(speedup(at, 1, [1, 0.8, 0.6, 0.5]), 9);
    expect(draft?.acceptance).toBeCloseTo(1.9 / 2.4, 9);
    expect(draft?.blocks.map(({ block }) => block)).toEqual(
      [..."012"].flatMap((l) => [`${l}.attn`, `${l}.mlp`]).concat("head"),
    );
    const [, , skipped, mlp] = draft?.blocks ?? [];
    expect(skipped).toMatchObject({
      choice: "skip",
      costUs: 0,
      loss: lossOf("attn", 1, "skip"),
      lossStandardError: 0.001,
    });
    expect(mlp.costUs).toBeCloseTo(blockUs("mlp", 1, true, at, 1), 9);
    expect(mlp.targetUs).toBeCloseTo(blockUs("mlp", 1, false, at, 1), 9);
  });

  test("slower attention and twice the context are solved again; all speedups rest on the same evidence", () => {
    const found = explainDraft(input([record("choose"), record("report", [1, 0.8])]), at, own);
    expect(found.attentionSlower).toMatchObject({ contextTokens: at, speculate: true, draftTokens: 3, changed: [] });
    expect(found.attentionSlower.evidence).toBe("choose"); // the report's curve is too short for this draft
    expect(found.attentionSlower.speedupBefore).toBeCloseTo(speedup(at, 1, curve), 9);
    expect(found.attentionSlower.ownSpeedup).toBeCloseTo(speedup(at, 1.1, curve), 9);
    expect(found.attentionSlower.speedup).toBeCloseTo(speedup(at, 1.1, curve), 9);
    expect(found.twiceTheContext?.ownSpeedup).toBeGreaterThan(0);
    expect(explainDraft(input([record("choose")]), CONTEXTS[2], own).twiceTheContext).toBeNull();
  });

  test("where another measured draft is better under those conditions, its blocks are named", () => {
    const better = { ...record("choose", [1, 1, 1, 1]), draft: compactDraft(uniformChoices(LAYERS, "int8")) };
    const { attentionSlower } = explainDraft(
      input([record("choose"), record("report"), better]), // nothing is reported of the better one
      at,
      own,
    );
    expect(attentionSlower.evidence).toBe("choose");
    expect(attentionSlower.changed).toEqual([{ block: "1.attn", before: "skip", after: "int8" }]);
    expect(attentionSlower.speedup).toBeGreaterThan(attentionSlower.ownSpeedup);
  });

  test("how sure a choice is, is unknown without draws of the profile or without a measured draft", () => {
    for (const measured of [[], [record("choose")]])
      expect(explainDraft(input(measured), at, own).draft?.blocks.map(({ sure }) => sure)).toEqual(Array(7).fill(null));
  });

  test("draws under which another draft is the best count against the choices that it changes", () => {
    // under the second draw int8 attention takes four times as long: skipping 1.attn pays there and only there
    const whole = { ...record("choose", [1, 0.995, 0.99, 0.98]), draft: compactDraft(uniformChoices(LAYERS, "int8")) };
    const profile = makeProfile();
    const one = [1, 1];
    const resampled = { whole_target: one, fixed: one, attn: { int8: [1, 4] } };
    const drawn = { ...profile, points: profile.points.map((point) => ({ ...point, resampled })) };
    const measured = [whole, record("choose", [1, 0.93, 0.87, 0.8])];
    const all = { drafter: self(uniformChoices(LAYERS, "int8")), draftTokens: 3 };
    const { draft } = explainDraft({ ...input(measured), profile: drawn }, at, all);
    expect(draft?.blocks.map(({ sure }) => sure)).toEqual([1, 1, 0.5, 1, 1, 1, 1]);
  });

  test("a plan that decodes plainly has no blocks, and the best draft known beside it", () => {
    const found = explainDraft(input([record("choose", [1, 0.2, 0.1, 0])]), at, null);
    expect(found.draft).toBeNull();
    expect(found.best?.drafter).toEqual(self(set));
    expect(found.best?.speedup).toBeLessThan(1);
    expect(found.attentionSlower).toMatchObject({ speculate: false, draftTokens: null, speedup: 1, evidence: null });
  });
});
