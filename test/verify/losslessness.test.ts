import { describe, expect, test } from "vitest";
import type { Decoded } from "../../src/decode/loop.js";
import { decode } from "../../src/decode/loop.js";
import type { Engine, Pass, PassResult } from "../../src/runtime/engine.js";
import { argmax } from "../../src/runtime/engine.js";
import { targetChoices } from "../../src/schema/choice.js";
import { CPU_NUMERICS, FP16_NUMERICS, type Numerics } from "../../src/schema/numerics.js";
import { type VerifyPrompt, verifyPlan } from "../../src/verify/index.js";
import { expectFailure } from "../support/failure.js";
import { FAULTS, faultyDecode } from "./faulty-decoders.js";
import { type Fake, fake, plain, plan, promptsOf, spec, speculating } from "./support.js";

const settings = { planPath: "plan.yaml", maxTokens: 40, pairs: 1 };

describe("a planted fault", () => {
  const verify = (decoder: typeof decode, missRate: number) => {
    const { engine, clock } = fake(missRate);
    return verifyPlan({
      ...settings,
      engine,
      clock,
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9, 30),
      decode: decoder,
    });
  };

  test("is what the tests below see: the same decoder without one is lossless", async () => {
    expect(await verify(faultyDecode("none"), 0.3)).toMatchObject({ lossless: true, ties: 0, tokens: 80 });
    expect(await verify(decode, 0.3)).toMatchObject({ lossless: true, ties: 0, tokens: 80 });
  });

  test.each(FAULTS)("is caught: %s", async (fault) => {
    const { lossless, prompts } = await verify(faultyDecode(fault), 0.3);
    expect(lossless).toBe(false);
    for (const { first_mismatch } of prompts) expect(first_mismatch).not.toBeNull();
  });

  test("is placed at the token where the output goes wrong", async () => {
    const mismatch = async (fault: (typeof FAULTS)[number]) =>
      (await verify(faultyDecode(fault), 0.3)).prompts[0].first_mismatch;
    expect(await mismatch("one token changed")).toBe(39);
    expect(await mismatch("cut short")).toBe(37);
    expect(await mismatch("runs on")).toBe(40);
  });

  test("is caught where a decoder copies the first tokens of the right output only", async () => {
    const late: typeof decode = async (engine, prompt, options) => {
      const right = await decode(engine, prompt, { ...options, policy: null });
      const ids = right.ids.map((id, i) => (i === 25 ? (id + 1) % spec.vocabSize : id));
      return { ...right, ids };
    };
    expect((await verify(late, 0)).prompts.map(({ first_mismatch }) => first_mismatch)).toEqual([25, 25]);
  });

  test("is caught in a later pair too", async () => {
    let runs = 0;
    const fifth: typeof decode = async (engine, prompt, options) => {
      const right = await decode(engine, prompt, options);
      runs += 1;
      return options.policy !== null && runs > 4
        ? { ...right, ids: right.ids.map((id) => (id + 1) % spec.vocabSize) }
        : right;
    };
    const { engine, clock } = fake(0);
    const options = { ...settings, pairs: 3, engine, clock, plan: plan(speculating(0, 512, 4)), prompts: promptsOf(9) };
    expect(await verifyPlan({ ...options, decode: fifth })).toMatchObject({ lossless: false });
  });
});

describe("a planted fault of the engine", () => {
  /** The fault strikes verification alone: a pass of several tokens behind a prompt. */
  const sabotaged = ({ engine }: Fake, change: (pass: Pass) => Pass): Engine =>
    Object.assign(Object.create(engine) as Engine, {
      run: (pass: Pass) => engine.run(pass.position > 0 && (pass.input as number[]).length > 1 ? change(pass) : pass),
    });

  test.each([
    {
      name: "a verification one position too early",
      change: (pass: Pass) => ({ ...pass, position: pass.position - 1 }),
    },
    {
      name: "a verification that runs the draft",
      change: (pass: Pass) => ({ ...pass, choices: { blocks: pass.choices.blocks, head: "int8" as const } }),
    },
  ])("is caught: $name", async ({ change }) => {
    const model = fake(0.4);
    const engine = sabotaged(model, change);
    const options = {
      ...settings,
      engine,
      clock: model.clock,
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9, 30),
    };
    expect(await verifyPlan(options)).toMatchObject({ lossless: false });
  });
});

