/**
 * Trees of any shape: tokens, caches and counts against decoding that never drafts. The drafters here know the target's next
 * token (from the oracle) and are right, wrong or anything between by design.
 */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Accept } from "../../src/decode/accept/accept.js";
import { greedy } from "../../src/decode/accept/greedy.js";
import type { Drafter, Proposal } from "../../src/decode/drafters/drafter.js";
import { type DecodeOptions, decode } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { MAX_LOGIT_ROWS } from "../../src/runtime/limits.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { seededRandom } from "../../src/stats/random.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import type { TreeFault } from "../support/fake-engine.js";
import { fakeEngine } from "../support/fake-model.js";
import { heldText } from "../support/held-text.js";
import { trials } from "../support/long.js";
import { type Grown, grow } from "../support/tree-drafter.js";

const VOCAB = 40;
const next = (text: readonly number[]) => fakeNextToken(text, VOCAB);
const naive = (prompt: readonly number[], maxTokens: number, endTokens: readonly number[] = []) =>
  naiveGreedy(next, prompt, maxTokens, endTokens);

function grower(shape: Grown, seed: number, seen: (proposal: Proposal) => void = () => {}): Drafter {
  const random = seededRandom(seed);
  return {
    key: `grower ${seed}`,
    draft(state, draftTokens) {
      // nonsense in the cache behind the text, as a draft may leave it
      const input = [1, 2, 3].slice(0, state.mostNodes);
      state.engine.run({ position: state.context, input, choices: uniformChoices(3, "int8"), logitRows: 0 });
      const proposal = grow(state, draftTokens, shape, next, random);
      seen(proposal);
      return proposal;
    },
    costUs: () => 0,
  };
}

interface Checked extends Partial<DecodeOptions> {
  maxTokens: number;
  capacity?: number;
  treeFault?: TreeFault;
}

/** Decodes, and after every round compares keys, values and positions with those of a run that never drafted. */
async function decodeChecked(
  prompt: readonly number[],
  drafter: Drafter,
  { capacity, treeFault, ...options }: Checked,
) {
  const fault = treeFault === undefined ? {} : { treeFault };
  const { engine, clock } = fakeEngine({ vocab: VOCAB, ...(capacity === undefined ? {} : { capacity }), ...fault });
  const { text, check } = heldText(engine, prompt);
  const proposals: Proposal[] = [];
  const draftTokens = 16;
  const kept: Drafter = {
    ...drafter,
    draft(state, most) {
      const proposal = drafter.draft(state, most);
      proposals.push(proposal);
      return proposal;
    },
  };
  const decoded = await decode(engine, prompt, {
    ...{ endTokens: [], clock, policy: () => ({ drafter: kept, draftTokens }) },
    ...options,
    onTokens: treeFault === undefined ? check : (ids) => text.push(...ids),
  });
  return { ...decoded, engine, proposals };
}

const SHAPES: [string, Grown][] = [
  ["at random", { nodes: 20, depth: 8, deep: 0.4, right: 0.5, twice: 0 }],
  ["with siblings that are the same token", { nodes: 20, depth: 8, deep: 0.4, right: 0.5, twice: 0.5 }],
  ["always wrong", { nodes: 12, depth: 5, deep: 0.4, right: 0, twice: 0.1 }],
  ["always right, so that siblings are the same", { nodes: 12, depth: 5, deep: 0.4, right: 1, twice: 0 }],
  ["one level wide", { nodes: 39, depth: 1, deep: 0, right: 0.1, twice: 0 }],
  ["deep", { nodes: 16, depth: 16, deep: 1, right: 0.9, twice: 0 }],
  ["as many nodes as a verification takes", { nodes: 1000, depth: 16, deep: 0.1, right: 0.3, twice: 0 }],
];

