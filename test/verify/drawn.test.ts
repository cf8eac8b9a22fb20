/** A verification of drawn texts: right decoders pass it, and every planted fault of the accept rule fails it. */
import { describe, expect, test } from "vitest";
import { type DecodeOptions, decode } from "../../src/decode/loop.js";
import { systemClock } from "../../src/runtime/device.js";
import type { Filters } from "../../src/schema/sampling.js";
import { verifyPlan } from "../../src/verify/index.js";
import { trials } from "../support/long.js";
import { allInt8, handPlan } from "../support/plans.js";
import { tableEngine } from "../support/table-engine.js";
import { ACCEPT_FAULTS, type AcceptFault, faultyAccept } from "./faulty-accepts.js";

const VOCAB = 24;
const digests = { architectureSha256: "a".repeat(64), weightsSha256: "b".repeat(64) };
const plan = handPlan({ name: "table", layers: 2, ...digests, draft: allInt8, draftTokens: 3 });
const prompts = [
  { name: "one", ids: [1, 2, 3] },
  { name: "two", ids: [9, 4] },
];
const ALL: Filters = { temperature: 1.6, top_k: 4, top_p: 0.95, min_p: 0.05 };

function verify(filters: Filters, decoder: typeof decode, draws = trials(400, 5000), seed = 3) {
  const engine = tableEngine({ vocab: VOCAB, seed: 5, error: 1.5 });
  return verifyPlan({
    ...{ engine, clock: systemClock, plan, planPath: "plan.yaml", prompts, decode: decoder },
    ...{ maxTokens: 8, endTokens: [], pairs: 1, drawing: { filters, seed, draws } },
  });
}

const withFault = (fault: AcceptFault, filters: Filters): typeof decode => {
  let runs = 0;
  return (engine, prompt, options: DecodeOptions) =>
    decode(engine, prompt, { ...options, accept: faultyAccept(fault, filters, 1e6 + runs++) });
};

describe("a right decoder passes", () => {
  test.each([{ temperature: 1 }, ALL, { ...ALL, repetition_penalty: 1.5 }])("%j", async (filters) => {
    for (const decoder of [decode, withFault("none", filters)].slice(0, trials(filters === ALL ? 2 : 1, 2))) {
      const { lossless, distribution, sampling } = await verify(filters, decoder, trials(200, 5000));
      expect({ lossless, tests: distribution?.tests }).toEqual({ lossless: true, tests: expect.any(Array) });
      expect(sampling).toEqual({ ...filters, seed: 3 });
      // there is something to tell apart, in pairs more than in first tokens
      const [first, pairs, triples] = (distribution?.tests ?? []).map(({ freedom }) => freedom);
      expect([first > 2, pairs > first, triples > pairs]).toEqual([true, true, true]);
    }
  });
});

test.each(ACCEPT_FAULTS)("%s is caught", async (fault) => {
  const { lossless, distribution, reference_sha256, prompts: records } = await verify(ALL, withFault(fault, ALL));
  expect({ lossless, holds: distribution?.holds }).toEqual({ lossless: false, holds: false });
  expect([reference_sha256, ...records.map(({ reference_ids }) => reference_ids)]).toEqual([
    undefined,
    undefined,
    undefined,
  ]);
});

test("a token that the filters take away is caught wherever it is", async () => {
  const onlyOne: Filters = { temperature: 1, top_k: 1 };
  const strange: typeof decode = async (engine, prompt, options) => {
    const decoded = await decode(engine, prompt, options);
    const ids = decoded.ids.map((id, i) => (i === 6 ? (id + 1) % VOCAB : id));
    return { ...decoded, ids };
  };
  const { lossless, distribution, prompts: records } = await verify(onlyOne, strange, 20);
  expect({ lossless, holds: distribution?.holds }).toEqual({ lossless: false, holds: true });
  expect(records.map(({ first_mismatch }) => first_mismatch)).toEqual([6, 6]);
});

test("the same seed gives the same verification, another one other draws", async () => {
  const tests = async (seed: number) => (await verify(ALL, decode, 40, seed)).distribution?.tests;
  expect(await tests(4)).toEqual(await tests(4));
  expect(await tests(4)).not.toEqual(await tests(5));
});

test("of many prompts texts are drawn from four, evenly apart", async () => {
  const many = Array.from({ length: 9 }, (_, i) => ({ name: String(i), ids: [i, 2 * i, 1] }));
  const engine = tableEngine({ vocab: VOCAB, seed: 5 });
  const result = await verifyPlan({
    ...{
      engine,
      clock: systemClock,
      plan,
      planPath: "plan.yaml",
      prompts: many,
      maxTokens: 5,
      endTokens: [],
      pairs: 1,
    },
    drawing: { filters: { temperature: 1 }, seed: 1, draws: 30 },
  });
  expect(result.distribution).toMatchObject({ prompts: 4, draws: 30 });
});

test("greedily with a penalty: the reference has it too, and a decoder that forgets it is caught", async () => {
  const engine = tableEngine({ vocab: VOCAB, seed: 5 });
  const run = (decoder: typeof decode) =>
    verifyPlan({
      ...{ engine, clock: systemClock, plan, planPath: "plan.yaml", prompts, decode: decoder },
      ...{ maxTokens: 20, endTokens: [], pairs: 1, penalty: 2 },
    });
  expect(await run(decode)).toMatchObject({ lossless: true, sampling: { temperature: 0, repetition_penalty: 2 } });
  const forgetful: typeof decode = (of, prompt, { sampling: _, ...options }) => decode(of, prompt, options);
  expect((await run(forgetful)).lossless).toBe(false);
});
