/** Whatever drafts, the tokens are the target's and so is the cache: for every drafter of the list, and for toys. */
import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Adaptation, type Arm } from "../../../src/decode/adaptive/adaptation.js";
import { adaptivePolicy } from "../../../src/decode/adaptive/policy.js";
import { chain, type Drafter, type DraftState, NOTHING } from "../../../src/decode/drafters/drafter.js";
import type { Heads } from "../../../src/decode/drafters/heads.js";
import { DRAFTERS } from "../../../src/decode/drafters/index.js";
import { type DraftModel, modelDrafter } from "../../../src/decode/drafters/model.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { selfDrafter } from "../../../src/decode/drafters/self.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { acceptanceOf } from "../../../src/decode/statistics.js";
import { uniformChoices } from "../../../src/schema/choice.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { type FakeOptions, fakeEngine } from "../../support/fake-model.js";
import { heldText } from "../../support/held-text.js";
import { trials } from "../../support/long.js";
import { allInt8 } from "../../support/plans.js";
import { repeatDrafter } from "../../support/repeat-drafter.js";

/** so few tokens that repeating the last one is right now and then */
const VOCAB = 4;
const LAYERS = 3;
const next = (text: readonly number[]) => fakeNextToken(text, VOCAB);
const naive = (prompt: readonly number[], maxTokens: number, endTokens: readonly number[] = []) =>
  naiveGreedy(next, prompt, maxTokens, endTokens);

/** Decodes, and compares the cache with that of a run that never drafted, before every draft and at the end. */
async function decodeChecked(
  prompt: readonly number[],
  maxTokens: number,
  policy: DraftPolicy,
  endTokens: number[] = [],
) {
  const { engine, clock } = fakeEngine({ vocab: VOCAB, layers: LAYERS });
  const { text, check: onTokens } = heldText(engine, prompt);
  const decoded = await decode(engine, prompt, { maxTokens, endTokens, clock, policy, onTokens });
  expect(text.slice(prompt.length)).toEqual(decoded.ids);
  return { ...decoded, engine, clock };
}

/** The target's own tokens, with every so-many-th a wrong one; it writes nonsense into the cache as well. */
function guesser(wrongEvery: number): Drafter {
  return {
    key: `wrong every ${wrongEvery}`,
    draft({ engine, context, text }, draftTokens) {
      const tokens: number[] = [];
      for (let i = 0; i < draftTokens; i++) {
        const right = next([...text, ...tokens]);
        tokens.push((context + i) % wrongEvery === 0 ? (right + 1) % VOCAB : right);
      }
      const input = tokens.map((token) => (token + 2) % VOCAB);
      engine.run({ position: context, input, choices: uniformChoices(LAYERS, "int8"), logitRows: 0 });
      return chain(tokens);
    },
    costUs: (_prices, _contextTokens, draftTokens) => draftTokens,
  };
}

/** Proposes fewer tokens than asked for, and often none, as a lookup does. */
const sparing: Drafter = {
  key: "sparing",
  draft: ({ text, context }, draftTokens) =>
    context % 3 === 0 ? NOTHING : chain([next(text), 0].slice(0, Math.min(draftTokens, context % 3))),
  costUs: () => 0,
};