/**
 * An engine whose second-best token, at every seventh position, lies `margin` below the best in passes of one token
 * and just above it in passes of several, as rounding does it.
 */
function rounding({ engine }: Fake, margin: number): Engine {
  const blur = (pass: Pass, { logits, hidden }: PassResult): PassResult => {
    const q = (pass.input as number[]).length;
    for (let row = 0; row < pass.logitRows; row++) {
      if ((pass.position + q - pass.logitRows + row + 1) % 7 !== 0) continue;
      const best = argmax(logits, row, spec.vocabSize);
      const second = row * spec.vocabSize + ((best + 1) % spec.vocabSize);
      logits[second] = 10 + (q > 1 ? 1e-4 : -margin);
    }
    return { logits, hidden };
  };
  return Object.assign(Object.create(engine) as Engine, { run: (pass: Pass) => blur(pass, engine.run(pass)) });
}

describe("a tie", () => {
  const verify = async (
    margin: number,
    {
      numerics = CPU_NUMERICS,
      ...changes
    }: { endTokens?: number[]; prompts?: VerifyPrompt[]; numerics?: Numerics } = {},
  ) => {
    const model = fake(0, { numerics });
    const engine = rounding(model, margin);
    return verifyPlan({
      ...settings,
      engine,
      clock: model.clock,
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(8, 30),
      ...changes,
    });
  };

  test("within 1e-3 is counted and lossless, and the output is judged on its own prefix from there on", async () => {
    const { lossless, ties, prompts } = await verify(5e-4);
    expect(lossless).toBe(true);
    // of 40 positions every seventh was decided by a verification
    for (const record of prompts) {
      expect(record.ties).toBeGreaterThanOrEqual(5);
      expect(record.ties).toBeLessThanOrEqual(6);
      expect(record.worst_margin).toBeCloseTo(5e-4, 5);
      expect(record.first_mismatch).toBeNull();
    }
    expect(ties).toBe(prompts.reduce((sum, record) => sum + record.ties, 0));
  });

  test("for a target in fp16 is counted within four spacings of its logits, and no further", async () => {
    const half = (margin: number) => verify(margin, { numerics: FP16_NUMERICS });
    expect(await half(0.05)).toMatchObject({ lossless: true });
    expect((await half(0.05)).ties).toBeGreaterThan(0);
    expect(await half(0.07)).toMatchObject({ lossless: false });
    expect(await verify(0.05)).toMatchObject({ lossless: false });
  });

  test("of two equal maxima is a tie of margin 0", async () => {
    const { lossless, ties, prompts } = await verify(0);
    expect({ lossless, margin: Math.max(...prompts.map(({ worst_margin }) => worst_margin)) }).toEqual({
      lossless: true,
      margin: 0,
    });
    expect(ties).toBeGreaterThan(0);
  });

  test("beyond 1e-3 is none: the output is wrong there", async () => {
    const { lossless, ties, prompts } = await verify(2e-3);
    expect({ lossless, ties }).toEqual({ lossless: false, ties: 0 });
    expect(prompts[0].worst_margin).toBeCloseTo(2e-3, 5);
  });

  test("that ends the plan's output early is lossless, and speed is compared a token", async () => {
    const { prompt, outputs, parting } = await partingAtANewToken();
    const endTokens = [outputs.plan.ids[parting]];
    const { lossless, ties, prompts, speedup } = await verify(5e-4, { endTokens, prompts: [prompt] });
    expect({ lossless, ties, tokens: prompts[0].tokens }).toEqual({ lossless: true, ties: 1, tokens: parting + 1 });
    // a token each way, though plain decoding went on
    expect(outputs.plain.ids.indexOf(endTokens[0])).not.toBe(parting);
    expect(speedup.median).toBeGreaterThan(1);
    expect(speedup.median).toBeLessThan(3);
  });

  /** A prompt whose outputs part, after a few tokens, at a token that the plan's output has not had before. */
  async function partingAtANewToken() {
    for (const prompt of promptsOf(...Array.from({ length: 30 }, (_, i) => 8 + i))) {
      const outputs = await bothOutputs(5e-4, prompt.ids);
      const parting = outputs.plan.ids.findIndex((id, i) => id !== outputs.plain.ids[i]);
      if (parting > 4 && outputs.plan.ids.indexOf(outputs.plan.ids[parting]) === parting)
        return { prompt, outputs, parting };
    }
    throw new Error("no such prompt");
  }

  async function bothOutputs(margin: number, ids: readonly number[]): Promise<{ plain: Decoded; plan: Decoded }> {
    const model = fake(0);
    const engine = rounding(model, margin);
    const options = { maxTokens: 40, endTokens: [], clock: model.clock };
    const policy = () => ({
      choices: { blocks: targetChoices(3).blocks.map(() => "int8" as const), head: "int8" as const },
      draftTokens: 4,
    });
    return {
      plain: await decode(engine, ids, { ...options, policy: null }),
      plan: await decode(engine, ids, { ...options, policy }),
    };
  }
});

