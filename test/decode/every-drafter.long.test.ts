/**
 * The embedded model: 20 prompts of five kinds with 128 tokens each, by every drafter, under plans drawn at random, absurd
 * ones among them, give what plain decoding gives; so they do up to a stop text, an end token inside a draft, and the
 * context's last token. Where outputs part, the target's two greatest logits have to be as good as equal there.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { type DraftPolicy, decode } from "../../src/decode/loop.js";
import { type Opened, planPolicy } from "../../src/decode/policy.js";
import { headsBeside } from "../../src/model/heads/open.js";
import { continuationsOf } from "../../src/pipeline/generate/continuations.js";
import { systemClock } from "../../src/runtime/device.js";
import { openHeads } from "../../src/runtime/heads-engine.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { compactDraft, type Kernel, targetChoices } from "../../src/schema/choice.js";
import { type DrafterRef, MAX_DRAFT_TOKENS, MAX_SIBLINGS } from "../../src/schema/drafter.js";
import { Plan, type Segment } from "../../src/schema/plan.js";
import { type Random, seededRandom } from "../../src/stats/random.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import type { Tokenizer } from "../../src/tokenizer/types.js";
import { EVERY } from "../support/long.js";
import { TIE } from "../support/ties.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const TEXTS = [
  // prose
  "My fellow citizens of the Senate and of the House of Representatives,",
  "It was a cold morning in March when the captain came down to the harbour",
  "The Congress of the United States",
  "In the beginning of the last century the roads of this county were",
  // chat
  "user: Why is the sky blue?\nassistant:",
  "user: Tell me a story about a fox.\nassistant: Once upon a time there was a fox",
  "system: Be brief.\nuser: What is a knapsack?\nassistant:",
  "user: Thank you.\nassistant: You are welcome. Is there anything else",
  // code
  "def fibonacci(n):\n    if n < 2:\n        return n\n",
  "for (let i = 0; i < 10; i++) {\n  console.log(i);\n}\nfor (let i",
  '{"name": "a", "value": 1},\n{"name": "b", "value": 2},\n',
  "int main(void) {\n  int a = 1;\n  int b = 2;\n  return a",
  // lists
  "1. apples\n2. pears\n3. plums\n4.",
  "- one\n- two\n- three\n- one\n- two\n",
  "Monday, Tuesday, Wednesday, Thursday, Friday, Saturday, Sunday, Monday,",
  "| a | 1 |\n| b | 2 |\n| c | 3 |\n",
  // other languages
  "Es war einmal ein König, der hatte eine Tochter, die war",
  "Il y avait une fois un roi et une reine qui",
  "En un lugar de la Mancha, de cuyo nombre no quiero",
  "Всё смешалось в доме",
];
const TOKENS = 128;
const CAPACITY = 256;
const CPU = { provider: "cpu", threads: 1 };
const RANKS = 6;

let model: LoadedModel;
let tokenizer: Tokenizer;
let prompts: number[][];
/** [prompts] plain decoding, end tokens gone over: of a few up to the context's last token */
let plain: number[][];
let ref: { kind: "draftplan/plan"; version: 1; model: Plan["model"] };
let open: Opened[];
let headsSha256: string;
/** the embedded model itself, and one of random weights that hardly ever guesses right */
let others: { path: string; sha256: string; name: string }[];
let closing: { close(): void }[];

beforeAll(async () => {
  const kernels: Kernel[] = ["target", "int8", "int4"];
  model = await loadModel("embedded", { ...CPU, capacity: CAPACITY, kernels });
  tokenizer = await openTokenizer("embedded");
  prompts = TEXTS.map((text) => tokenizer.encode(text));
  const second = model.engine.withOwnCache?.();
  const folder = headsBeside("embedded");
  if (second === undefined || folder === null) throw new Error("the embedded model has a second cache, and heads");
  const heads = await openHeads(folder, model, { ...CPU, ranks: RANKS });
  const bad = writeTinyCheckpoint(temporaryFolder(), { vocab: model.spec.vocabSize, context: 200, layers: 1, seed: 7 });
  const drafting = [await loadModel("embedded", { ...CPU, capacity: CAPACITY }), await loadModel(bad, { ...CPU })];
  others = drafting.map(({ ref: { name, weights_sha256: sha256 }, path }) => ({ path, sha256, name }));
  headsSha256 = heads.sha256;
  open = [
    heads,
    { kind: "own cache", cache: new OwnCache(second), close: () => {} },
    ...drafting.map((one) => ({
      kind: "model" as const,
      weightsSha256: one.ref.weights_sha256,
      cache: new OwnCache(one.engine),
      close: () => {},
    })),
  ];
  closing = [heads, ...drafting, model];
  ref = { kind: "draftplan/plan", version: 1, model: model.ref };
  plain = [];
  for (const [i, prompt] of prompts.entries())
    plain.push(await run(prompt, null, FEW.includes(i) ? CAPACITY - prompt.length : TOKENS));
});
afterAll(() => {
  for (const one of closing ?? []) one.close();
});