const toys: [string, Drafter][] = [
  ["the last token again", repeatDrafter],
  ["always wrong", guesser(1)],
  ["wrong every fifth time", guesser(5)],
  ["always right", guesser(1e9)],
  ["fewer than asked for, or none", sparing],
];
/** heads that guess the same whatever they see: with so few tokens now and then the right one */
const guesses = Int32Array.from([0, 1, 2, 3, 1, 0, 3, 2]);
const fixedHeads: Heads = {
  ...{ kind: "medusa", heads: 2, ranks: VOCAB, sha256: "ab".repeat(32) },
  guess: (_hidden, depth) => guesses.subarray(depth * VOCAB, (depth + 1) * VOCAB),
  guessAll: () => guesses,
  close: () => {},
};
const tree = [[0], [2], [0, 0], [0, 1], [2, 3]];
const ngramTokens = { min: 1, max: 3 };
/** a model of the same vocabulary that misses now and then */
const draftModel = (options: FakeOptions = {}): DraftModel => {
  const { engine } = fakeEngine({ vocab: VOCAB, layers: 1, missRate: 0.2, ...options });
  return { kind: "model", weightsSha256: "cd".repeat(32), cache: new OwnCache(engine), close: () => engine.close() };
};
const model = { open: draftModel(), kernel: "int8" as const };
const otherwise = modelDrafter(draftModel(), "int8");
const hybrid = { minMatch: 2, lookupTokens: 6, otherwiseTokens: 3, otherwise };
const source = {
  ownCache: new OwnCache(fakeEngine({ vocab: VOCAB, layers: LAYERS }).engine),
  model,
  hybrid,
  draft: allInt8,
  layers: LAYERS,
  at: "test",
  heads: { open: fixedHeads, tree },
  ngramTokens,
};
const listed = Object.entries(DRAFTERS).map(([kind, open]): [string, Drafter] => [kind, open(source)]);

describe.each([...listed, ...toys])("drafting with %s", (_name, drafter) => {
  test.each([1, 2, 5, 16])("%i tokens a round gives what naive greedy decoding gives", async (draftTokens) => {
    const prompt = [3, 1, 2];
    const { ids } = await decodeChecked(prompt, 80, () => ({ drafter, draftTokens }));
    expect(ids).toEqual(naive(prompt, 80));
  });
});

test("any mixture of them does, with any prompt, limit and end token", async () => {
  const all = [...listed, ...toys].map(([, drafter]) => drafter);
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 10 }),
    maxTokens: fc.nat(60),
    endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 1 }),
    plan: fc.array(fc.option(fc.record({ who: fc.nat(all.length - 1), draftTokens: fc.nat(9) })), { minLength: 1 }),
  });
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, maxTokens, endTokens, plan }) => {
      const policy: DraftPolicy = (context) => {
        const round = plan[context % plan.length];
        return round === null ? null : { drafter: all[round.who], draftTokens: round.draftTokens };
      };
      const { ids, rounds } = await decodeChecked(prompt, maxTokens, policy, endTokens);
      expect(ids).toEqual(naive(prompt, maxTokens, endTokens));
      expect(rounds.reduce((sum, { emitted }) => sum + emitted, 0)).toBe(Math.max(0, ids.length - 1));
    }),
    { seed: 20266, numRuns: trials(50, 120) },
  );
});

test("what toys are right about is counted", async () => {
  const rate = async (drafter: Drafter) =>
    acceptanceOf((await decodeChecked([1], 120, () => ({ drafter, draftTokens: 4 }))).rounds).acceptance;
  expect([await rate(guesser(1)), await rate(guesser(1e9))]).toEqual([0, 1]);
  expect(await rate(repeatDrafter)).toBeGreaterThan(0);
  expect(await rate(repeatDrafter)).toBeLessThan(1);
});

test("where nothing is proposed the round is a plain step: one pass of one token", async () => {
  const none: Drafter = { key: "nothing", draft: () => NOTHING, costUs: () => 0 };
  const { rounds, engine } = await decodeChecked([1, 2], 10, () => ({ drafter: none, draftTokens: 4 }));
  expect(rounds.every(({ nodes, drafted, emitted }) => nodes === 0 && drafted === 0 && emitted === 1)).toBe(true);
  expect(engine.passes.slice(1).map(({ q }) => q)).toEqual(new Array(9).fill(1));
  expect(acceptanceOf(rounds).acceptance).toBeNull();
});

