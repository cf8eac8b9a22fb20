import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type DecodeOptions, type DraftPolicy, decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { type ChoiceSet, uniformChoices } from "../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import { expectFailure } from "../support/failure.js";
import { type FakeOptions, fakeEngine } from "../support/fake-model.js";
import { heldText } from "../support/held-text.js";
import { trials } from "../support/long.js";

const VOCAB = 50;
const int8 = (layers: number): ChoiceSet => uniformChoices(layers, "int8");
const naive = (prompt: readonly number[], maxTokens: number, endTokens: readonly number[] = []) =>
  naiveGreedy((ids) => fakeNextToken(ids, VOCAB), prompt, maxTokens, endTokens);

/** Decodes, and after every round compares the cache with that of a run that never drafted. */
async function decodeChecked(
  prompt: readonly number[],
  options: Partial<DecodeOptions> & { maxTokens: number },
  fake: FakeOptions = {},
) {
  const { engine, clock } = fakeEngine({ vocab: VOCAB, ...fake });
  const { text, check } = heldText(engine, prompt);
  let rollbacks = 0;
  const decoded = await decode(engine, prompt, {
    endTokens: [],
    policy: null,
    clock,
    ...options,
    onTokens(ids) {
      check(ids);
      rollbacks++;
    },
  });
  expect(text.slice(prompt.length)).toEqual(decoded.ids);
  expect(rollbacks).toBe(decoded.rounds.length + (decoded.ids.length > 0 ? 1 : 0));
  return { ...decoded, engine, clock };
}

const policyOf = (draftTokens: number, layers = 3): DraftPolicy => {
  const choices = int8(layers);
  return () => ({ choices, draftTokens });
};

describe("decoding with a draft gives what naive greedy decoding gives", () => {
  test.each([1, 2, 3, 5, 8, 16])(
    "drafting %i tokens, three in ten wrong, with every cell of the cache the target's own",
    async (draftTokens) => {
      const prompt = [3, 1, 4, 1, 5];
      const { ids, rounds } = await decodeChecked(prompt, { maxTokens: 120, policy: policyOf(draftTokens) });
      expect(ids).toEqual(naive(prompt, 120));
      const { drafted, accepted } = acceptanceOf(rounds);
      expect(accepted).toBeGreaterThan(0);
      expect(accepted).toBeLessThan(drafted);
    },
  );

  test.each([0, 0.5, 1])("when a share of %f of the drafts is wrong", async (missRate) => {
    const { ids, rounds } = await decodeChecked([7], { maxTokens: 60, policy: policyOf(4) }, { missRate });
    expect(ids).toEqual(naive([7], 60));
    if (missRate === 0) expect(acceptanceOf(rounds).acceptance).toBe(1);
    if (missRate === 1) expect(acceptanceOf(rounds).acceptance).toBe(0);
  });

  test("with any prompt, length, miss rate and draft length, plain stretches between", async () => {
    const cases = fc.record({
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 40 }),
      maxTokens: fc.nat(50),
      missRate: fc.double({ min: 0, max: 1, noNaN: true }),
      lengths: fc.array(fc.integer({ min: 0, max: 16 }), { minLength: 1, maxLength: 6 }),
      endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 2 }),
    });
    const choices = int8(3);
    await fc.assert(
      fc.asyncProperty(cases, async ({ prompt, maxTokens, missRate, lengths, endTokens }) => {
        const policy: DraftPolicy = (context) => {
          const draftTokens = lengths[context % lengths.length];
          return draftTokens === 0 ? null : { choices, draftTokens };
        };
        const { ids } = await decodeChecked(prompt, { maxTokens, endTokens, policy }, { missRate });
        expect(ids).toEqual(naive(prompt, maxTokens, endTokens));
      }),
      { seed: 20260, numRuns: trials(50, 150) },
    );
  });

  test("when the prompt needs several passes", async () => {
    const prompt = Array.from({ length: 1300 }, (_, i) => (i * 7) % VOCAB);
    const { ids } = await decodeChecked(prompt, { maxTokens: 20, policy: policyOf(3) }, { context: 2048 });
    expect(ids).toEqual(naive(prompt, 20));
  });
});

test("an end token among accepted drafts ends the output there", async () => {
  const expected = naive([9], 30);
  const end = expected[7];
  const { ids } = await decodeChecked([9], { maxTokens: 30, endTokens: [end], policy: policyOf(16) }, { missRate: 0 });
  expect(ids).toEqual(expected.slice(0, expected.indexOf(end) + 1));
});

