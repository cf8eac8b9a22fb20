/** What calibration says that a tree yields is what decoding the same text with it yields, round by round. */
import { describe, expect, test } from "vitest";
import { ContinuedPrompts } from "../../src/calibrate/continuation.js";
import { HeadsEvidence } from "../../src/calibrate/heads-evidence.js";
import { silentProgress } from "../../src/core/progress.js";
import { headsDrafter } from "../../src/decode/drafters/heads.js";
import { decode, type Round } from "../../src/decode/loop.js";
import { treeDepth } from "../../src/schema/drafter.js";
import { RankPaths } from "../../src/solve/trees/rank-paths.js";
import { seededRandom } from "../../src/stats/random.js";
import { treeRounds } from "../../src/stats/tree-rounds.js";
import { fakeEngine } from "../support/fake-model.js";
import { type PlantedText, plantedHeads } from "../support/planted-heads.js";

const HEADS = 4;
const RANKS = 5;
/** tokens that calibration reads, and how many more decoding goes on for: its last rounds are cut short by the limit */
const READ = 90;
const BEHIND = HEADS + 2;

describe.each(["medusa", "hydra"] as const)("%s heads", (kind) => {
  test.each([1, 2, 3, 4])("every tree's rounds, curve and tokens: seed %i", async (seed) => {
    const random = seededRandom(200 + seed);
    const { engine, clock } = fakeEngine({ context: 200, vocab: 400 });
    const prompts = [[1, 2], [3], [7, 7, 7]];
    const decoded: PlantedText[] = [];
    for (const prompt of prompts) {
      const options = { maxTokens: READ + BEHIND, endTokens: [], policy: null, clock };
      const { ids } = await decode(engine, prompt, options);
      const ranks = ids.map(() =>
        Array.from({ length: HEADS }, () => {
          const rank = Math.floor(-1.2 * Math.log(1 - random.float()));
          return rank < RANKS ? rank : null;
        }),
      );
      decoded.push({ prompt, ids, ranks });
    }
    const heads = plantedHeads(engine, decoded, { kind, heads: HEADS, ranks: RANKS });
    const evidence = new HeadsEvidence([{ heads, path: "heads" }]);
    const text = new ContinuedPrompts(engine, clock, prompts, READ - 1, null);
    await evidence.complete(engine, 3, "choose", text, 10_000, silentProgress);
    const [record] = evidence.records()[0].contexts;
    expect(record.positions).toBe(3 * (READ - HEADS));

    const paths = new RankPaths(record.paths, record.positions);
    const likeliest = (nodes: number) =>
      paths.likeliest(nodes, HEADS, { leastPositions: 1 }).map(({ ranks }) => [...ranks]);
    const chain = Array.from({ length: HEADS }, (_, i) => new Array<number>(i + 1).fill(0));
    for (const tree of [chain, [[1], [0]], likeliest(3), likeliest(16), likeliest(60)]) {
      const drafter = headsDrafter(heads, tree);
      const depth = treeDepth(tree);
      const rounds: Round[] = [];
      for (const { prompt, ids } of decoded) {
        const policy = () => ({ drafter, draftTokens: depth });
        const made = await decode(engine, prompt, { maxTokens: ids.length, endTokens: [], policy, clock });
        expect(made.ids).toEqual(ids);
        // rounds that begin at a position that was counted: the others have the text's end before them
        rounds.push(...made.rounds.filter(({ context }) => context - prompt.length < READ - HEADS));
      }
      const told = treeRounds(record, tree);
      expect(told.rounds).toBe(rounds.length);
      expect(told.tokens).toBe(rounds.reduce((sum, { accepted }) => sum + accepted + 1, 0));
      expect(told.curve).toEqual(
        Array.from(
          { length: depth + 1 },
          (_, i) => rounds.filter(({ accepted }) => accepted >= i).length / rounds.length,
        ),
      );
      expect(rounds.some(({ accepted }) => accepted > 0)).toBe(true);
      expect(rounds.every(({ nodes }) => nodes === tree.length)).toBe(true);
    }
  });
});
