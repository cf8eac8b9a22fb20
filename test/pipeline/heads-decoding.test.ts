/** Real heads on a real engine: what calibration tells of a tree is what decoding the same text with it does. */
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ContinuedPrompts } from "../../src/calibrate/continuation.js";
import { HeadsEvidence } from "../../src/calibrate/heads-evidence.js";
import { silentProgress } from "../../src/core/progress.js";
import { headsDrafter } from "../../src/decode/drafters/heads.js";
import { decode, type Round } from "../../src/decode/loop.js";
import { withHeads } from "../../src/pipeline/drafting/measured.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { treeDepth } from "../../src/schema/drafter.js";
import { RankPaths } from "../../src/solve/trees/rank-paths.js";
import { treeRounds } from "../../src/stats/tree-rounds.js";

const FOLDER = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const CONTEXT = {
  provider: "cpu",
  threads: 1,
  ortLibrary: undefined,
  targetPrecision: undefined,
  progress: silentProgress,
};
const PROMPTS = [[3, 9, 4], [17, 5, 30, 8, 21], [2], [33, 6, 6, 14], [11, 12], [25, 7, 19]];
const HEADS = 3;
/** tokens that calibration reads, and what decoding goes on for: its last rounds are cut short by the limit */
const READ = 40;
const BEHIND = HEADS + 2;

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(join(FOLDER, "model"), { provider: "cpu", threads: 1 });
});
afterAll(() => model.close());

describe.each(["medusa", "vllm-truncated", "hydra", "hydra-prefix"])("%s", (name) => {
  test("every tree's rounds, curve and tokens", () =>
    withHeads([join(FOLDER, name)], model, { ...CONTEXT, note: () => {} }, async ([located]) => {
      const { engine } = model;
      const evidence = new HeadsEvidence([located]);
      const text = new ContinuedPrompts(engine, systemClock, PROMPTS, READ - 1, null);
      await evidence.complete(engine, 4, "choose", text, 10_000, silentProgress);
      const [{ contexts, ...said }] = evidence.records();
      expect(said).toMatchObject({ heads: HEADS, ranks: 10, sha256: located.heads.sha256 });
      const [record] = contexts;
      const made = text.made.filter(({ ids }) => ids.length === READ); // an end token may come earlier
      expect(made.length).toBeGreaterThan(2);

      const paths = new RankPaths(record.paths, record.positions);
      const trees = [2, 12, 63].map((nodes) =>
        paths.likeliest(nodes, HEADS, { leastPositions: 1 }).map(({ ranks }) => [...ranks]),
      );
      const own = { ...record, texts: record.texts.filter((_, i) => text.made[i].ids.length === READ) };
      for (const tree of trees) {
        const depth = treeDepth(tree);
        const drafter = headsDrafter(located.heads, tree);
        const rounds: Round[] = [];
        for (const { prompt, ids } of made) {
          const policy = Object.assign(() => ({ drafter, draftTokens: depth }), { drafters: [drafter] });
          const options = { maxTokens: READ + BEHIND, endTokens: [], policy, clock: systemClock };
          const decoded = await decode(engine, prompt, options);
          expect(decoded.ids.slice(0, READ)).toEqual(ids);
          rounds.push(...decoded.rounds.filter(({ context }) => context - prompt.length < READ - HEADS));
        }
        const told = treeRounds(own, tree);
        expect(told.rounds).toBe(rounds.length);
        expect(told.curve).toEqual(
          Array.from(
            { length: depth + 1 },
            (_, i) => rounds.filter(({ accepted }) => accepted >= i).length / rounds.length,
          ),
        );
        expect(told.tokens).toBe(rounds.reduce((sum, { accepted }) => sum + accepted + 1, 0));
        expect(rounds.some(({ accepted }) => accepted > 0)).toBe(true);
      }
    }));
});