describe("what lies behind the end of the output counts neither as drafted nor as accepted", () => {
  const d = 5;
  const text = naive([9], 40);
  /** counts of the last round where the output ends with the token at `last` and every draft is right */
  const endingAt = async (last: number) => {
    const options = { maxTokens: 40, endTokens: [text[last]], policy: policyOf(d) };
    const { ids, rounds } = await decodeChecked([9], options, { missRate: 0 });
    expect(ids).toEqual(text.slice(0, last + 1));
    return { rounds, ...acceptanceOf(rounds) };
  };
  // tokens that the text has not had before, so that the output ends there and nowhere else
  const fresh = (position: number) => {
    const at = text.findIndex((id, i) => i > 0 && (i - 1) % (d + 1) === position - 1 && text.indexOf(id) === i);
    expect(at).toBeGreaterThan(0);
    return at;
  };

  test.each([1, 2, 3, 4, 5])("an end token that was drafted at position %i", async (position) => {
    const { rounds, acceptance, acceptedLength } = await endingAt(fresh(position));
    const { nodes, drafted, accepted, emitted } = rounds[rounds.length - 1];
    expect([nodes, drafted, accepted, emitted]).toEqual([d, position, position, position]);
    // every draft was right: positions that nobody reads are no failures either
    expect(acceptance).toBe(1);
    expect(acceptedLength).toBe(((d + 1) * (rounds.length - 1) + position) / rounds.length);
  });

  test("an end token that is the bonus", async () => {
    const { rounds } = await endingAt(fresh(d + 1));
    expect(rounds[rounds.length - 1]).toMatchObject({ nodes: d, drafted: d, accepted: d, emitted: d + 1 });
  });

  test("an end token in the place of a wrong draft: that draft was rejected, those after it are not counted", async () => {
    const options = { maxTokens: 40, endTokens: [text[1]], policy: policyOf(d) };
    const { ids, rounds } = await decodeChecked([9], options, { missRate: 1 });
    expect(ids).toEqual(text.slice(0, 2));
    expect(rounds).toMatchObject([{ nodes: d, drafted: 1, accepted: 0, emitted: 1 }]);
    expect(acceptanceOf(rounds)).toMatchObject({ acceptance: 0, acceptedLength: 1, curve: [1, 0] });
  });

  test("whatever is drafted, rejected and ended", async () => {
    const cases = fc.record({
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 20 }),
      maxTokens: fc.nat(40),
      missRate: fc.constantFrom(0, 0.1, 0.5, 1),
      draftTokens: fc.integer({ min: 1, max: 16 }),
      endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ prompt, maxTokens, missRate, draftTokens, endTokens }) => {
        const options = { maxTokens, endTokens, policy: policyOf(draftTokens) };
        const { ids, rounds } = await decodeChecked(prompt, options, { missRate });
        for (const { nodes, drafted, accepted, emitted } of rounds) {
          expect([accepted <= drafted, drafted <= nodes, accepted <= emitted, emitted <= accepted + 1]).toEqual(
            new Array(4).fill(true),
          );
        }
        const last = rounds.at(-1);
        // the last position drafted is one of the output's
        if (last !== undefined) expect(last.context + last.drafted).toBeLessThan(prompt.length + ids.length);
        const { acceptedLength } = acceptanceOf(rounds);
        const speculative = rounds.filter((round) => round.nodes > 0);
        const emitted = speculative.reduce((sum, round) => sum + round.emitted, 0);
        expect(acceptedLength).toBe(speculative.length === 0 ? null : emitted / speculative.length);
      }),
      { seed: 20263, numRuns: trials(50, 150) },
    );
  });
});

test("nothing is decoded, but the prompt is run, where no token is asked for", async () => {
  const { ids, rounds, engine } = await decodeChecked([1, 2], { maxTokens: 0 });
  expect({ ids, rounds, passes: engine.passes.length }).toEqual({ ids: [], rounds: [], passes: 1 });
});

test("the first token comes from the prompt's pass, and the last needs no draft", async () => {
  const { rounds } = await decodeChecked([1, 2], { maxTokens: 4, policy: policyOf(8) }, { missRate: 0 });
  expect(rounds.map(({ drafted, emitted }) => [drafted, emitted])).toEqual([[2, 3]]);
});

test("a round's times are those of its passes, exactly", async () => {
  const { rounds, engine, promptUs, decodeUs, clock } = await decodeChecked([1, 2, 3], {
    maxTokens: 40,
    policy: policyOf(3),
  });
  const [prompt, ...passes] = engine.passes.map((pass) => pass.us);
  expect(promptUs).toBe(prompt);
  expect(decodeUs).toBeCloseTo(
    passes.reduce((sum, us) => sum + us, 0),
    6,
  );
  expect(clock.nowUs()).toBeCloseTo(promptUs + decodeUs, 6);
  const first = rounds[0];
  expect(first.draftUs).toBeCloseTo(
    passes.slice(0, first.drafted).reduce((sum, us) => sum + us, 0),
    6,
  );
  expect(first.verifyUs).toBeCloseTo(passes[first.drafted], 6);
});

test("a prompt that does not fit is refused before anything runs", async () => {
  const { engine, clock } = fakeEngine({ context: 64, capacity: 32 });
  const options: DecodeOptions = { maxTokens: 8, endTokens: [], policy: null, clock };
  await expectFailure(() => decode(engine, new Array(25).fill(1), options), "CONTEXT_LIMIT", "33");
  await expectFailure(() => decode(engine, [], options), "TOKEN_IDS_INVALID", "no tokens");
  expect(engine.passes).toEqual([]);
});

test("an interruption leaves between two rounds", async () => {
  const { engine, clock } = fakeEngine();
  let ticks = 0;
  const stop = new Error("stop");
  const progress = {
    warn: () => {},
    tick: async () => {
      if (++ticks === 5) throw stop;
    },
  };
  await expect(decode(engine, [1], { maxTokens: 100, endTokens: [], policy: null, clock, progress })).rejects.toBe(
    stop,
  );
  expect(engine.passes).toHaveLength(5); // the prompt and four steps
});