describe("greedy decoding with trees gives what naive greedy decoding gives, cache and all", () => {
  test.each(SHAPES)("%s", async (_name, shape) => {
    const prompt = [3, 1, 4];
    const { ids, rounds, proposals } = await decodeChecked(prompt, grower(shape, 7), { maxTokens: 150 });
    expect(ids).toEqual(naive(prompt, 150));
    expect(proposals.some(({ parents }) => parents.length > 1)).toBe(true);
    const { accepted, acceptedLength } = acceptanceOf(rounds);
    if (shape.right === 0) expect(accepted).toBe(0);
    else expect(acceptedLength).toBeGreaterThan(1);
  });

  test("any shape, prompt, end token, limit and room in the cache, in random rounds", async () => {
    const cases = fc.record({
      seed: fc.nat(),
      shape: fc.record({
        nodes: fc.integer({ min: 1, max: 80 }),
        depth: fc.integer({ min: 1, max: 12 }),
        deep: fc.constantFrom(0, 0.3, 0.8, 1),
        right: fc.constantFrom(0, 0.3, 0.7, 1),
        twice: fc.constantFrom(0, 0.3),
      }),
      prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 12 }),
      maxTokens: fc.nat(60),
      spare: fc.constantFrom(0, 1, 5, 300),
      endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 2 }),
    });
    let roundsRun = 0;
    let moved = 0;
    await fc.assert(
      fc.asyncProperty(cases, async ({ seed, shape, prompt, maxTokens, spare, endTokens }) => {
        const options = { maxTokens, endTokens, capacity: prompt.length + maxTokens + spare };
        const { ids, rounds, proposals } = await decodeChecked(prompt, grower(shape, seed), options);
        expect(ids).toEqual(naive(prompt, maxTokens, endTokens));
        roundsRun += rounds.length;
        moved += rounds.filter(({ nodes, drafted, accepted }) => accepted > 0 && nodes > drafted).length;
        for (const { tokens } of proposals) expect(tokens.length).toBeLessThan(MAX_LOGIT_ROWS);
        for (const { nodes, drafted, accepted, emitted } of rounds) {
          expect(accepted).toBeLessThanOrEqual(drafted);
          expect(drafted).toBeLessThanOrEqual(nodes);
          expect([accepted, accepted + 1]).toContain(emitted);
        }
        const last = rounds.at(-1);
        if (last !== undefined) expect(last.context + last.drafted).toBeLessThan(prompt.length + ids.length);
      }),
      { seed: 20270, numRuns: trials(25, 900) },
    );
    expect(roundsRun).toBeGreaterThan(trials(300, 10_000));
    expect(moved).toBeGreaterThan(roundsRun / 10);
  });
});

/** A tree of two branches of at most three, the second of them the target's own. */
const twoBranches: Drafter = {
  key: "two branches",
  draft({ text }, draftTokens) {
    const length = Math.min(3, draftTokens);
    const own: number[] = [];
    while (own.length < length) own.push(next([...text, ...own]));
    const wrong = own.map((token) => (token + 1) % VOCAB);
    const parents = own.map((_, i) => (i === 0 ? null : i - 1));
    return { tokens: [...wrong, ...own], parents: [...parents, ...parents.map((p) => (p === null ? p : p + length))] };
  },
  costUs: () => 0,
};

test("a tree is one pass with its rows' parents, a chain one without, and rows move only where they must", async () => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const passes: (number[] | null)[] = [];
  const moves: [number, number[]][] = [];
  const watched = Object.assign(Object.create(engine) as typeof engine, {
    run(pass: Parameters<typeof engine.run>[0]) {
      passes.push(pass.parents === undefined ? null : Array.from(pass.parents));
      return engine.run(pass);
    },
    keepRows(position: number, rows: ArrayLike<number>) {
      moves.push([position, Array.from(rows)]);
      engine.keepRows(position, rows);
    },
  });
  const chained: Drafter = {
    key: "chain",
    draft: ({ text }) => ({ tokens: [next(text), 0], parents: [null, 0] }),
    costUs: () => 0,
  };
  const firstIsRight: Drafter = {
    key: "first is right",
    draft: ({ text }) => ({ tokens: [next(text), (next(text) + 1) % VOCAB], parents: [null, null] }),
    costUs: () => 0,
  };
  const order = [twoBranches, chained, firstIsRight];
  let round = 0;
  const { rounds } = await decode(watched, [1, 2], {
    ...{ maxTokens: 12, endTokens: [], clock },
    policy: () => (round < 3 ? { drafter: order[round++], draftTokens: 3 } : null),
  });
  expect(passes.slice(1, 4)).toEqual([[-1, 0, 1, 2, 0, 4, 5], null, [-1, 0, 0]]);
  // the rows of the second branch; a first branch that is accepted lies where it should
  expect(moves).toEqual([[2, [0, 4, 5, 6]]]);
  expect(rounds.slice(0, 3)).toMatchObject([
    { nodes: 6, drafted: 3, accepted: 3, emitted: 4 },
    { nodes: 2, drafted: 2 },
    { nodes: 2, drafted: 1, accepted: 1, emitted: 2 },
  ]);
});

