import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  type Continuation,
  continuePrompts,
  fillCache,
  spansBackwards,
  traceTarget,
} from "../../src/calibrate/continuation.js";
import { acceptedOf, draftPass, firstChange, startingAt } from "../../src/calibrate/draft-pass.js";
import { measureByDrafting } from "../../src/calibrate/real-drafting.js";
import { measureDrafts, steadiedCurve } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { draftChain } from "../../src/decode/drafters/self.js";
import { decode, prefill } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { blockIndex, type ChoiceSet, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { fakeEngine } from "../support/fake-model.js";

const LAYERS = 12;
const PROMPT = [0, 53, 219, 718, 1021, 77, 300, 12];

/** The embedded model with some blocks skipped. */
function skipping(...blocks: [number, "attn" | "mlp"][]): ChoiceSet {
  const choices = [...targetChoices(LAYERS).blocks];
  for (const [layer, kind] of blocks) choices[blockIndex(layer, kind)] = "skip";
  return { blocks: choices, head: "target" };
}

const DRAFTS: [string, ChoiceSet][] = [
  ["two attentions skipped", skipping([5, "attn"], [7, "attn"])],
  ["an early MLP skipped", skipping([1, "mlp"])],
  [
    "ten blocks skipped",
    skipping(
      [2, "attn"],
      [3, "attn"],
      [4, "attn"],
      [5, "attn"],
      [6, "attn"],
      [2, "mlp"],
      [4, "mlp"],
      [5, "mlp"],
      [6, "mlp"],
      [8, "mlp"],
    ),
  ],
];

describe("one pass over a round stands for its draft steps (embedded model)", () => {
  let model: LoadedModel;
  let engine: Engine;
  let continuation: Continuation;

  beforeAll(async () => {
    model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 256 });
    engine = model.engine;
    [continuation] = await continuePrompts(engine, systemClock, [PROMPT], 48, silentProgress);
  });
  afterAll(() => model.close());

  test("the continuation is what plain decoding gives, though it was drafted", async () => {
    const plain = await decode(engine, PROMPT, {
      maxTokens: 49,
      endTokens: engine.spec.eosTokenIds,
      policy: null,
      clock: systemClock,
    });
    expect(continuation.ids).toEqual(plain.ids);
  });

  test.each(DRAFTS)("%s: hits of the pass are those of real steps, in every round", async (_, choices) => {
    await fillCache(engine, continuation, silentProgress);
    const seen: boolean[][] = [];
    for (const span of spansBackwards(continuation, 8))
      seen.push(draftPass(engine, continuation, span, choices, null).hits);
    for (const [i, span] of spansBackwards(continuation, 8).entries()) {
      // real drafting follows its own tokens; along the accepted prefix and at the first miss the two must agree
      const before = [...continuation.prompt, ...continuation.ids.slice(0, span.from)];
      await prefill(engine, before, targetChoices(LAYERS));
      const drafted = draftChain(engine, before.length, continuation.ids[span.from], choices, span.count).tokens;
      const hits = drafted.map((id, k) => id === continuation.ids[span.from + k + 1]);
      expect(acceptedOf(seen[i])).toBe(acceptedOf(hits));
    }
  });

  test.each(DRAFTS)(
    "%s: starting from the target's stored states changes neither hits nor overlap",
    async (_, choices) => {
      await fillCache(engine, continuation, silentProgress);
      const trace = await traceTarget(engine, continuation, silentProgress);
      for (const span of spansBackwards(continuation, 16)) {
        const stored = draftPass(engine, continuation, span, choices, trace);
        const whole = draftPass(engine, continuation, span, choices, null);
        expect(stored.hits).toEqual(whole.hits);
        expect(stored.overlaps.every((x) => x > 0 && x <= 1)).toBe(true);
      }
    },
  );

  test("the traced states are the target's own, and the target overlaps itself entirely", async () => {
    await fillCache(engine, continuation, silentProgress);
    const trace = await traceTarget(engine, continuation, silentProgress);
    const { hidden } = engine.run({
      position: PROMPT.length,
      input: continuation.ids.slice(0, -1),
      choices: targetChoices(LAYERS),
      logitRows: 0,
    });
    const last = trace.hidden[2 * LAYERS];
    expect(Math.max(...hidden.map((x, i) => Math.abs(x - last[i])))).toBeLessThan(1e-4);
    const headOnly = targetChoices(LAYERS);
    const [span] = spansBackwards(continuation, 16);
    const { hits, overlaps } = draftPass(engine, continuation, span, headOnly, trace);
    expect(hits.every(Boolean)).toBe(true);
    expect(Math.min(...overlaps)).toBeGreaterThan(0.9999);
  });

  test("the order of drafts does not matter: no draft leaves anything behind for the next", async () => {
    const sets = DRAFTS.map(([, choices]) => choices);
    const forth = await measureDrafts(engine, [continuation], sets, 8, silentProgress);
    const back = await measureDrafts(engine, [continuation], [...sets].reverse(), 8, silentProgress);
    expect(forth).toEqual([...back].reverse());
  });

  test("a draft that is the target is accepted always, a ruinous one rarely", async () => {
    const drafts = [targetChoices(LAYERS), uniformChoices(LAYERS, "skip")];
    const [target, nothing] = await measureDrafts(engine, [continuation], drafts, 8, silentProgress);
    expect(target.positions.every((hit) => hit === 1)).toBe(true);
    // half a miss among so many positions, and no more
    const { tokens } = target;
    for (const [i, a] of target.curve.entries()) expect(a).toBeCloseTo((tokens / (tokens + 0.5)) ** i, 5);
    expect(nothing.curve[1]).toBeLessThan(0.2);
    const real = await measureByDrafting(
      engine,
      systemClock,
      [PROMPT],
      { choices: drafts[0], draftTokens: 4 },
      24,
      silentProgress,
    );
    expect(real.curve).toEqual([1, 1, 1, 1, 1]);
  });
});

