import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test, vi } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import type { Heads } from "../../src/decode/drafters/heads.js";
import { findDrafting, parseDrafter, planDrafting, withDrafting } from "../../src/pipeline/drafting.js";
import { loadPrepared } from "../../src/runtime/load.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const MODEL = join(FIXTURES, "model");
const context = { provider: "cpu", threads: 1, progress: silentProgress, note: () => {} };

/** Heads of this folder on the tiny model, opened for `use`. */
async function drafting(name: string, use: (heads: readonly Heads[]) => Promise<unknown>) {
  const found = await findDrafting(null, parseDrafter(`heads:${join(FIXTURES, name)}`), MODEL);
  const { model, prepared } = await loadPrepared(MODEL, context, silentProgress, (checkpoint) => ({
    capacity: 32,
    planned: planDrafting(found, checkpoint, context),
  }));
  try {
    return await withDrafting(found, prepared.planned, model, context, (policy, heads) => {
      expect(policy?.drafters).toHaveLength(1);
      return use(heads as readonly Heads[]);
    });
  } finally {
    model.close();
  }
}

describe("heads are closed", () => {
  test.each([
    ["when the work is done", async () => "done"],
    [
      "when it fails or is interrupted",
      async () => {
        throw new Error("interrupted");
      },
    ],
  ])("%s", async (_name, work) => {
    const closed: Heads[] = [];
    const run = drafting("hydra-prefix", async ([heads]) => {
      const close = heads.close.bind(heads);
      vi.spyOn(heads, "close").mockImplementation(() => {
        closed.push(heads);
        close();
      });
      return work();
    });
    await run.then(
      (result) => expect(result).toBe("done"),
      (error) => expect(error.message).toBe("interrupted"),
    );
    expect(closed).toHaveLength(1);
    expect(() => closed[0].guess(new Float32Array(16), 0, [1])).toThrow();
  });
});

test("without a plan heads draft the likeliest token of each, one behind the other, up to the model's limit", async () => {
  const found = await findDrafting(null, parseDrafter(`heads:${join(FIXTURES, "medusa")}`), MODEL);
  const { model, prepared } = await loadPrepared(MODEL, context, silentProgress, (checkpoint) => ({
    capacity: 8,
    planned: planDrafting(found, checkpoint, context),
  }));
  model.close();
  expect(prepared.planned.mostNodes).toBe(3);
  expect(prepared.planned.plan?.document.segments).toMatchObject([
    {
      context_tokens: { from: 0, to: 64 },
      speculate: true,
      draft_tokens: 3,
      drafter: { kind: "heads", tree: [[0], [0, 0], [0, 0, 0]] },
    },
  ]);
});

test("a folder's name may have a colon in it", () => {
  expect(parseDrafter("heads:C:/heads")).toEqual({ kind: "heads", path: "C:/heads" });
  expect(parseDrafter("model:C:/small")).toEqual({ kind: "model", path: "C:/small" });
});
