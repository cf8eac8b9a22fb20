/** What a verification stores so that its figures can be found again from it. */
import { createHash } from "node:crypto";
import { describe, expect, test } from "vitest";
import { decode } from "../../src/decode/loop.js";
import { type ReferenceCache, verifyPlan } from "../../src/verify/index.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import { type Fake, fake, plain, plan, predicted, promptsOf, spec, speculating } from "./support.js";

const settings = { planPath: "plan.yaml", maxTokens: 41, pairs: 3 };
const drafting = plan(speculating(0, 512, 4));
const prompts = promptsOf(9, 30);
const naive = prompts.map(({ ids }) => naiveGreedy((text) => fakeNextToken(text, spec.vocabSize), ids, 41));
const digest = (lists: readonly (readonly number[])[]) =>
  createHash("sha256").update(JSON.stringify(lists)).digest("hex");

/** every third token of a prompt's output is another one */
const wrong: typeof decode = async (engine, prompt, options) => {
  const right = await decode(engine, prompt, options);
  return { ...right, ids: right.ids.map((id, i) => (i % 3 === 2 ? (id + 1) % spec.vocabSize : id)) };
};

describe("token ids", () => {
  test("of the reference are the target's own by an oracle, whatever the plan emits", async () => {
    for (const decoder of [decode, wrong]) {
      const result = await verifyPlan({ ...settings, ...fake(0.3), plan: drafting, prompts, decode: decoder });
      expect(result.prompts.map(({ reference_ids }) => reference_ids)).toEqual(naive);
      expect(result.reference_sha256).toBe(digest(naive));
    }
  });

  test("of the output are stored where they differ, and its digest always", async () => {
    const right = await verifyPlan({ ...settings, ...fake(0.3), plan: drafting, prompts });
    expect(right.prompts.map(({ output_ids }) => output_ids)).toEqual([undefined, undefined]);
    expect(right.output_sha256).toBe(right.reference_sha256);
    const changed = await verifyPlan({ ...settings, ...fake(0.3), plan: drafting, prompts, decode: wrong });
    const outputs = naive.map((ids) => ids.map((id, i) => (i % 3 === 2 ? (id + 1) % spec.vocabSize : id)));
    expect(changed.prompts.map(({ output_ids }) => output_ids)).toEqual(outputs);
    expect(changed.output_sha256).toBe(digest(outputs));
  });

  test("are those of the worst run where runs differ", async () => {
    let planned = 0;
    const second: typeof decode = (engine, prompt, options) =>
      options.policy !== null && ++planned === 2 ? wrong(engine, prompt, options) : decode(engine, prompt, options);
    const result = await verifyPlan({
      ...{ ...settings, ...fake(0.3), plan: drafting, prompts: promptsOf(9) },
      decode: second,
    });
    const [record] = result.prompts;
    expect(record).toMatchObject({ first_mismatch: 2, reference_ids: naive[0] });
    expect(record.output_ids?.[2]).toBe((naive[0][2] + 1) % spec.vocabSize);
  });
});

describe("the reference", () => {
  test("is whole before the decoder under test runs at all, and is not handed to it", async () => {
    const { engine, clock } = fake(0.3);
    let before = -1;
    const spy: typeof decode = (engineUnderTest, prompt, options) => {
      if (before === -1) before = engine.passes.length;
      expect(Object.keys(options).sort()).toEqual(["clock", "endTokens", "maxTokens", "policy", "progress"]);
      return decode(engineUnderTest, prompt, options);
    };
    const one = { prompts: promptsOf(9), plan: drafting, engine, clock };
    await verifyPlan({ ...settings, ...one, decode: spy });
    // the passes before it end with the prompt's and one for each token but the last, all of the target
    const passes = engine.passes.slice(before - 41, before);
    expect(passes.map(({ position, q }) => [position, q])).toEqual([
      [0, 9],
      ...Array.from({ length: 40 }, (_, i) => [9 + i, 1]),
    ]);
    expect(passes.every(({ choices }) => choices.blocks.every((choice) => choice === "target"))).toBe(true);
  });

  test("cannot be changed by what is judged: it is frozen", async () => {
    const references: ReferenceCache = new WeakMap();
    const model = fake(0);
    await verifyPlan({ ...settings, ...model, plan: drafting, prompts, references });
    const kept = [...(references.get(model.engine)?.values() ?? [])];
    expect(kept).toEqual(naive);
    expect(kept.every(Object.isFrozen)).toBe(true);
  });
});

describe("references shared by verifications", () => {
  const run = (model: Fake, references: ReferenceCache, changes: object = {}) =>
    verifyPlan({ ...settings, ...model, plan: drafting, prompts, references, pairs: 1, ...changes });
  const passesOf = async (model: Fake, work: () => Promise<unknown>) => {
    const before = model.engine.passes.length;
    await work();
    return model.engine.passes.length - before;
  };

  test("are decoded once on an engine: two prompts of 41 passes less", async () => {
    const model = fake(0.3);
    const references: ReferenceCache = new WeakMap();
    const first = await passesOf(model, () => run(model, references));
    const second = await passesOf(model, () => run(model, references));
    expect(first - second).toBe(2 * 41);
  });

  test("are not taken over from other limits or another engine, and still judge", async () => {
    const model = fake(0.3);
    const references: ReferenceCache = new WeakMap();
    await run(model, references);
    const shorter = await run(model, references, { maxTokens: 20 });
    expect(shorter.prompts[0].reference_ids).toEqual(naive[0].slice(0, 20));
    const ended = await run(model, references, { endTokens: [naive[0][7]] });
    expect(ended.prompts[0].reference_ids).toEqual(naive[0].slice(0, naive[0].indexOf(naive[0][7]) + 1));
    const other = fake(0.3);
    const lone = fake(0.3);
    const beside = await passesOf(other, () => run(other, references));
    expect(beside).toBe(await passesOf(lone, () => run(lone, new WeakMap())));
    expect(await run(model, references, { decode: wrong })).toMatchObject({ lossless: false });
  });
});