describe("an end token", () => {
  const greedy = async () => {
    const { engine, clock } = fake(0);
    return decode(engine, promptsOf(9)[0].ids, { maxTokens: 40, endTokens: [], policy: null, clock });
  };

  test("ends reference and output alike, wherever in a round it falls", async () => {
    const { ids } = await greedy();
    for (const last of [1, 2, 3, 4, 5, 11]) {
      const { engine, clock } = fake(0);
      const end = ids.indexOf(ids[last]);
      const options = {
        ...settings,
        engine,
        clock,
        plan: plan(speculating(0, 512, 4)),
        prompts: promptsOf(9),
        endTokens: [ids[last]],
      };
      expect(await verifyPlan(options)).toMatchObject({ lossless: true, tokens: end + 1 });
    }
  });

  test("as the first token leaves that prompt without a speedup, and all prompts are an error", async () => {
    const { ids } = await greedy();
    const options = { ...settings, plan: plan(speculating(0, 512, 4)), endTokens: [ids[0]] };
    const { prompts } = await verifyPlan({ ...options, ...fake(0), prompts: promptsOf(9, 30) });
    expect(prompts.map(({ tokens, speedup }) => ({ tokens, timed: speedup !== null }))[0]).toEqual({
      tokens: 1,
      timed: false,
    });
    await expectFailure(
      () => verifyPlan({ ...options, ...fake(0), prompts: promptsOf(9) }),
      "TEXT_TOO_SHORT",
      "first token",
    );
  });

  test("that a decoder ignores is caught", async () => {
    const { ids } = await greedy();
    const deaf: typeof decode = (engine, prompt, options) => decode(engine, prompt, { ...options, endTokens: [] });
    const end = ids.indexOf(ids[6]);
    const options = {
      ...settings,
      ...fake(0),
      plan: plan(speculating(0, 512, 4)),
      prompts: promptsOf(9),
      endTokens: [ids[6]],
    };
    const { lossless, prompts } = await verifyPlan({ ...options, decode: deaf });
    expect({ lossless, mismatch: prompts[0].first_mismatch }).toEqual({ lossless: false, mismatch: end + 1 });
  });
});

test.each([
  ["one past the vocabulary", spec.vocabSize],
  ["one below it", -1],
  ["between two", 1.5],
  ["none", Number.NaN],
])("a token that the model does not have is a mismatch at its place, not a failure: %s", async (_, token) => {
  const strange: typeof decode = async (engine, prompt, options) => {
    const right = await decode(engine, prompt, options);
    return options.policy === null ? right : { ...right, ids: right.ids.map((id, i) => (i === 17 ? token : id)) };
  };
  const options = { ...settings, plan: plan(speculating(0, 512, 4)), prompts: promptsOf(9), decode: strange };
  const { lossless, prompts } = await verifyPlan({ ...options, ...fake(0) });
  expect({ lossless, at: prompts[0].first_mismatch }).toEqual({ lossless: false, at: 17 });
});

test("logits that are no numbers are a failure of the runtime, not a verdict", async () => {
  const model = fake(0);
  const run = (pass: Pass) => {
    const result = model.engine.run(pass);
    result.logits.fill(Number.NaN);
    return result;
  };
  const engine = Object.assign(Object.create(model.engine) as Engine, { run });
  const options = { ...settings, engine, clock: model.clock, plan: plan(plain(0, 512)), prompts: promptsOf(9) };
  await expectFailure(() => verifyPlan(options), "RUNTIME_FAILED", "finite");
});
