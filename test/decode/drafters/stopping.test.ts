/** Drafts that end early give what plain decoding gives, at the lengths that their confidences say. */
import { describe, expect, test } from "vitest";
import { sampling } from "../../../src/decode/accept/sampling.js";
import { type Chosen, chain, chosenChain, type Drafter, NOTHING } from "../../../src/decode/drafters/drafter.js";
import { type DraftModel, modelDrafter } from "../../../src/decode/drafters/model.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { selfChoices, selfDrafter } from "../../../src/decode/drafters/self.js";
import { standaloneDrafter } from "../../../src/decode/drafters/standalone.js";
import { type StopTable, stoppingDrafter } from "../../../src/decode/drafters/stopping.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { draftsBetween, planPolicy } from "../../../src/decode/policy.js";
import { targetChoices, uniformChoices } from "../../../src/schema/choice.js";
import { Plan, type Segment } from "../../../src/schema/plan.js";
import { seededRandom } from "../../../src/stats/random.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { type FakeOptions, fakeEngine } from "../../support/fake-model.js";
import { allInt8, handPlan } from "../../support/plans.js";

const VOCAB = 50;
const int8 = uniformChoices(3, "int8");
/** sure where its draw lies far above the miss rate of 0.3, which it is not always right about */
const draftLogit = (draw: number): number => 5 * draw;
const next = (text: readonly number[]) => fakeNextToken(text, VOCAB);
const engineOf = (options: FakeOptions = {}) => fakeEngine({ vocab: VOCAB, draftLogit, ...options });

const table = (goOnFrom: number[]): StopTable => ({
  confidence: [
    { below: 0.75, acceptance: 0.2 },
    { below: 0.93, acceptance: 0.7 },
    { below: 1, acceptance: 0.95 },
  ],
  go_on_from: goOnFrom,
});

/** What its confidence is at each drafted token, by its definition. */
function confidencesOf(drafter: Drafter, seen: number[][]): Drafter {
  return {
    ...drafter,
    draft(state, draftTokens) {
      const own: number[] = [];
      seen.push(own);
      const watched = {
        ...{ engine: state.engine, text: state.text, context: state.context, pending: state.pending },
        ...{ hidden: state.hidden, mostNodes: state.mostNodes },
        choose: (logits: Float32Array, drafted: readonly number[]) => {
          const [first, second] = Array.from(logits, Math.exp).sort((a, b) => b - a);
          own.push(first / (first + second));
          return state.choose(logits, drafted);
        },
      };
      return drafter.draft(watched, draftTokens);
    },
  };
}

async function decodeChecked(policy: DraftPolicy, { engine, clock } = engineOf(), maxTokens = 120) {
  const prompt = [3, 1, 2];
  const decoded = await decode(engine, prompt, { maxTokens, endTokens: [], clock, policy });
  expect(decoded.ids).toEqual(naiveGreedy(next, prompt, maxTokens, []));
  // and the cache is the target's own over all of it
  const twin = engineOf();
  await decode(twin.engine, prompt, { maxTokens, endTokens: [], clock: twin.clock, policy: null });
  const held = prompt.length + maxTokens - 1;
  expect(engine.readCache(0, "value", 0, held)).toEqual(twin.engine.readCache(0, "value", 0, held));
  return decoded;
}

test("a draft ends behind the first token whose chance to stand with all before it is too small", async () => {
  const stop = table([0.9, 0.6, 0.3]);
  const seen: number[][] = [];
  const drafter = stoppingDrafter(confidencesOf(selfDrafter(int8), seen), stop);
  const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: 4 }));
  const speculative = rounds.filter(({ nodes }) => nodes > 0).slice(0, -1);
  expect(new Set(speculative.map(({ nodes }) => nodes))).toEqual(new Set([1, 2, 3, 4]));
  speculative.forEach(({ nodes }, round) => {
    let standing = 1;
    let length = 0;
    for (;;) {
      const confidence = seen[round][length++];
      const bin = stop.confidence.find(({ below }) => confidence < below) ?? stop.confidence[2];
      standing *= bin.acceptance;
      if (length === 4 || standing < stop.go_on_from[length - 1]) break;
    }
    expect(nodes).toBe(length);
  });
});