describe("real drafting of a text that ends in the middle of a draft", () => {
  test("counts no position behind its end token", async () => {
    const draft = { choices: uniformChoices(3, "int8"), draftTokens: 6 };
    let found = 0;
    for (let id = 0; id < 40; id++) {
      const { engine, clock } = fakeEngine({ missRate: 0.1 });
      const whole = await decode(engine, [id], { maxTokens: 60, endTokens: [], policy: () => draft, clock });
      // a token that the second round's draft got right ends the text; the round before is as it was
      const [first, second] = whole.rounds;
      const end = whole.ids[first.emitted + 1];
      if (whole.ids.indexOf(end) !== first.emitted + 1 || second.accepted < 1) continue;
      const ending = fakeEngine({ missRate: 0.1, eosTokenIds: [end] });
      const { curve } = await measureByDrafting(ending.engine, ending.clock, [[id]], draft, 60, silentProgress);
      expect(curve).toEqual(steadiedCurve([first, { drafted: 1, accepted: 1 }], 6));
      found++;
    }
    expect(found).toBeGreaterThan(10);
  });
});

describe("starting a draft late", () => {
  test("begins at the first block that differs, at the head where none does", () => {
    expect(firstChange(skipping([5, "mlp"], [7, "attn"]))).toBe(11);
    expect(firstChange({ blocks: targetChoices(3).blocks, head: "int8" })).toBe(6);
    expect(startingAt(skipping([0, "mlp"]), 1).blocks.slice(0, 3)).toEqual(["skip", "skip", "target"]);
  });
});

describe("spans", () => {
  test("run from the end to the beginning and cover every prediction once", () => {
    const spans = spansBackwards({ prompt: [1], ids: new Array(21).fill(5) }, 8);
    expect(spans).toEqual([
      { from: 16, count: 4 },
      { from: 8, count: 8 },
      { from: 0, count: 8 },
    ]);
  });
});

describe("a steadied curve", () => {
  test("is the raw share where all agree, and is drawn to the pooled rate where few rounds reach", () => {
    const always = Array.from({ length: 5 }, () => ({ drafted: 3, accepted: 3 }));
    expect(steadiedCurve(always, 3)).toEqual([1, 1, 1, 1]);
    // 10 rounds, 5 accept none, 5 accept all of 2: pooled 10 of 15 tried; c1 = (5 + 8·2/3)/18, c2 = (5 + 8·2/3)/13
    const mixed = [
      ...new Array(5).fill({ drafted: 2, accepted: 0 }),
      ...new Array(5).fill({ drafted: 2, accepted: 2 }),
    ];
    const pooled = 8 * (10 / 15);
    const first = (5 + pooled) / 18;
    const curve = steadiedCurve(mixed, 3);
    expect(curve[1]).toBeCloseTo(first, 5);
    expect(curve[2]).toBeCloseTo((first * (5 + pooled)) / 13, 5);
    // no round reached a third token: the pooled rate stands in
    expect(curve[3]).toBeCloseTo((curve[2] * 10) / 15, 5);
  });
});
