/** Siblings of a self draft's last token: what comes out is what plain decoding gives, and they cost no draft step. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { sampling } from "../../src/decode/accept/sampling.js";
import type { Proposal } from "../../src/decode/drafters/drafter.js";
import { selfChoices, siblingDrafter } from "../../src/decode/drafters/self.js";
import { stoppingDrafter } from "../../src/decode/drafters/stopping.js";
import { decode } from "../../src/decode/loop.js";
import { planPolicy } from "../../src/decode/policy.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { Plan } from "../../src/schema/plan.js";
import { seededRandom } from "../../src/stats/random.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import type { TreeFault } from "../support/fake-engine.js";
import { fakeEngine } from "../support/fake-model.js";
import { heldText } from "../support/held-text.js";
import { trials } from "../support/long.js";
import { allInt8 } from "../support/plans.js";
import { tableEngine } from "../support/table-engine.js";

/** the fake's drafts that miss like all other tokens the same, the first of them best: siblings are the lowest ids */
const VOCAB = 8;
const int8 = uniformChoices(3, "int8");
const naive = (prompt: readonly number[], maxTokens: number, endTokens: readonly number[] = []) =>
  naiveGreedy((text) => fakeNextToken(text, VOCAB), prompt, maxTokens, endTokens);

test("any prompt, length, number, end token, limit and room in the cache", async () => {
  const cases = fc.record({
    prompt: fc.array(fc.nat(VOCAB - 1), { minLength: 1, maxLength: 12 }),
    siblings: fc.integer({ min: 1, max: 7 }),
    draftTokens: fc.integer({ min: 1, max: 6 }),
    missRate: fc.constantFrom(0, 0.3, 0.8, 1),
    maxTokens: fc.nat(50),
    spare: fc.constantFrom(0, 1, 3, 200),
    endTokens: fc.array(fc.nat(VOCAB - 1), { maxLength: 1 }),
  });
  let moved = 0;
  await fc.assert(
    fc.asyncProperty(cases, async ({ prompt, siblings, draftTokens, missRate, maxTokens, spare, endTokens }) => {
      const capacity = prompt.length + maxTokens + spare;
      const { engine, clock } = fakeEngine({ vocab: VOCAB, capacity, missRate });
      const drafter = siblingDrafter(int8, siblings);
      const { check: onTokens } = heldText(engine, prompt);
      const policy = () => ({ drafter, draftTokens });
      const { ids, rounds } = await decode(engine, prompt, { maxTokens, endTokens, clock, policy, onTokens });
      expect(ids).toEqual(naive(prompt, maxTokens, endTokens));
      for (const { nodes } of rounds) expect(nodes).toBeLessThanOrEqual(draftTokens + siblings);
      moved += rounds.filter(({ nodes, drafted, accepted }) => accepted === drafted && nodes > drafted).length;
    }),
    { seed: 20290, numRuns: trials(60, 1500) },
  );
  expect(moved).toBeGreaterThan(trials(60, 1500));
});

test.each<TreeFault>(["sibling visible", "no mask", "position by row", "cache not moved", "values not moved"])(
  "an engine with a fault gives other tokens: %s",
  async (treeFault) => {
    // texts of few tokens soon go round in circles: of some prompts' tokens nothing shows there
    const differing: number[] = [];
    for (let first = 0; first < 40; first++) {
      const prompt = [first, (7 * first) % 12, 4].map((token) => token % 12);
      const { engine, clock } = fakeEngine({ vocab: 12, treeFault, missRate: 0.6 });
      const policy = () => ({ drafter: siblingDrafter(int8, 7), draftTokens: 3 });
      const { ids } = await decode(engine, prompt, { maxTokens: 30, endTokens: [], clock, policy });
      const expected = naiveGreedy((text) => fakeNextToken(text, 12), prompt, 30, []);
      if (String(ids) !== String(expected)) differing.push(first);
    }
    expect(differing.length).toBeGreaterThan(3);
  },
);

