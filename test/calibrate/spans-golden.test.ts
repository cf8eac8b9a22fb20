/** Acceptance and overlap of drafts over spans against transformers with an attention mask (test/fixtures/spans/make.py). */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Continuation, fillCache, traceTarget } from "../../src/calibrate/continuation.js";
import { draftPass } from "../../src/calibrate/draft-pass.js";
import { silentProgress } from "../../src/core/progress.js";
import { argmax } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Choice, type ChoiceSet, spanned } from "../../src/schema/choice.js";
import { LONG } from "../support/long.js";

interface Golden {
  ids: number[];
  first: number;
  target_top1: number[];
  cases: {
    name: string;
    spans: (number | null)[];
    round_tokens: number;
    top1: number[];
    acceptance: number;
    mean_overlap: number;
  }[];
}

const golden = JSON.parse(readFileSync(new URL("../fixtures/spans/union-10m.json", import.meta.url), "utf8")) as Golden;

const choicesOf = (spans: readonly (number | null)[]): ChoiceSet => ({
  blocks: spans.flatMap((span): Choice[] => [span === null ? "target" : spanned("target", span), "target"]),
  head: "target",
});

describe("the embedded model", () => {
  let model: LoadedModel;
  // the text as a continuation of its first tokens: what the target would have written there does not matter
  const { ids, first } = golden;
  const continuation: Continuation = { prompt: ids.slice(0, first), ids: [...ids.slice(first), 0] };
  beforeAll(async () => {
    model = await loadModel("models/union-10m", {
      provider: "cpu",
      threads: 1,
      capacity: ids.length + 32,
      kernels: ["target"],
    });
  });
  afterAll(() => model?.close());

  // a pass of one token at a time takes three times as long, and one of the cases stands for them
  const [single, ...singles] = golden.cases.filter(({ round_tokens }) => round_tokens === 1);
  const several = golden.cases.filter(({ round_tokens }) => round_tokens > 1);
  test.each(LONG ? singles : [single, ...several])(
    "$name, rounds of $round_tokens",
    async ({ spans, round_tokens: size, top1, ...expected }) => {
      const { engine } = model;
      const { vocabSize } = engine.spec;
      await fillCache(engine, continuation, silentProgress);
      const trace = await traceTarget(engine, continuation, silentProgress);
      const choices = choicesOf(spans);
      const positions = ids.length - first;
      const found = new Array<number>(positions);
      const overlaps = new Array<number>(positions);
      for (let from = positions - (positions % size || size); from >= 0; from -= size) {
        const count = Math.min(size, positions - from);
        draftPass(engine, continuation, { from, count }, choices, trace).overlaps.forEach((overlap, i) => {
          overlaps[from + i] = overlap;
        });
        const input = ids.slice(first + from, first + from + count);
        const { logits } = engine.run({ position: first + from, input, choices, logitRows: count });
        for (let row = 0; row < count; row++) found[from + row] = argmax(logits, row, vocabSize);
      }
      const accepted = found.filter((token, i) => token === golden.target_top1[i]).length / positions;
      expect(Math.abs(accepted - expected.acceptance)).toBeLessThan(0.02);
      const mean = overlaps.reduce((sum, one) => sum + one, 0) / positions;
      expect(Math.abs(mean - expected.mean_overlap)).toBeLessThan(0.002);
      // a near tie may fall the other way where sums are in another order
      expect(found.filter((token, i) => token !== top1[i]).length).toBeLessThanOrEqual(1);
    },
  );
});
