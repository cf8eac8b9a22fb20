/** SWIFT's trials share one cache; each must be measured as if it were the only one. */
import { afterAll, beforeAll, expect, test } from "vitest";
import { type Continuation, continuePrompts, fillCache, spansBackwards } from "../../src/calibrate/continuation.js";
import { acceptedOf, draftPass } from "../../src/calibrate/draft-pass.js";
import { silentProgress } from "../../src/core/progress.js";
import { swift } from "../../src/methods/swift.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { ChoiceSet } from "../../src/schema/choice.js";
import { LONG } from "../support/long.js";

const PROMPT = [0, 53, 219, 718, 1021, 77, 300, 12];
/** of the search; tokens of a round when a set is tried */
const ROUND = 8;
let model: LoadedModel;
let text: Continuation;

beforeAll(async () => {
  model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 256 });
  [text] = await continuePrompts(model.engine, systemClock, [PROMPT], 32, silentProgress);
});
afterAll(() => model.close());

/** Accepted tokens over draft steps, with nothing but the target's states in the cache before. */
async function alone(choices: ChoiceSet): Promise<number> {
  await fillCache(model.engine, text, silentProgress);
  let [hits, steps] = [0, 0];
  for (const span of spansBackwards(text, ROUND)) {
    const round = draftPass(model.engine, text, span, choices, null);
    const accepted = acceptedOf(round.hits);
    hits += accepted;
    steps += Math.min(accepted + 1, round.hits.length);
  }
  return hits / steps;
}

test("a trial's acceptance does not depend on the trials before it", async () => {
  const tried: { set: ChoiceSet; alpha: number }[] = [];
  await swift({
    engine: model.engine,
    latency: { blockUs: () => 1, draftUs: () => 1 },
    speed: (set, _, alpha) => {
      tried.push({ set, alpha });
      return 1 + alpha;
    },
    contexts: [{ atContext: PROMPT.length, continuations: [text] }],
    progress: silentProgress,
    seed: 1,
  });
  expect(tried.length).toBeGreaterThan(20);
  for (const { set, alpha } of tried.filter((_, i) => LONG || i % 4 === 3))
    expect(alpha).toBeCloseTo(await alone(set), 9);
});
