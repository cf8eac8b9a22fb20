/** A draft with a cache of its own on the real runtime, beside a float64 twin that runs the draft alone. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { standaloneDrafter } from "../../src/decode/drafters/standalone.js";
import { decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import type { ChoiceSet } from "../../src/schema/choice.js";
import { openSubject, randomChoices, type Subject, TOLERANCE, tokens } from "../runtime/support.js";
import type { TinyModel } from "../support/tiny-checkpoint.js";

const PROMPTS = 20;
const NEW = 24;

const MODELS: [string, TinyModel][] = [
  ["llama", { seed: 31, headDim: 16, layers: 3 }],
  [
    "mistral, a window shorter than the text",
    { seed: 32, headDim: 16, layers: 3, architecture: "mistral", slidingWindow: 9 },
  ],
  ["qwen3", { seed: 33, headDim: 16, layers: 3, architecture: "qwen3" }],
];

describe.each(MODELS)("%s", (_name, tiny) => {
  let subject: Subject;
  let engine: Engine;
  let own: Engine;

  beforeAll(async () => {
    subject = await openSubject(tiny);
    engine = subject.engine;
    own = engine.withOwnCache?.() as Engine;
  });
  afterAll(() => engine?.close());

  test(`${PROMPTS} prompts, each with another draft: the target's own tokens, and the twin's keys, values and drafts`, async () => {
    const cache = new OwnCache(own);
    let [drafted, accepted, worst, worstDraft] = [0, 0, 0, 0];
    for (let prompt = 0; prompt < PROMPTS; prompt++) {
      const ids = tokens(100 + prompt, 1 + (prompt % 11));
      const choices = randomChoices(prompt, subject.engine.spec.layers, ["target", "target", "skip"]);
      const skipped = (block: number) => choices.blocks[block] === "skip";
      const options = { maxTokens: NEW, endTokens: [], clock: systemClock };
      const plain = await decode(engine, ids, { ...options, policy: null });
      const drafter = standaloneDrafter(choices, cache);
      let last: { text: readonly number[]; tokens: readonly number[] } = { text: [], tokens: [] };
      const watched = {
        ...drafter,
        draft: (...[state, d]: Parameters<typeof drafter.draft>) => {
          const proposal = drafter.draft(state, d);
          last = { text: [...state.text], tokens: proposal.tokens };
          return proposal;
        },
      };
      const policy = () => ({ drafter: watched, draftTokens: 1 + (prompt % 5) });
      const { ids: found, rounds } = await decode(engine, ids, { ...options, policy });
      expect(found).toEqual(plain.ids);
      const held = [...last.text, ...last.tokens.slice(0, -1)];
      const twin = subject.twin(held, skipped);
      worst = Math.max(worst, cacheDistance(own, twin.keys, twin.values, held.length));
      last.tokens.forEach((token, i) => {
        const logits = twin.logits[last.text.length - 1 + i];
        worstDraft = Math.max(worstDraft, Math.max(...logits) - logits[token]);
      });
      const counts = acceptanceOf(rounds);
      drafted += counts.drafted;
      accepted += counts.accepted;
    }
    expect(worst).toBeLessThan(TOLERANCE);
    expect(worstDraft).toBeLessThan(TOLERANCE); // its most likely token, or a tie
    expect(accepted).toBeGreaterThan(0);
    expect(accepted).toBeLessThan(drafted);
  });

  test("passes of one engine leave the other's keys and values as they are", () => {
    const [text, other] = [tokens(1, 20), tokens(2, 20)];
    const run = (on: Engine, input: number[], choices: ChoiceSet) =>
      on.run({ position: 0, input, choices, logitRows: 1 }).logits.slice();
    run(engine, text, subject.target);
    const skipping = randomChoices(5, engine.spec.layers, ["target", "skip"]);
    run(own, other, skipping);
    const twin = subject.twin(text);
    expect(cacheDistance(engine, twin.keys, twin.values, 20)).toBeLessThan(TOLERANCE);
    const theirs = subject.twin(other, (block) => skipping.blocks[block] === "skip");
    expect(cacheDistance(own, theirs.keys, theirs.values, 20)).toBeLessThan(TOLERANCE);
    // and what one said stays valid while the other runs
    const said = engine.run({ position: 0, input: text, choices: subject.target, logitRows: 1 }).logits;
    const before = said.slice();
    run(own, text, skipping);
    expect(said).toEqual(before);
  });
});

test("closing one with a cache of its own leaves the first open; closing the first closes all", async () => {
  const { engine, target } = await openSubject(MODELS[0][1]);
  const pass = { position: 0, input: [1, 2], choices: target, logitRows: 1 };
  const [one, two] = [engine.withOwnCache?.() as Engine, engine.withOwnCache?.() as Engine];
  one.close();
  one.close();
  expect(() => one.run(pass)).toThrow(/closed/);
  expect(two.run(pass).logits).toHaveLength(engine.spec.vocabSize);
  engine.close();
  expect(() => two.run(pass)).toThrow(/closed/);
  expect(() => engine.withOwnCache?.()).toThrow(/closed/);
});

/** Greatest difference from the twin's keys and values; of attention that is skipped none are looked at. */
function cacheDistance(
  engine: Engine,
  keys: (number[] | undefined)[][],
  values: (number[] | undefined)[][],
  count: number,
): number {
  const { layers, kvHeads, headDim } = engine.spec;
  let worst = 0;
  for (let layer = 0; layer < layers; layer++) {
    for (const [part, twin] of [
      ["key", keys[layer]],
      ["value", values[layer]],
    ] as const) {
      const held = engine.readCache(layer, part, 0, count); // [kvHeads, count, headDim]
      for (let position = 0; position < count; position++) {
        const row = twin[position];
        if (row === undefined) continue;
        for (let i = 0; i < kvHeads * headDim; i++) {
          const at = (Math.floor(i / headDim) * count + position) * headDim + (i % headDim);
          worst = Math.max(worst, Math.abs(held[at] - row[i]));
        }
      }
    }
  }
  return worst;
}