test("an engine that cannot move rows decodes with chains, and refuses a tree", async () => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const chainsAlone = Object.assign(Object.create(engine) as typeof engine, { keepRows: undefined });
  const chained: Drafter = {
    key: "chain",
    draft: ({ text }) => ({ tokens: [next(text), 0], parents: [null, 0] }),
    costUs: () => 0,
  };
  const options = { maxTokens: 12, endTokens: [], clock };
  const { ids } = await decode(chainsAlone, [1, 2], {
    ...options,
    policy: () => ({ drafter: chained, draftTokens: 2 }),
  });
  expect(ids).toEqual(naive([1, 2], 12));
  const tree = decode(chainsAlone, [1, 2], { ...options, policy: () => ({ drafter: twoBranches, draftTokens: 3 }) });
  await expect(tree).rejects.toThrow(/chains alone/);
});

test.each<TreeFault>([
  "sibling visible",
  "no mask",
  "position by row",
  "cache not moved",
  "path order",
  "values not moved",
])("the engine of these tests gives other tokens where there is a fault: %s", async (treeFault) => {
  const prompt = [3, 1, 4];
  const { ids } = await decodeChecked(prompt, twoBranches, { maxTokens: 40, treeFault });
  expect(ids).not.toEqual(naive(prompt, 40));
});

test("an end token in an accepted path ends the output there, and nothing behind it counts", async () => {
  const text = naive([9], 30);
  // accepted paths are 3 long: rounds emit tokens 1 to 4, 5 to 8, …
  for (const place of [0, 1, 2]) {
    const at = [1, 5, 9, 13].map((first) => first + place).find((i) => text.indexOf(text[i]) === i) as number;
    const { ids, rounds } = await decodeChecked([9], twoBranches, { maxTokens: 30, endTokens: [text[at]] });
    expect(ids).toEqual(text.slice(0, at + 1));
    const counted = place + 1;
    expect(rounds.at(-1)).toMatchObject({ nodes: 6, drafted: counted, accepted: counted, emitted: counted });
    expect(acceptanceOf(rounds).acceptance).toBe(1);
  }
});

test("hidden states told to a drafter are those of the text, in order and without a gap", async () => {
  const prompt = Array.from({ length: 700 }, (_, i) => (7 * i) % VOCAB); // two passes
  const { engine } = fakeEngine({ vocab: VOCAB, context: 1024 });
  const { hiddenSize } = engine.spec;
  const random = seededRandom(3);
  const shape = { nodes: 14, depth: 5, deep: 0.4, right: 0.6, twice: 0.1 };
  const told: number[] = [];
  const looking: Drafter = {
    key: "looking",
    begin: () => void told.splice(0),
    states(position, hidden) {
      expect(position).toBe(told.length);
      for (let i = 0; i < hidden.length; i += hiddenSize) told.push(hidden[i]);
    },
    draft(state, draftTokens) {
      expect(told).toHaveLength(state.context);
      expect(told.at(-1)).toBe(state.hidden?.[0]);
      return grow(state, draftTokens, shape, next, random);
    },
    costUs: () => 0,
  };
  const clock = fakeEngine().clock;
  const policy = Object.assign((n: number) => (n % 4 === 0 ? null : { drafter: looking, draftTokens: 5 }), {
    drafters: [looking],
  });
  const options = { maxTokens: 60, endTokens: [], clock, policy };
  const { ids } = await decode(engine, prompt, options);
  expect(ids).toEqual(naive(prompt, 60));
  const choices = uniformChoices(3, "target");
  const twin = fakeEngine({ vocab: VOCAB, context: 1024 }).engine;
  const input = [...prompt, ...ids].slice(0, told.length);
  const { hidden } = twin.run({ position: 0, input, choices, logitRows: 0 });
  expect(told).toEqual(input.map((_, i) => hidden[i * hiddenSize]));
  // one that nobody named would miss the prompt's
  const unnamed = () => ({ drafter: looking, draftTokens: 5 });
  await expect(decode(engine, [1], { ...options, policy: unnamed })).rejects.toThrow(/name it/);
});

test("an accepted path that is none is refused: the cache would be of a text that nobody proposed", async () => {
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const wrong = (path: number[]): Accept => ({
    ...greedy,
    accept: (logits, proposal, vocabSize, text) =>
      proposal.tokens.length === 0 ? greedy.accept(logits, proposal, vocabSize, text) : { path, next: 0 },
  });
  const policy = () => ({ drafter: twoBranches, draftTokens: 3 });
  for (const path of [[1], [0, 2], [3, 4, 3], [0, 4], [9]])
    await expect(
      decode(engine, [1], { maxTokens: 20, endTokens: [], clock, policy, accept: wrong(path) }),
    ).rejects.toThrow(/not one behind the other/);
});
