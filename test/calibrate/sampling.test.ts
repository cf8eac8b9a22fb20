/** What the target writes when it is sampled is a sample of its distribution, whatever the seed. */
import { expect, test } from "vitest";
import { sampledContinuation } from "../../src/calibrate/sampling.js";
import { silentProgress } from "../../src/core/progress.js";
import type { Engine, Pass } from "../../src/runtime/engine.js";
import { fakeEngine } from "../support/fake-model.js";

const VOCAB = 1000;
const LIKELY = 5;
const CHANCE = 0.95;
const SEEDS = 200;

/** Whatever stands before, token 5 follows with chance 0.95, and the other 999 share the rest. */
function independentTokens(): Engine {
  const { engine } = fakeEngine();
  const row = new Float32Array(VOCAB).fill(Math.log((1 - CHANCE) / (VOCAB - 1)));
  row[LIKELY] = Math.log(CHANCE);
  return {
    ...engine,
    readCache: () => new Float32Array(),
    close: () => {},
    spec: { ...engine.spec, vocabSize: VOCAB, eosTokenIds: [] },
    run: ({ logitRows }: Pass) => ({
      logits: Float32Array.from({ length: logitRows * VOCAB }, (_, i) => row[i % VOCAB]),
      hidden: new Float32Array(),
    }),
  };
}

test("each of the first tokens is drawn as often as its probability says, over the seeds that prompts get", async () => {
  const engine = independentTokens();
  const texts: number[][] = [];
  for (let seed = 1; seed <= SEEDS; seed++)
    texts.push(await sampledContinuation(engine, [1, 2], 3, { temperature: 1, seed }, silentProgress));
  // binomial: 190 of 200 with a standard deviation of 3.1; 4.9 of them are passed once in a million
  const most = 4.9 * Math.sqrt(SEEDS * CHANCE * (1 - CHANCE));
  for (const place of [0, 1, 2]) {
    const likely = texts.filter((ids) => ids[place] === LIKELY).length;
    expect(Math.abs(likely - SEEDS * CHANCE), `token ${place}`).toBeLessThan(most);
    // chance 5e-5 a draw: three among 200 come up once in six million
    expect(texts.filter((ids) => ids[place] === VOCAB - 1).length).toBeLessThan(3);
  }
});
