/** Decoding on an engine that runs whole rounds by itself, against the same decoding pass by pass. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { chain, type Drafter } from "../../src/decode/drafters/drafter.js";
import { type Decoded, type DecodeOptions, decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Engine } from "../../src/runtime/engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const LAYERS = 3;
const PROMPT = [5, 9, 23, 40, 7];
const CPU = { provider: "cpu", threads: 1, kernels: ["target", "int8"] } as const;
const skipped = { ...targetChoices(LAYERS), blocks: ["target", "target", "skip", "target", "target", "skip"] as const };

/** Counts what is asked of an engine. */
function counting(engine: Required<Engine>): {
  engine: Engine;
  asked: Record<"run" | "likeliest" | "greedyRound", number>;
} {
  const asked = { run: 0, likeliest: 0, greedyRound: 0 };
  const counted = new Proxy(engine, {
    get(of, name) {
      const found = Reflect.get(of, name, of);
      if (typeof found !== "function") return found;
      if (typeof name !== "string" || !(name in asked)) return found.bind(of);
      return (...given: unknown[]) => {
        asked[name as keyof typeof asked] += 1;
        return found.apply(of, given);
      };
    },
  });
  return { engine: counted, asked };
}

/** Proposes two ways to go on, and writes down the states it is told. */
function treeDrafter(told: number[][]): Drafter {
  return {
    key: "two ways",
    draft: ({ text, hidden }, draftTokens) => {
      told.push([...(hidden ?? [])]);
      const guess = (7 * text.length) % 61;
      const whole = { tokens: [guess, (guess + 1) % 61, 3], parents: [null, null, 1] };
      return draftTokens > 1 ? whole : { tokens: whole.tokens.slice(0, 2), parents: [null, null] };
    },
    states: (position, hidden) => told.push([position, ...hidden]),
    costUs: () => 0,
  };
}

describe("greedy decoding", () => {
  let whole: LoadedModel;
  let stepwise: LoadedModel;
  beforeAll(async () => {
    const folder = writeTinyCheckpoint(temporaryFolder(), { layers: LAYERS, headDim: 16, seed: 11, eosTokenIds: [] });
    whole = await loadModel(folder, { ...CPU, graph: "programs" });
    stepwise = await loadModel(folder, { ...CPU, graph: "choices" });
  });
  afterAll(() => {
    whole?.close();
    stepwise?.close();
  });

  const run = (engine: Engine, options: Partial<DecodeOptions>): Promise<Decoded> =>
    decode(engine, PROMPT, { maxTokens: 40, endTokens: [], policy: null, clock: systemClock, ...options });
  const facts = ({ ids, finish, rounds }: Decoded) => ({
    ids,
    finish,
    rounds: rounds.map(({ context, nodes, drafted, accepted, emitted }) => [
      context,
      nodes,
      drafted,
      accepted,
      emitted,
    ]),
  });

  test.each([
    ["plain", null],
    ["of two blocks skipped", { choices: skipped, draftTokens: 4 }],
    ["of all blocks skipped", { choices: uniformChoices(LAYERS, "skip"), draftTokens: 1 }],
    ["of the target itself", { choices: targetChoices(LAYERS), draftTokens: 7 }],
  ])(
    "%s: tokens and rounds are those of passes one by one, and no logits are fetched but the prompt's",
    async (_what, request) => {
      const { engine, asked } = counting(whole.engine as Required<Engine>);
      const options = { policy: request && (() => request), endTokens: [58] };
      const decoded = await run(engine, options);
      expect(facts(decoded)).toEqual(facts(await run(stepwise.engine, options)));
      expect(asked.run).toBe(1);
      expect(asked.likeliest).toBe(0);
      for (const { draftUs, verifyUs, totalUs, drafted } of decoded.rounds) {
        expect(draftUs + verifyUs).toBeLessThanOrEqual(totalUs);
        expect(draftUs).toBeGreaterThanOrEqual(0);
        if (drafted > 0) expect(Math.min(draftUs, verifyUs)).toBeGreaterThan(0);
      }
    },
  );

  test("a tree is judged by its likeliest tokens, and the drafter is told the same states", async () => {
    const seen = [whole, stepwise].map(() => [] as number[][]);
    const { engine, asked } = counting(whole.engine as Required<Engine>);
    const decoded = await Promise.all(
      [engine, stepwise.engine].map((one, i) => {
        const drafter = treeDrafter(seen[i]);
        const policy = Object.assign(() => ({ drafter, draftTokens: 2 }), { drafters: [drafter] });
        return run(one, { policy });
      }),
    );
    expect(facts(decoded[0])).toEqual(facts(decoded[1]));
    expect(asked.run).toBe(1);
    expect(asked.likeliest).toBe(decoded[0].rounds.length - asked.greedyRound);
    expect(seen[0].length).toBe(seen[1].length);
    seen[0].forEach((numbers, i) => {
      expect(numbers.length).toBe(seen[1][i].length);
      numbers.forEach((number, j) => expect(number).toBeCloseTo(seen[1][i][j], 3));
    });
  });

  test.each([
    ["a repetition penalty", { temperature: 0, repetition_penalty: 1.3 }],
    ["sampling", { temperature: 0.9 }],
  ])("%s needs logits: every pass hands them over", async (_what, filters) => {
    const { engine, asked } = counting(whole.engine as Required<Engine>);
    const policy = () => ({ choices: skipped, draftTokens: 3 });
    const [a, b] = await Promise.all(
      [engine, stepwise.engine].map((one) => run(one, { policy, sampling: { filters, random: seededRandom(4) } })),
    );
    expect(facts(a)).toEqual(facts(b));
    expect([asked.likeliest, asked.greedyRound]).toEqual([0, 0]);
    expect(asked.run).toBeGreaterThan(a.rounds.length);
  });

  test("a chain of another drafter's is verified by its likeliest tokens", async () => {
    const { engine, asked } = counting(whole.engine as Required<Engine>);
    const drafter: Drafter = {
      key: "guess",
      draft: ({ text }, draftTokens) => chain([(5 * text.length) % 61, 2].slice(0, draftTokens)),
      costUs: () => 0,
    };
    const policy = () => ({ drafter, draftTokens: 2 });
    expect(facts(await run(engine, { policy }))).toEqual(facts(await run(stepwise.engine, { policy })));
    expect(asked.likeliest).toBeGreaterThan(0);
    expect(asked.run).toBe(1);
  });
});
