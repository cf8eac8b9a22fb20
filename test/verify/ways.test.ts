/** Ways over several engines by turns: each judged by its own target, and in an order that favours none. */
import { expect, test } from "vitest";
import { DRAFTERS } from "../../src/decode/drafters/index.js";
import { type DecodeOptions, decode } from "../../src/decode/loop.js";
import type { Clock, Engine } from "../../src/runtime/engine.js";
import { waysByTurns } from "../../src/verify/index.js";
import { tableEngine } from "../support/table-engine.js";

const clock: Clock = { nowUs: () => 0 };
const prompts = [1, 2, 3, 4, 5].map((id) => ({ name: `p${id}`, ids: [id, 3, id + 2, 1] }));
const lookup = { drafter: DRAFTERS.lookup({ ngramTokens: { min: 1, max: 3 } }), draftTokens: 3 };
const limits = { maxTokens: 12, endTokens: [], pairs: 2, untilUs: null };
const [one, other] = [tableEngine({ vocab: 11, seed: 1 }), tableEngine({ vocab: 11, seed: 2 })];
const ways = [
  { engine: one, policy: null },
  { engine: one, policy: () => lookup },
  { engine: other, policy: null },
  { engine: other, policy: () => lookup },
];

test("every way gives its own target's tokens, and the two targets give others", async () => {
  const turns = await waysByTurns({ clock, ways, prompts, ...limits });
  expect(turns).toHaveLength(prompts.length);
  for (const { runs, verdicts, reference } of turns) {
    expect(verdicts.every(({ firstMismatch, ties }) => firstMismatch === null && ties.length === 0)).toBe(true);
    const ids = runs.map((turn) => turn.map((run) => run.ids.join()));
    expect(new Set([...ids[0], ...ids[1]])).toEqual(new Set([reference.join()]));
    expect(new Set([...ids[2], ...ids[3]]).size).toBe(1);
  }
  expect(turns.some(({ runs }) => runs[0][0].ids.join() !== runs[2][0].ids.join())).toBe(true);
});

test("a way that decodes by another target than its own is found", async () => {
  const faulty = (engine: Engine, ids: readonly number[], options: DecodeOptions) =>
    decode(engine === other && options.policy !== null ? one : engine, ids, options);
  const turns = await waysByTurns({ clock, ways, prompts, ...limits, decode: faulty as typeof decode });
  const wrong = (way: number) => turns.filter(({ verdicts }) => verdicts[way].firstMismatch !== null).length;
  expect([wrong(0), wrong(1), wrong(2)]).toEqual([0, 0, 0]);
  expect(wrong(3)).toBeGreaterThan(0);
});

test("each way begins as many turns as any other, and time that is up ends it after a prompt", async () => {
  const order: string[] = [];
  const noted = (engine: Engine, ids: readonly number[], options: DecodeOptions) => {
    if (options.maxTokens === limits.maxTokens)
      order.push(`${engine === one ? "a" : "b"}${options.policy === null ? 0 : 1}`);
    return decode(engine, ids, options);
  };
  const four = prompts.slice(0, 4);
  await waysByTurns({ clock, ways, prompts: four, ...limits, pairs: 1, decode: noted as typeof decode });
  expect(order.filter((_, i) => i % 4 === 0).sort()).toEqual(["a0", "a1", "b0", "b1"]);
  let now = 0;
  const ticking: Clock = { nowUs: () => now++ };
  expect(await waysByTurns({ clock: ticking, ways, prompts, ...limits, untilUs: 1 })).toHaveLength(1);
});