describe("a drafter with a state of its own", () => {
  /** keeps the text by what it is told, and notes what happens */
  function keeper() {
    const happened: string[] = [];
    const kept: number[] = [];
    const drafter: Drafter = {
      key: "keeper",
      begin(text) {
        happened.push(`begin ${text.length}`);
        kept.splice(0, kept.length, ...text);
      },
      extend(tokens) {
        kept.push(...tokens);
      },
      draft({ text }, draftTokens) {
        happened.push("draft");
        expect(kept).toEqual(text);
        return chain([next(text), 0].slice(0, draftTokens));
      },
      costUs: () => 0,
      close: () => happened.push("close"),
    };
    return { drafter, happened, kept };
  }
  const prompt = [1, 2, 3];

  test("is begun with the prompt where the policy names it, and told of every token, whoever drafted it", async () => {
    const { drafter, happened, kept } = keeper();
    const self = selfDrafter(uniformChoices(LAYERS, "int8"));
    const policy: DraftPolicy = Object.assign(
      (context: number) => [null, { drafter, draftTokens: 2 }, { drafter: self, draftTokens: 3 }][context % 3],
      { drafters: [drafter] },
    );
    const { ids } = await decodeChecked(prompt, 60, policy);
    expect(ids).toEqual(naive(prompt, 60));
    expect(happened[0]).toBe("begin 3");
    expect(happened.filter((what) => what !== "draft")).toHaveLength(1);
    expect(kept).toEqual([...prompt, ...ids]);
  });

  test("that nobody named begins in the round that first asks for it, with the text so far", async () => {
    const { drafter, happened, kept } = keeper();
    const { ids } = await decodeChecked(prompt, 30, (n) => (n < 20 ? null : { drafter, draftTokens: 2 }));
    expect(happened[0]).toBe("begin 21");
    expect(kept).toEqual([...prompt, ...ids]);
  });

  test("begins anew with every generation, and is left open", async () => {
    const { drafter, happened } = keeper();
    for (let i = 0; i < 2; i++) await decodeChecked(prompt, 10, () => ({ drafter, draftTokens: 2 }));
    expect(happened.filter((what) => what.startsWith("begin"))).toHaveLength(2);
    expect(happened).not.toContain("close");
  });

  test("has its beginning in the prompt's time where it was named, and its drafting in the rounds'", async () => {
    const { engine, clock } = fakeEngine({ vocab: VOCAB });
    const drafter: Drafter = {
      key: "slow",
      begin: async () => clock.advance(1000),
      draft(_state: DraftState) {
        clock.advance(10);
        return NOTHING;
      },
      costUs: () => 10,
    };
    const policy = Object.assign(() => ({ drafter, draftTokens: 1 }), { drafters: [drafter] });
    const { promptUs, rounds } = await decode(engine, prompt, { maxTokens: 5, endTokens: [], clock, policy });
    expect(promptUs).toBeCloseTo(engine.passes[0].us + 1000, 6);
    expect(rounds.map(({ draftUs }) => draftUs)).toEqual([10, 10, 10, 0].map((us) => expect.closeTo(us, 6)));
  });
});

test("what a drafter does after a round is in that round's time", async () => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const drafter: Drafter = { key: "busy", draft: () => NOTHING, extend: () => clock.advance(7), costUs: () => 0 };
  const policy = () => ({ drafter, draftTokens: 2 });
  const { rounds } = await decode(engine, [1, 2], { maxTokens: 6, endTokens: [], clock, policy });
  for (const { draftUs, verifyUs, totalUs } of rounds) expect(totalUs - draftUs - verifyUs).toBeCloseTo(7, 6);
});

test("the model's own blocks are priced by their steps, and are one drafter for one object of choices", () => {
  const choices = uniformChoices(LAYERS, "int8");
  const drafter = selfDrafter(choices);
  expect(drafter.costUs({ draftUs: (asked, n) => (asked === choices ? n : 0) }, 40, 3)).toBe(120);
  expect(selfDrafter(choices)).toBe(drafter);
  expect(selfDrafter(uniformChoices(LAYERS, "int8")).key).toBe(drafter.key);
  expect(selfDrafter(uniformChoices(LAYERS, "skip")).key).not.toBe(drafter.key);
});

