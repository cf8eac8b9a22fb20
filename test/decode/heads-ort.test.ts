/** Heads of every layout draft for a real model: the tokens are plain decoding's, and a prefix layer keeps in step. */
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, expect, test } from "vitest";
import { headsDrafter } from "../../src/decode/drafters/heads.js";
import { type DraftPolicy, decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import { type HeadsEngine, openHeads } from "../../src/runtime/heads-engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices } from "../../src/schema/choice.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const LAYOUTS = readdirSync(FIXTURES).filter((name) => /^(medusa|vllm|hydra)/.test(name));
const CPU = { provider: "cpu", threads: 1 };
const WIDE = [0, 1, 2, 3, 4, 5, 6, 7];
/** every token that a head lists, and more behind the first ones: of random heads some guess is right now and then */
const TREE = [
  ...WIDE.map((rank) => [rank]),
  ...WIDE.flatMap((rank) => [
    [0, rank],
    [1, rank],
    [5, rank],
  ]),
  [0, 1, 0],
  [5, 3, 7],
];
const PROMPT = [3, 17, 5, 22];
const NEW_TOKENS = 50;

let model: LoadedModel;
beforeAll(async () => {
  model = await loadModel(join(FIXTURES, "model"), { ...CPU, trees: true });
});
afterAll(() => model.close());

const continued = (policy: DraftPolicy | null) =>
  decode(model.engine, PROMPT, { maxTokens: NEW_TOKENS, endTokens: [], clock: systemClock, policy });

async function draftedWith(heads: HeadsEngine) {
  const drafter = headsDrafter(heads, TREE);
  const policy = Object.assign(() => ({ drafter, draftTokens: 3 }), { drafters: [drafter] });
  return continued(policy);
}

test.each(LAYOUTS)("%s: plain decoding's tokens, in fewer rounds", async (layout) => {
  const heads = await openHeads(join(FIXTURES, layout), model, { ...CPU, ranks: WIDE.length });
  const { ids, rounds } = await draftedWith(heads);
  heads.close();
  expect(ids).toEqual((await continued(null)).ids);
  expect(rounds.some(({ nodes }) => nodes === TREE.length)).toBe(true);
  expect(rounds.reduce((sum, { accepted }) => sum + accepted, 0)).toBeGreaterThan(0);
});

test("after a generation a prefix layer knows the text as one that was told it at once", async () => {
  const open = () => openHeads(join(FIXTURES, "hydra-prefix"), model, { ...CPU, lmHead: "target", logits: true });
  const [heads, fresh] = [await open(), await open()];
  const { ids, rounds } = await draftedWith(heads);
  const { context } = rounds[rounds.length - 1]; // the last round's own tokens are not told any more
  const text = [...PROMPT, ...ids].slice(0, context);
  const choices = targetChoices(model.spec.layers);
  const { hidden } = model.engine.run({ position: 0, input: text, choices, logitRows: 0 });
  fresh.states?.(0, hidden);
  const state = hidden.slice(-model.spec.hiddenSize);
  for (const one of [heads, fresh]) one.guess(state, 0, [ids[ids.length - 1]]);
  const expected = Array.from(fresh.logits());
  heads.logits().forEach((logit, token) => {
    expect(logit).toBeCloseTo(expected[token], 3);
  });
  heads.close();
  fresh.close();
  expect(rounds.some(({ accepted }) => accepted > 0)).toBe(true);
});

test("closed heads say so, and closing twice is harmless", async () => {
  const heads = await openHeads(join(FIXTURES, "vllm"), model, CPU);
  heads.close();
  heads.close();
  expect(() => heads.guess(new Float32Array(model.spec.hiddenSize), 0, [])).toThrow("closed");
});
