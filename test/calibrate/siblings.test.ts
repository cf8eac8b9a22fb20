/** What calibration says of siblings is what decoding with them gives. */
import { describe, expect, test } from "vitest";
import { continuePrompts } from "../../src/calibrate/continuation.js";
import { measureByDrafting } from "../../src/calibrate/real-drafting.js";
import { siblingShares } from "../../src/calibrate/siblings.js";
import { measureDrafts } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { siblingDrafter } from "../../src/decode/drafters/self.js";
import { decode } from "../../src/decode/loop.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { fakeEngine } from "../support/fake-model.js";

test("of the rounds that come to their last token, each rank's share: counted by hand", () => {
  const texts = [[0, 3, 1, 0, 0, 9, 0, 1]];
  const shares = siblingShares(texts, 2) as number[][];
  const drawn = (count: number, reached: number, pooled: number) => (count + 8 * pooled) / (reached + 8);
  expect(shares).toHaveLength(2);
  // length 1: positions 0 (0, its own token 1 passed over), 2 (rank 1), 3 (0, 4 passed over), 5 (rank 9), 6 (0)
  // length 2: 0 (rank 3 at its end), 2 (rank 1 at once), 3 (0, 0), 6 (rank 1 at its end)
  const [ones, threes, total] = [2, 1, 5 + 3];
  expect(shares[0][0]).toBeCloseTo(drawn(1, 5, ones / total), 5);
  expect(shares[0][2]).toBeCloseTo(drawn(0, 5, threes / total), 5);
  expect(shares[1][0]).toBeCloseTo(drawn(1, 3, ones / total), 5);
  expect(shares[1][2]).toBeCloseTo(drawn(1, 3, threes / total), 5);
  expect(siblingShares([], 3)).toBeNull();
});

describe("the fake's drafts", () => {
  const VOCAB = 8;
  const int8 = uniformChoices(3, "int8");
  const random = seededRandom(9);
  const prompts = Array.from({ length: 40 }, () => Array.from({ length: 6 }, () => random.index(VOCAB)));
  const made = () => fakeEngine({ vocab: VOCAB, missRate: 0.5 });

  test("along text and by real drafting: as often as decoding with siblings accepts the last token", async () => {
    const TOKENS = 60;
    const { engine, clock } = made();
    const texts = await continuePrompts(engine, clock, prompts, TOKENS, silentProgress);
    const [along] = await measureDrafts(engine, texts, [int8], 4, silentProgress);
    for (const d of [1, 2, 3]) {
      const drafting = { choices: int8, draftTokens: d };
      const real = await measureByDrafting(engine, clock, prompts, drafting, TOKENS, silentProgress);
      for (const siblings of [1, 4]) {
        const drafter = siblingDrafter(int8, siblings);
        let [rounds, tokens] = [0, 0];
        for (const prompt of prompts) {
          const policy = () => ({ drafter, draftTokens: d });
          const decoded = await decode(engine, prompt, { maxTokens: TOKENS, endTokens: [], clock, policy });
          for (const { drafted, accepted } of decoded.rounds.filter((round) => round.drafted === d)) {
            if (accepted >= d - 1) rounds++;
            if (accepted === drafted) tokens++;
          }
        }
        for (const known of [along, real]) {
          const shares = (known.siblings?.[d - 1] ?? []).slice(0, siblings);
          const rate = known.curve[d] / known.curve[d - 1] + shares.reduce((sum, share) => sum + share, 0);
          // rounds go on otherwise behind a sibling; three standard errors and what small numbers are drawn together by
          expect(Math.abs(rate - tokens / rounds)).toBeLessThan(3 * Math.sqrt(0.25 / rounds) + 0.04);
        }
      }
    }
  });
});