test("a drafter sees the target's last hidden state where the pending token was chosen", async () => {
  const seen: number[] = [];
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const twin = fakeEngine({ vocab: VOCAB }).engine;
  const drafter: Drafter = {
    key: "looking",
    draft({ text, hidden }, draftTokens) {
      const { hiddenSize } = engine.spec;
      const all = twin.run({
        ...{ position: 0, input: text.slice(0, -1), logitRows: 1 },
        choices: uniformChoices(LAYERS, "target"),
      }).hidden;
      // in the first round already, from the prompt's pass
      expect(hidden).toEqual(all.subarray(all.length - hiddenSize));
      seen.push(all[all.length - hiddenSize]);
      return chain([next(text), 0, 0].slice(0, draftTokens));
    },
    costUs: () => 0,
  };
  await decode(engine, [1, 2], { maxTokens: 40, endTokens: [], clock, policy: () => ({ drafter, draftTokens: 3 }) });
  expect(new Set(seen).size).toBe(seen.length);
  expect(seen.length).toBeGreaterThan(10);
});

test("a proposal that is too deep or no tree is refused with the drafter's name", async () => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB, capacity: 30 });
  const run = (tokens: number[], parents: (number | null)[], distributions?: Float64Array[]) => {
    const proposal = { tokens, parents, ...(distributions === undefined ? {} : { distributions }) };
    const drafter: Drafter = { key: "rash", draft: () => proposal, costUs: () => 0 };
    const policy = () => ({ drafter, draftTokens: 2 });
    return decode(engine, [1], { maxTokens: 20, endTokens: [], clock, policy });
  };
  await expect(run([1, 2, 3], [null, 0, 1])).rejects.toThrow(/rash proposed 3 tokens one behind the other where 2/);
  await expect(run([1, 2, 3, 0], [null, null, 1, 2])).rejects.toThrow(/rash proposed 3 tokens one behind/);
  await expect(run([1, 2], [null])).rejects.toThrow(/rash proposed 2 tokens and 1 parents/);
  await expect(run([1, 2], [1, null])).rejects.toThrow(/node 0 behind node 1/);
  await expect(run([1, 2], [null, 1])).rejects.toThrow(/node 1 behind node 1/);
  await expect(run([1, 2], [null, -1])).rejects.toThrow(/node 1 behind node -1/);
  await expect(run([1, 2], [null, 0.5])).rejects.toThrow(/node 1 behind node 0.5/);
  await expect(run([1, VOCAB], [null, 0])).rejects.toThrow(/token 4 of 4/);
  await expect(run([1, 2], [null, 0], [new Float64Array(VOCAB)])).rejects.toThrow(/2 tokens and 1 distributions/);
  const wide = Array.from({ length: 29 }, (_, i) => i % VOCAB);
  await expect(
    run(
      wide,
      wide.map(() => null),
    ),
  ).rejects.toThrow(/29 nodes where 28 have room/);
});

test("adaptive decoding chooses among drafters of any kind by what they cost and what is accepted", async () => {
  const make = (drafter: Drafter, hazard: number) => ({
    ...{ key: drafter.key, drafter, hazards: new Array(6).fill(hazard), spread: 0.3 },
  });
  const self = make(selfDrafter(uniformChoices(LAYERS, "int8")), 0.02);
  const toy = make(guesser(1e9), 0.02);
  const latency = { draftUs: () => 150, verifyUs: () => 200, stepUs: () => 200, roundUs: 2 };
  const planned: Arm = { draft: self, draftTokens: 3 };
  const adaptation = new Adaptation([{ to: 1e9, drafts: [self, toy], planned }], latency);
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const { policy, summary } = adaptivePolicy(adaptation, clock, () => null);
  const { ids } = await decode(engine, [2], { maxTokens: 150, endTokens: [], clock, policy });
  expect(ids).toEqual(naive([2], 150));
  expect(policy.drafters).toEqual([self.drafter, toy.drafter]);
  const most = summary().arms.sort((a, b) => b.tokens - a.tokens)[0];
  expect(most.arm?.draft.drafter).toBe(toy.drafter);
});

test("the worked example of CONTRIBUTING is this very toy, and its line opens it", () => {
  const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
  const guide = read("CONTRIBUTING.md");
  const toy = read("test/support/repeat-drafter.ts").replace("../../src/decode/drafters/", "./");
  expect(guide).toContain(`\`\`\`ts\n${toy}\`\`\``);
  const grown = { ...DRAFTERS, repeat: () => repeatDrafter };
  expect(guide).toContain("  repeat: () => repeatDrafter,\n");
  expect(grown.repeat()).toBe(repeatDrafter);
});