const run = async (
  prompt: readonly number[],
  policy: DraftPolicy | null,
  maxTokens: number,
  endTokens: number[] = [],
) => (await decode(model.engine, prompt, { maxTokens, endTokens, clock: systemClock, policy })).ids;

/** @throws where outputs part though the target prefers one of the two tokens by more than a tie */
function requireSame(prompt: readonly number[], ids: readonly number[], expected: readonly number[]): void {
  const at = expected.findIndex((id, i) => ids[i] !== id);
  if (at === -1) {
    expect(ids).toHaveLength(expected.length);
    return;
  }
  expect(ids.length).toBeGreaterThan(at);
  const text = [...prompt, ...expected.slice(0, at)];
  const choices = targetChoices(model.spec.layers);
  const { logits } = model.engine.run({ position: 0, input: text, choices, logitRows: 1 });
  expect(Math.abs(logits[ids[at]] - logits[expected[at]])).toBeLessThan(TIE);
}

/** Anything a draft of own blocks can be, from the target itself to nothing left. */
function randomDraft(random: Random): NonNullable<Segment["draft"]> {
  const { layers } = model.spec;
  const skipped = [0, 0.2, 0.5, 1][random.index(4)];
  const kernels = ["target", "int8", "int4"] as const;
  const blocks = Array.from({ length: 2 * layers }, () =>
    random.float() < skipped ? ("skip" as const) : kernels[random.index(3)],
  );
  return compactDraft({ blocks, head: kernels[random.index(3)] });
}

function randomTree(random: Random): number[][] {
  const tree: number[][] = [];
  for (let depth = 1; depth <= 1 + random.index(4); depth++) {
    const parents = depth === 1 ? [[]] : tree.filter(({ length }) => length === depth - 1);
    for (const parent of parents) for (let rank = 0; rank < 1 + random.index(3); rank++) tree.push([...parent, rank]);
  }
  return tree.slice(0, 40);
}

const ngrams = (random: Random) => {
  const min = 1 + random.index(4);
  return { min, max: min + random.index(8) };
};

type Drafting = Pick<Segment, "drafter" | "draft" | "draft_tokens">;
/** mostly short: a draft of 16 that is always wrong takes 17 passes a token */
const length = (random: Random) => [1, 2, 3, 5, MAX_DRAFT_TOKENS][random.index(5)];

function ofModel(random: Random): Extract<DrafterRef, { kind: "model" }> {
  const { path, sha256, name } = others[random.index(2)];
  return { kind: "model", name, weights_sha256: sha256, path, kernel: (["target", "int8"] as const)[random.index(2)] };
}

const SINGLES = {
  self: (random: Random): Drafting => {
    const drafting = { draft: randomDraft(random), draft_tokens: length(random) };
    const siblings = 1 + random.index(MAX_SIBLINGS);
    return random.float() < 0.3 ? { ...drafting, drafter: { kind: "self", siblings } } : drafting;
  },
  model: (random: Random): Drafting => ({ drafter: ofModel(random), draft_tokens: length(random) }),
  heads: (random: Random): Drafting => {
    const tree = randomTree(random);
    const depth = Math.max(...tree.map((path) => path.length));
    return { drafter: { kind: "heads", path: "heads", sha256: headsSha256, tree }, draft_tokens: depth };
  },
};

/** A lookup in front of one of the others. */
const beside = (random: Random, single: Drafting): Drafting => {
  const lookup = { min_match: 1 + random.index(5), ngram_tokens: { min: 1, max: 8 }, draft_tokens: length(random) };
  const otherwise = (single.drafter ?? { kind: "self" }) as Extract<DrafterRef, { kind: "hybrid" }>["otherwise"];
  return { ...single, drafter: { kind: "hybrid", lookup, otherwise } };
};

const DRAFTERS: Record<string, (random: Random) => Drafting> = {
  ...SINGLES,
  // which have no siblings
  "own blocks with a cache of their own": (random) => {
    const { drafter: _, ...drafting } = SINGLES.self(random);
    return drafting;
  },
  lookup: (random) => {
    const drafted = length(random);
    const branches = { count: 2 + random.index(3), draft_tokens: 1 + random.index(drafted) };
    const several = random.float() < 0.5 ? { branches } : {};
    return { drafter: { kind: "lookup", ngram_tokens: ngrams(random), ...several }, draft_tokens: drafted };
  },
  "lookup, else own blocks": (random) => beside(random, SINGLES.self(random)),
  "lookup, else another model": (random) => beside(random, SINGLES.model(random)),
  "lookup, else heads": (random) => beside(random, SINGLES.heads(random)),
};