describe("a draft with siblings", () => {
  const one = async (draftTokens: number, siblings: number, maxTokens: number) => {
    const { engine, clock } = fakeEngine({ vocab: VOCAB, missRate: 1 });
    const drafter = siblingDrafter(int8, siblings);
    const proposals: Proposal[] = [];
    const watched = {
      ...drafter,
      draft(...of: Parameters<typeof drafter.draft>) {
        const proposal = drafter.draft(...of);
        proposals.push(proposal);
        return proposal;
      },
    };
    const policy = () => ({ drafter: watched, draftTokens });
    const from = engine.passes.length;
    const { rounds } = await decode(engine, [3, 1, 4], { maxTokens, endTokens: [], clock, policy });
    return { proposals, rounds, passes: engine.passes.slice(from + 1) };
  };

  test("has a pass for each token of its chain, and the siblings stand beside the last", async () => {
    const { proposals, passes } = await one(3, 2, 5);
    expect(passes.slice(0, 4).map(({ q }) => q)).toEqual([1, 1, 1, 6]);
    const [{ tokens, parents }] = proposals;
    expect(parents).toEqual([null, 0, 1, 1, 1]);
    expect(new Set(tokens.slice(2)).size).toBe(3);
    const [first] = (await one(1, 3, 5)).proposals;
    expect(first.parents).toEqual([null, null, null, null]);
  });

  test("has no room for them where the output or the cache ends", async () => {
    const { proposals } = await one(6, 7, 4);
    for (const { parents } of proposals) expect(Math.max(...parents.map((p) => p ?? -1))).toBeLessThan(3);
  });

  test("is told from one without, and no self drafter: its rounds hand logits over", () => {
    const keys = [1, 2].map((siblings) => siblingDrafter(int8, siblings).key);
    expect(new Set(keys).size).toBe(2);
    expect(selfChoices(siblingDrafter(int8, 1))).toBeNull();
  });

  test("that was drawn has siblings that were not, and none of them is the drawn token", async () => {
    const engine = tableEngine({ vocab: 24, seed: 3 });
    const accept = sampling({ random: seededRandom(1), distribution: 1.3 });
    const drafter = siblingDrafter(uniformChoices(2, "int8"), 4);
    let drawnOther = 0;
    const watched = {
      ...drafter,
      draft(...of: Parameters<typeof drafter.draft>) {
        const proposal = drafter.draft(...of);
        const { tokens, distributions = [], parents } = proposal;
        const last = parents.findLastIndex((parent, node) => distributions[node] !== null && parent === parents.at(-1));
        expect(distributions.map((q) => q === null)).toEqual(tokens.map((_, node) => node > last));
        expect(new Set(tokens.slice(last)).size).toBe(tokens.length - last);
        if (tokens.length - last === 5) drawnOther++;
        return proposal;
      },
    };
    const clock = fakeEngine().clock;
    const policy = () => ({ drafter: watched, draftTokens: 3 });
    await decode(engine, [3, 1], { maxTokens: 40, endTokens: [], clock, policy, accept });
    expect(drawnOther).toBeGreaterThan(3);
  });

  test("that ends early has its siblings where it ends", async () => {
    const { engine, clock } = fakeEngine({ vocab: VOCAB });
    const table = { confidence: [{ below: 1, acceptance: 0.5 }], go_on_from: [0.4, 0.4] };
    const drafter = stoppingDrafter(siblingDrafter(int8, 2), table);
    const policy = () => ({ drafter, draftTokens: 3 });
    const { ids, rounds } = await decode(engine, [3, 1], { maxTokens: 40, endTokens: [], clock, policy });
    expect(ids).toEqual(naive([3, 1], 40));
    expect(rounds.slice(0, -2).every(({ nodes, drafted }) => drafted === 2 && nodes === 4)).toBe(true);
  });
});

describe("a plan with siblings", () => {
  const segment = { speculate: true, draft: allInt8, draft_tokens: 3, drafter: { kind: "self", siblings: 2 } };
  const sha256 = "a".repeat(64);
  const plan = (more: object = {}, beside: object = {}) => ({
    ...{ kind: "draftplan/plan", version: 1 },
    model: { name: "fake", layers: 3, architecture_sha256: sha256, weights_sha256: sha256 },
    segments: [{ context_tokens: { from: 0, to: 100 }, ...segment, ...more }],
    ...beside,
  });

  test("is decoded with them", async () => {
    const { engine, clock } = fakeEngine({ vocab: VOCAB, missRate: 0.6 });
    const policy = planPolicy(Plan.parse(plan()), 3, "plan");
    const { ids, rounds } = await decode(engine, [3, 1], { maxTokens: 40, endTokens: [], clock, policy });
    expect(ids).toEqual(naive([3, 1], 40));
    expect(rounds[0].nodes).toBe(5);
  });

  test.each([
    ["none", plan({ drafter: { kind: "self", siblings: 0 } })],
    ["eight", plan({ drafter: { kind: "self", siblings: 8 } })],
    [
      "an early end",
      plan({ stop: { rule: "early", draft_tokens: 2, confidence: [{ below: 1, acceptance: 0.9 }], go_on_from: [0] } }),
    ],
    ["a cache of the draft's own", plan({}, { draft_cache: "own" })],
  ])("is refused with %s", (_what, wrong) => {
    expect(Plan.safeParse(wrong).success).toBe(false);
    expect(Plan.safeParse(plan()).success).toBe(true);
  });
});
