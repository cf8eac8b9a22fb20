/** Early exits of the embedded model: acceptance against drafting position by position, proposals against all exits. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Continuation, continuePrompts } from "../../src/calibrate/continuation.js";
import { evaluateDraft } from "../../src/calibrate/evaluate.js";
import { silentProgress } from "../../src/core/progress.js";
import { del, earlyExit, exitAcceptance, exitAfter } from "../../src/methods/early-exit.js";
import type { MethodRequest } from "../../src/methods/types.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type ChoiceSet, choiceKey } from "../../src/schema/choice.js";

const LAYERS = 12;
let model: LoadedModel;
let texts: Continuation[];
/** [2 texts][L + 1] share of positions where stopping after so many layers gives the target's token */
let acceptance: number[][];

beforeAll(async () => {
  model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 128 });
  const prompts = [
    [0, 53, 219, 718, 1021, 77, 300, 12],
    [0, 400, 12, 90],
  ];
  texts = await continuePrompts(model.engine, systemClock, prompts, 40, silentProgress);
  acceptance = [];
  for (const { prompt, ids } of texts) {
    const own: number[] = [];
    for (let kept = 0; kept <= LAYERS; kept++) {
      const set = exitAfter(LAYERS, kept);
      const all = [...prompt, ...ids.slice(0, -1)];
      const { draftTop1 } = await evaluateDraft(model.engine, all, prompt.length, () => set);
      own.push(draftTop1.filter((id, i) => id === ids[i + 1]).length / draftTop1.length);
    }
    acceptance.push(own);
  }
});
afterAll(() => model.close());

/** Layers that a proposed draft keeps. */
const keptOf = ({ blocks }: ChoiceSet): number => blocks.filter((choice) => choice === "target").length / 2;

/** Expected tokens per time where a layer costs 1 and the head 4; a context makes layers dearer. */
function speed(set: ChoiceSet, atContext: number, alpha: number): number {
  return (1 + alpha) / (4 + keptOf(set) * (1 + atContext / 100) + 2 * LAYERS);
}

const request = (): MethodRequest =>
  ({
    engine: model.engine,
    progress: silentProgress,
    contexts: [
      { atContext: 8, continuations: [texts[0]] },
      { atContext: 400, continuations: [texts[1], texts[0]] },
    ],
    speed,
  }) as unknown as MethodRequest;

/** [contexts][L] */
const speeds = (): number[][] =>
  [8, 400].map((at, c) =>
    acceptance[c].slice(0, LAYERS).map((alpha, kept) => speed(exitAfter(LAYERS, kept), at, alpha)),
  );

describe("early exits", () => {
  test("are accepted as often as when each position is drafted by itself; all layers always", async () => {
    for (const [i, text] of texts.entries()) {
      const found = await exitAcceptance(model.engine, [text], { progress: silentProgress });
      expect(found).toEqual(acceptance[i]);
      expect(found[LAYERS]).toBe(1);
    }
    const both = await exitAcceptance(model.engine, texts, { progress: silentProgress });
    const counts = texts.map(({ ids }) => ids.length - 1);
    both.forEach((share, kept) => {
      const hits = acceptance[0][kept] * counts[0] + acceptance[1][kept] * counts[1];
      expect(share).toBeCloseTo(hits / (counts[0] + counts[1]), 9);
    });
    expect(await exitAcceptance(model.engine, [], { progress: silentProgress })).toEqual(new Array(LAYERS + 1).fill(0));
  });

  test("of DEL are the three of most tokens per time at each context", async () => {
    const proposed = await del(request());
    for (const [c, at] of [8, 400].entries()) {
      const own = proposed.filter(({ atContext }) => atContext === at).map(({ set }) => speeds()[c][keptOf(set)]);
      const best = [...speeds()[c]].sort((a, b) => b - a).slice(0, 3);
      expect(own).toEqual(best);
    }
  });

  test("of early-exit are one for all contexts, of the greatest product of speeds", async () => {
    const proposed = await earlyExit(request());
    expect(new Set(proposed.map(({ set }) => choiceKey(set))).size).toBe(1);
    expect(proposed.map(({ atContext }) => atContext)).toEqual([8, 400]);
    const [short, long] = speeds();
    const products = short.map((value, kept) => value * long[kept]);
    expect(products[keptOf(proposed[0].set)]).toBe(Math.max(...products));
  });
});
