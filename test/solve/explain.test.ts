/** Why a block has its choice: against trying every draft of a small model. */
import { describe, expect, test } from "vitest";
import { turns } from "../../src/solve/explain.js";
import { type Group, paretoFrontier } from "../../src/solve/index.js";
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
      const found = turns(paretoFrontier(groups), g, own.chosen[g], {
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
      expect(found.ifQuicker?.choice ?? null).toBe(below?.chosen[g] ?? null);
      expect(found.ifSlower?.choice ?? null).toBe(above?.chosen[g] ?? null);
    });
  });
});