/** Half of the drafts that have a confidence may end by it, under any rule. */
function randomStop({ drafter }: Drafting, random: Random): Pick<Segment, "stop"> {
  if (drafter?.kind === "self" && drafter.siblings !== undefined) return {};
  const kind = drafter?.kind ?? "self";
  if ((kind !== "self" && kind !== "model") || random.float() < 0.5) return {};
  const draft_tokens = length(random);
  const ends = [...new Set([0.6, 0.8, 0.9, 0.99].filter(() => random.float() < 0.5))];
  const rates = [...ends, 1].map(() => random.float()).sort((a, b) => a - b);
  const confidence = [...ends, 1].map((below, i) => ({ below, acceptance: rates[i] }));
  const go_on_from = Array.from({ length: draft_tokens - 1 }, () => random.float() ** 3);
  return { stop: { rule: random.index(4) === 0 ? "fixed" : "early", draft_tokens, confidence, go_on_from } };
}

/** Up to six segments, some of one context alone, some plain. */
function randomPlan(name: string, seed: number): DraftPolicy {
  const random = seededRandom(seed);
  const ends = [...new Set(Array.from({ length: 1 + random.index(6) }, () => 1 + random.index(CAPACITY)))];
  const bounds = [...ends, CAPACITY].sort((a, b) => a - b).filter((to, i, all) => to !== all[i - 1]);
  const segments = bounds.map((to, i): Segment => {
    const context_tokens = { from: i === 0 ? 0 : bounds[i - 1], to };
    if (random.float() < 0.15) return { context_tokens, speculate: false };
    const drafting = DRAFTERS[name](random);
    return { context_tokens, speculate: true, ...drafting, ...randomStop(drafting, seededRandom(seed, i)) };
  });
  const own = name.endsWith("cache of their own") ? { draft_cache: "own" as const } : {};
  // what a user could not write is no test
  const plan = Plan.parse({ ...ref, ...own, segments });
  return planPolicy(plan, model.spec.layers, name, undefined, open);
}

const PLANS = [1, 2, 3];
/** One of each kind: what ends an output is looked at on these. */
const FEW = [0, 5, 10, 14, 17];
const seedOf = (name: string, plan: number) => 1000 * plan + [...name].reduce((sum, c) => sum + c.charCodeAt(0), 0);

describe.each(Object.keys(DRAFTERS))("drafting by %s", (name) => {
  // every prompt under every plan takes 14 minutes: unless it is asked for, each plan has a third of them
  test.each(PLANS)("plan %i: prompts' 128 tokens are those of plain decoding", async (number) => {
    const policy = randomPlan(name, seedOf(name, number));
    for (const [i, prompt] of prompts.entries())
      if (EVERY || i % PLANS.length === number - 1)
        requireSame(prompt, await run(prompt, policy, TOKENS), plain[i].slice(0, TOKENS));
  });

  test("an end token inside a draft ends the output", async () => {
    const policy = randomPlan(name, seedOf(name, 4));
    for (const i of FEW) {
      const prompt = prompts[i];
      const end = plain[i][10 + (i % 30)];
      const expected = plain[i].slice(0, plain[i].indexOf(end) + 1);
      requireSame(prompt, await run(prompt, policy, TOKENS, [end]), expected);
    }
  });

  test("a stop text ends the output with the token that completes it, and is not printed", async () => {
    const policy = randomPlan(name, seedOf(name, 5));
    for (const i of FEW) {
      const ids = prompts[i];
      // in the middle of a token and over its end
      const [before, through] = [tokenizer.decode(plain[i].slice(0, 15)), tokenizer.decode(plain[i].slice(0, 19))];
      const stop = through.slice(before.length + 1);
      if (stop.includes("\uFFFD") || stop === "") continue;
      const options = { maxTokens: TOKENS, sampling: undefined, sink: null, progress: silentProgress, stops: [stop] };
      const prompt = { ids, tokenizer, at: "test" };
      const [alone] = await continuationsOf(model.engine, prompt, { ...options, policy: null });
      const [drafted] = await continuationsOf(model.engine, prompt, { ...options, policy });
      expect(alone.finish).toBe("stop");
      requireSame(ids, drafted.ids, alone.ids);
      expect(drafted.text).not.toContain(stop);
      if (String(drafted.ids) === String(alone.ids)) expect(drafted.text).toBe(alone.text);
    }
  });

  test("the output may go up to the context's last token", async () => {
    const policy = randomPlan(name, seedOf(name, 6));
    for (const i of FEW) {
      const prompt = prompts[i];
      requireSame(prompt, await run(prompt, policy, CAPACITY - prompt.length), plain[i]);
    }
  });
});