describe("whoever drafts, the tokens and the cache are plain decoding's", () => {
  const other = (): DraftModel => ({
    ...{ kind: "model", weightsSha256: "e".repeat(64) },
    ...{ cache: new OwnCache(engineOf().engine), close: () => {} },
  });
  const drafters: [string, () => Drafter][] = [
    ["the model's own blocks", () => selfDrafter(int8)],
    ["the same with a cache of their own", () => standaloneDrafter(int8, new OwnCache(engineOf().engine))],
    ["another model", () => modelDrafter(other(), "int8")],
    ["a draft that is always right", () => selfDrafter(targetChoices(3))],
    ["one that proposes nothing", () => ({ key: "nothing", draft: () => NOTHING, costUs: () => 0 })],
  ];
  test.each(drafters)("%s, under random rules", async (_name, made) => {
    const random = seededRandom(5);
    for (let trial = 0; trial < 4; trial++) {
      const most = 1 + random.index(8);
      const drafter = stoppingDrafter(made(), table(Array.from({ length: most - 1 }, () => random.float())));
      const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: most }));
      for (const { nodes } of rounds) expect(nodes).toBeLessThanOrEqual(most);
    }
  });

  test("thresholds of 0 never end a draft, and those above 1's reach always end it", async () => {
    const lengths = async (from: number) => {
      const drafter = stoppingDrafter(selfDrafter(int8), table([from, from, from]));
      const { rounds } = await decodeChecked(() => ({ drafter, draftTokens: 4 }));
      return new Set(rounds.slice(0, -1).map(({ nodes }) => nodes));
    };
    expect(await lengths(0)).toEqual(new Set([4]));
    expect(await lengths(0.96)).toEqual(new Set([1]));
  });
});

describe("by a plan", () => {
  const segment = (rule: "early" | "fixed"): Segment => ({
    ...{ context_tokens: { from: 0, to: 512 }, speculate: true, draft: allInt8, draft_tokens: 2 },
    stop: { rule, draft_tokens: 5, ...table([0.9, 0.6, 0.5, 0.4]) },
  });
  const planOf = (rule: "early" | "fixed"): Plan => {
    const ref = { name: "tiny", layers: 3, architectureSha256: "a".repeat(64), weightsSha256: "b".repeat(64) };
    return Plan.parse({ ...handPlan({ ...ref, draft: allInt8, draftTokens: 2, to: 512 }), segments: [segment(rule)] });
  };

  test("early goes as far as its rule says, fixed as far as the segment does", async () => {
    const early = planPolicy(planOf("early"), 3, "plan");
    const fixed = planPolicy(planOf("fixed"), 3, "plan");
    expect([early(9)?.draftTokens, fixed(9)?.draftTokens]).toEqual([5, 2]);
    // what drafts and when it ends is told apart, so that a measurement runs both
    expect(draftsBetween(early, 0, 9)[0].key).not.toBe(draftsBetween(fixed, 0, 9)[0].key);
    const request = early(9);
    if (request === null || !("drafter" in request)) throw new Error("nobody drafts");
    expect(selfChoices(request.drafter)).toBeNull(); // a device that keeps its logits runs such a round pass by pass
    const { rounds } = await decodeChecked(early);
    expect(Math.max(...rounds.map(({ nodes }) => nodes))).toBeGreaterThan(2);
    expect(new Set((await decodeChecked(fixed)).rounds.slice(0, -1).map(({ nodes }) => nodes))).toEqual(new Set([2]));
  });

  test.each([
    ["go_on_from", { go_on_from: [0.5] }, "drafts of 5 have 4"],
    ["confidence", { confidence: [{ below: 0.5, acceptance: 0.4 }] }, "must end at 1"],
    [
      "confidence",
      {
        confidence: [
          { below: 0.5, acceptance: 0.4 },
          { below: 1, acceptance: 0.3 },
        ],
      },
      "less confident",
    ],
  ])("a rule that cannot be followed is refused: %s %#", (_key, wrong, message) => {
    const { stop, ...rest } = segment("early");
    const parsed = Plan.safeParse({ ...planOf("early"), segments: [{ ...rest, stop: { ...stop, ...wrong } }] });
    expect(parsed.error?.message).toContain(message);
  });

  test("a lookup has no confidence, and plain decoding no draft", () => {
    const { stop } = segment("early");
    const at = { context_tokens: { from: 0, to: 512 } };
    const drafter = { kind: "lookup" as const, ngram_tokens: { min: 1, max: 3 } };
    for (const wrong of [
      { ...at, speculate: true, drafter, draft_tokens: 4, stop },
      { ...at, speculate: false, stop },
    ])
      expect(Plan.safeParse({ ...planOf("early"), segments: [wrong] }).success).toBe(false);
  });
});

/**
 * Exactly: chances are thirds, so a uniform number is compared with fractions of 1, 2 and 3 alone, and one number of each space
 * between them stands for all of it.
 */