describe("figures can be found again", () => {
  const noisy = () => fake(0.3, { times: { ...fakeTimes, disturbance: (us, pass) => us * (1 + (pass % 7) / 10) } });
  const fakeTimes = { fixedUs: (q: number) => 90 + 10 * q, headUs: () => 10, blockUs: () => 100 };

  test("the speedups from the pairs", async () => {
    const result = await verifyPlan({ ...settings, ...noisy(), plan: drafting, prompts });
    const found = result.prompts.map(({ pairs = [] }) => {
      const middle = (values: number[]) => [...values].sort((a, b) => a - b)[1];
      const plainUs = middle(pairs.map((pair) => pair.target_us / pair.tokens));
      const ratio = middle(pairs.map((pair) => pair.target_us / pair.plan_us));
      return { tokens: pairs[0].tokens, plainUs, ratio };
    });
    expect(result.prompts.map(({ pairs }) => pairs?.length)).toEqual([3, 3]);
    result.prompts.forEach(({ speedup }, i) => {
      expect(speedup).toBeCloseTo(found[i].ratio, 9);
    });
    const total = (of: (prompt: (typeof found)[number]) => number) =>
      found.reduce((sum, prompt) => sum + of(prompt), 0);
    const plainUs = total((p) => p.tokens * p.plainUs);
    expect(result.speedup.median).toBeCloseTo(plainUs / total((p) => (p.tokens * p.plainUs) / p.ratio), 9);
  });

  test("what the plan drafted behind an end token is in none of them", async () => {
    const [{ ids }] = promptsOf(9);
    const [text] = naive;
    const last = text.findIndex((id, i) => i > 1 && (i - 1) % 5 === 1 && text.indexOf(id) === i);
    const settingsHere = { ...settings, ...fake(0), plan: drafting, endTokens: [text[last]] };
    const result = await verifyPlan({ ...settingsHere, prompts: [{ name: "one", ids }] });
    const rounds = (last - 2) / 5 + 1; // full ones of 4 and a bonus, and one that ends at its second draft
    expect(result).toMatchObject({ tokens: last + 1, acceptance: 1, accepted_length: last / rounds });
    expect(result.by_context).toMatchObject([{ rounds, acceptance: 1, accepted_length: last / rounds }]);
    expect(result.by_position?.map(({ tried, accepted }) => [tried, accepted])).toEqual([
      ...new Array(2).fill([rounds, rounds]),
      ...(rounds > 1 ? new Array(2).fill([rounds - 1, rounds - 1]) : []),
    ]);
  });

  test("acceptance and its curve from the positions", async () => {
    const many = promptsOf(9, 30, 60, 90);
    const {
      acceptance,
      acceptance_curve,
      by_position = [],
    } = await verifyPlan({
      ...{ ...settings, ...fake(0.3), plan: drafting, prompts: many },
    });
    const sum = (key: "tried" | "accepted") => by_position.reduce((total, record) => total + record[key], 0);
    expect(by_position.map(({ position }) => position)).toEqual([1, 2, 3, 4]);
    expect(acceptance).toBeCloseTo(sum("accepted") / sum("tried"), 12);
    let product = 1;
    by_position.forEach(({ tried, accepted }, i) => {
      product *= accepted / tried;
      expect(acceptance_curve?.[i + 1]).toBeCloseTo(product, 12);
    });
  });

  test("a context's speedup from its rates, beside the one predicted there", async () => {
    const forecast = predicted({ step: 710, tokensPerSecond: 2000 });
    const segments = plan(speculating(0, 49, 4, forecast), plain(49, 512));
    const { by_context } = await verifyPlan({ ...settings, ...fake(0), plan: segments, prompts: promptsOf(29) });
    expect(by_context.map(({ predicted_speedup }) => predicted_speedup)).toEqual([1.42, 1]);
    for (const { speedup, measured_tokens_per_second, target_tokens_per_second } of by_context)
      expect(speedup).toBeCloseTo(measured_tokens_per_second / (target_tokens_per_second ?? 0), 12);
  });
});

test("a plan that drafts nothing has no positions, and one pair of equal times a prompt", async () => {
  const { by_position, prompts: records } = await verifyPlan({
    ...{ ...settings, ...fake(0), plan: plan(plain(0, 512)), prompts },
  });
  expect(by_position).toEqual([]);
  for (const { pairs = [] } of records) {
    expect(pairs).toHaveLength(1);
    expect(pairs[0].target_us).toBe(pairs[0].plan_us);
  }
});