describe("where tokens are drawn, whole texts have the target's own chances", () => {
  const TOKENS = 3;
  const BREAKS = [0, 1 / 3, 1 / 2, 2 / 3, 1];
  const SPACES = BREAKS.slice(1).map((to, i) => ({ middle: (BREAKS[i] + to) / 2, length: to - BREAKS[i] }));
  const THIRDS = [
    [2, 1, 0],
    [0, 1, 2],
    [3, 0, 0],
    [1, 1, 1],
    [1, 2, 0],
    [1, 0, 2],
    [0, 3, 0],
  ];
  const row = (text: readonly number[], salt: number) =>
    THIRDS[text.reduce((hash, token) => 3 * hash + token + 1, salt) % THIRDS.length];
  const target = (text: readonly number[]) => row(text, 5);
  const draft = (text: readonly number[]) => row(text, 0);
  const logits = (rows: readonly number[][]) => Float32Array.from(rows.flatMap((weights) => weights.map(Math.log)));

  /** Asks for its tokens one by one, as the drafters with logits do. */
  const chooser: Drafter = {
    key: "chooser",
    draft(state, draftTokens) {
      const chosen: Chosen[] = [];
      while (chosen.length < draftTokens && chosen.at(-1)?.last !== true) {
        const drafted = chosen.map(({ token }) => token);
        chosen.push(state.choose(logits([draft(drafted)]), drafted));
      }
      return chosenChain(chosen);
    },
    costUs: () => 0,
  };
  /** Withdraws what was drawn with the less likely third: that depends on the draw. */
  const withdrawing: Drafter = {
    ...chooser,
    draft(state, draftTokens) {
      const { tokens, distributions = [] } = chooser.draft(state, draftTokens);
      const unlikely = tokens.findIndex((token, i) => (distributions[i]?.[token] ?? 0) < 2);
      const kept = unlikely === -1 ? tokens.length : unlikely;
      return { ...chain(tokens.slice(0, kept)), distributions: distributions.slice(0, kept) };
    },
  };

  /** [27] chances of all texts of three tokens, of which one round of a drafter gives some and the target the rest. */
  function chancesBy(drafter: Drafter): { chances: number[]; lengths: Set<number> } {
    const chances = new Array<number>(27).fill(0);
    const lengths = new Set<number>();
    const { engine } = fakeEngine({ vocab: 3 });
    const finish = (text: readonly number[], chance: number) => {
      if (text.length >= TOKENS) chances[9 * text[0] + 3 * text[1] + text[2]] += chance;
      else for (const [token, thirds] of target(text).entries()) finish([...text, token], (chance * thirds) / 3);
    };
    const visit = (numbers: readonly number[], share: number) => {
      let used = 0;
      const random = { ...seededRandom(1), float: () => numbers[used++] ?? Number.NaN };
      const distribution = (of: Float32Array) => Float64Array.from(of, (logit) => Math.round(Math.exp(logit)));
      const accept = sampling({ random, distribution });
      const state = {
        ...{ engine, text: [0], context: 0, pending: 0, hidden: null, mostNodes: 8 },
        choose: (of: Float32Array, drafted: readonly number[]) => accept.choose(of, [0], drafted),
      };
      const proposal = drafter.draft(state, TOKENS);
      const rows = [[], ...proposal.tokens.map((_, i) => proposal.tokens.slice(0, i + 1))].map((text) => target(text));
      const { path, next } = accept.accept(logits(rows), proposal, 3, [0]);
      if (used > numbers.length) {
        for (const { middle, length } of SPACES) visit([...numbers, middle], share * length);
        return;
      }
      lengths.add(proposal.tokens.length);
      finish([...path.map((node) => proposal.tokens[node]), next], share);
    };
    visit([], 1);
    return { chances, lengths };
  }

  const exact = () => {
    const all: number[] = [];
    for (let a = 0; a < 3; a++)
      for (let b = 0; b < 3; b++)
        for (let c = 0; c < 3; c++) all.push((target([])[a] * target([a])[b] * target([a, b])[c]) / 27);
    return all;
  };

  test("under rules that end some drafts and not others", () => {
    const seen = new Set<string>();
    for (const from of [0.3, 0.5]) {
      const rule: StopTable = {
        confidence: [
          { below: 0.9, acceptance: 0.6 },
          { below: 1, acceptance: 0.9 },
        ],
        go_on_from: [0.3, from],
      };
      const { chances, lengths } = chancesBy(stoppingDrafter(chooser, rule));
      expect(chances).toEqual(exact().map((chance) => expect.closeTo(chance, 10)));
      seen.add([...lengths].sort().join());
    }
    expect([...seen].some((lengths) => lengths.includes(","))).toBe(true); // some drafts end where others go on
  });

  test("under one that withdraws unlikely draws they do not", () => {
    const off = chancesBy(withdrawing).chances.map((chance, i) => Math.abs(chance - exact()[i]));
    expect(Math.max(...off)).toBeGreaterThan(0.01);
  });
});
