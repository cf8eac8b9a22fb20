/** Turns over one cache say what a decoding from nothing would, and run no token twice. */
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../../src/core/progress.js";
import { chain, type Drafter, type DraftState } from "../../../src/decode/drafters/drafter.js";
import { lookupDrafter } from "../../../src/decode/drafters/lookup.js";
import { modelDrafter } from "../../../src/decode/drafters/model.js";
import { OwnCache } from "../../../src/decode/drafters/own-cache.js";
import { selfDrafter } from "../../../src/decode/drafters/self.js";
import { standaloneDrafter } from "../../../src/decode/drafters/standalone.js";
import { type DraftPolicy, decode } from "../../../src/decode/loop.js";
import { Conversation, type ConversationOptions } from "../../../src/pipeline/generate/conversation.js";
import { uniformChoices } from "../../../src/schema/choice.js";
import { seededRandom } from "../../../src/stats/random.js";
import type { ChatMessage } from "../../../src/tokenizer/types.js";
import { fakeNextToken, naiveGreedy } from "../../oracle/naive-greedy.js";
import { fakeEngine } from "../../support/fake-model.js";
import { trials } from "../../support/long.js";
import {
  countingTemplate,
  forgetfulTemplate,
  plainTemplate,
  type Template,
  TOY_VOCAB,
  toyTokenizer,
} from "../../support/toy-chat.js";

const CONTEXT = 2000;
const LAYERS = 3;
const next = (text: readonly number[]) => fakeNextToken(text, TOY_VOCAB);

function open(template: Template, changes: Partial<ConversationOptions> = {}, joined?: string) {
  const { engine, clock } = fakeEngine({ vocab: TOY_VOCAB, layers: LAYERS, context: CONTEXT });
  const tokenizer = toyTokenizer(template, joined);
  const shared = { engine, clock, tokenizer, policy: null, stops: [], progress: silentProgress };
  const conversation = new Conversation({ ...shared, contextTokens: CONTEXT, maxTokens: 6, ...changes });
  return { conversation, engine, tokenizer, clock };
}

/** What is to be said, from the template and the naive decoding alone. */
function expected(template: Template, said: readonly string[], maxTokens: number, joined?: string) {
  const tokenizer = toyTokenizer(template, joined);
  const messages: ChatMessage[] = [];
  return said.map((content) => {
    messages.push({ role: "user", content });
    const prompt = tokenizer.encodeRendered(template(messages));
    const ids = naiveGreedy(next, prompt, maxTokens);
    messages.push({ role: "assistant", content: tokenizer.decode(ids) });
    return { prompt, ids };
  });
}

const common = (a: readonly number[], b: readonly number[]): number => {
  const at = a.findIndex((id, i) => id !== b[i]);
  return at === -1 ? a.length : at;
};

const SAID = ["abc", "d", "efgabc", "hh", "abcabc"];

describe.each([
  ["keeps every message", plainTemplate],
  ["cuts earlier answers", forgetfulTemplate],
  ["begins otherwise every time", countingTemplate],
] as const)("a template that %s", (_name, template) => {
  test("gives what decoding from nothing gives, and runs only what the cache does not hold", async () => {
    const { conversation, engine } = open(template);
    let held: number[] = [];
    for (const [i, { prompt, ids }] of expected(template, SAID, 6).entries()) {
      const before = engine.passes.length;
      const turn = await conversation.say(SAID[i], null);
      expect(turn.ids).toEqual(ids);
      const read = prompt.length - Math.min(common(held, prompt), prompt.length - 1);
      expect(turn.readTokens).toBe(read);
      // the last token of an answer is not run
      const run = engine.passes.slice(before).reduce((sum, { q }) => sum + q, 0);
      expect(run).toBe(read + ids.length - 1);
      held = [...prompt, ...ids.slice(0, -1)];
      const cells = Array.from(engine.readCache(0, "key", 0, held.length));
      expect(cells).toEqual(held.map((id) => id + 1));
    }
  });
});

test("a plain template's later turns run the answer's last token, the mark and the question alone", async () => {
  const { conversation } = open(plainTemplate);
  await conversation.say("abc", null);
  // the answer's last token, its end, the question's mark, "d", its end, the answer's mark
  expect((await conversation.say("d", null)).readTokens).toBe(6);
});

test("an answer whose text has other tokens than were decoded is read anew from there", async () => {
  const [first] = expected(plainTemplate, ["abc"], 6);
  const joined = toyTokenizer(plainTemplate).decode(first.ids.slice(1, 3));
  const { conversation } = open(plainTemplate, {}, joined);
  for (const [i, { ids }] of expected(plainTemplate, SAID, 6, joined).entries())
    expect((await conversation.say(SAID[i], null)).ids).toEqual(ids);
});

test("what the system says stands before everything, and is not read again after /clear", async () => {
  const { conversation } = open(plainTemplate, { system: "abcdefgh" });
  const first = await conversation.say("abc", null);
  expect(first.readTokens).toBe(first.promptTokens);
  await conversation.say("d", null);
  conversation.clear();
  const again = await conversation.say("d", null);
  const alone = await open(plainTemplate, { system: "abcdefgh" }).conversation.say("d", null);
  expect(again.ids).toEqual(alone.ids);
  expect(again.promptTokens).toBe(alone.promptTokens);
  // the system's words, its two marks and the question's are common
  expect(again.readTokens).toBe(alone.promptTokens - 11);
});

/** Guesses by the states of the whole text, which it must have been told of without a gap: the target's own. */
function stateful(): Drafter & { told: number } {
  let states: number[] = [];
  const drafter = {
    key: "stateful",
    told: 0,
    begin() {
      states = [];
    },
    states(position: number, hidden: Float32Array) {
      expect(position).toBe(states.length);
      drafter.told++;
      for (let i = 0; i < hidden.length; i += hidden.length / rowsOf(hidden)) states.push(hidden[i]);
    },
    draft({ text, context }: Pick<DraftState, "text" | "context">, draftTokens: number) {
      expect(states).toHaveLength(context);
      // a state of the toy engine is a hash of all in front of it
      const { engine } = fakeEngine({ vocab: TOY_VOCAB, layers: LAYERS, context: CONTEXT });
      const choices = uniformChoices(LAYERS, "target");
      const { hidden } = engine.run({ position: 0, input: text.slice(0, -1), choices, logitRows: 0 });
      const size = engine.spec.hiddenSize;
      expect(states).toEqual(Array.from({ length: context }, (_, i) => hidden[i * size]));
      return chain([next(text), 0].slice(0, draftTokens));
    },
    costUs: () => 0,
  };
  const { engine } = fakeEngine({ vocab: TOY_VOCAB, layers: LAYERS });
  const rowsOf = (hidden: Float32Array) => hidden.length / engine.spec.hiddenSize;
  return drafter;
}

const draftModel = () => {
  const { engine } = fakeEngine({ vocab: TOY_VOCAB, layers: 1, missRate: 0.3, context: CONTEXT });
  return {
    engine,
    drafter: modelDrafter({ kind: "model", weightsSha256: "cd", cache: new OwnCache(engine), close: () => {} }, "int8"),
  };
};
const drafters: [string, () => Drafter][] = [
  ["own blocks", () => selfDrafter(uniformChoices(LAYERS, "int8"))],
  ["a lookup", () => lookupDrafter({ min: 1, max: 3 })],
  ["another model", () => draftModel().drafter],
  [
    "a cache of its own",
    () => {
      const { engine } = fakeEngine({ vocab: TOY_VOCAB, layers: LAYERS, context: CONTEXT });
      return standaloneDrafter(uniformChoices(LAYERS, "int8"), new OwnCache(engine));
    },
  ],
  ["states of the whole text", stateful],
];

describe.each(drafters)("drafting by %s", (_name, make) => {
  test("changes no turn, with any template, interrupted or not", async () => {
    const cases = fc.record({
      template: fc.constantFrom(plainTemplate, forgetfulTemplate, countingTemplate),
      turns: fc.array(
        fc.record({
          said: fc.string({ unit: fc.constantFrom("a", "b", "c"), minLength: 1, maxLength: 5 }),
          ticks: fc.option(fc.nat(5)),
        }),
        { minLength: 1, maxLength: 5 },
      ),
      draftTokens: fc.integer({ min: 1, max: 4 }),
    });
    await fc.assert(
      fc.asyncProperty(cases, async ({ template, turns, draftTokens }) => {
        const drafter = make();
        const policy: DraftPolicy = Object.assign(() => ({ drafter, draftTokens }), { drafters: [drafter] });
        let left = Number.POSITIVE_INFINITY;
        const stop = new Error("interrupted");
        const progress = {
          ...silentProgress,
          async tick() {
            if (left-- <= 0) throw stop;
          },
        };
        const { conversation, tokenizer } = open(template, { policy, progress, maxTokens: 9 });
        const messages: ChatMessage[] = [];
        for (const { said, ticks } of turns) {
          left = ticks ?? Number.POSITIVE_INFINITY;
          const written: string[] = [];
          const sink = { write: (text: string) => void written.push(text), end: () => {} };
          const turn = await conversation.say(said, sink).catch((error) => {
            expect(error).toBe(stop);
            return null;
          });
          const asked = [...messages, { role: "user", content: said }];
          const ids = naiveGreedy(next, tokenizer.encodeRendered(template(asked)), 9);
          const text = written.join("");
          expect(tokenizer.decode(ids).startsWith(text)).toBe(true);
          if (turn !== null) expect(turn.ids).toEqual(ids);
          if (text !== "") messages.push(...asked.slice(-1), { role: "assistant", content: text });
        }
      }),
      { seed: 20201, numRuns: trials(25, 300) },
    );
  });
});

test("another model's cache is kept too: it reads what is new", async () => {
  const { engine, drafter } = draftModel();
  const policy: DraftPolicy = Object.assign(() => ({ drafter, draftTokens: 2 }), { drafters: [drafter] });
  const { conversation } = open(plainTemplate, { policy });
  await conversation.say("abcabcabcabcabcabcabc", null);
  const before = engine.passes.length;
  await conversation.say("d", null);
  expect(Math.max(...engine.passes.slice(before).map(({ q }) => q))).toBeLessThan(9);
});

describe("the end of the context", () => {
  test("shortens an answer, then refuses in clear words what has no room, and leaves the conversation as it was", async () => {
    const { conversation } = open(plainTemplate, { contextTokens: 20 });
    // 8 tokens of the first turn, 6 answered
    expect((await conversation.say("abcde", null)).ids).toHaveLength(6);
    const second = await conversation.say("", null);
    expect(second).toMatchObject({ promptTokens: 18, finish: "length" });
    expect(second.ids).toHaveLength(2);
    await expect(conversation.say("a", null)).rejects.toMatchObject({
      code: "CONTEXT_LIMIT",
      what: expect.stringContaining("room for 19"),
    });
    expect(conversation.turns).toHaveLength(2);
    conversation.clear();
    expect((await conversation.say("abcde", null)).ids).toHaveLength(6);
  });

  test("an answer may fill it to the last token", async () => {
    const { conversation } = open(plainTemplate, { contextTokens: 9 });
    const [{ ids }] = expected(plainTemplate, ["abcde"], 1);
    expect((await conversation.say("abcde", null)).ids).toEqual(ids);
  });
});

test("a stop text is neither printed nor said", async () => {
  const [{ prompt, ids }] = expected(plainTemplate, ["abc"], 6);
  const tokenizer = toyTokenizer(plainTemplate);
  const stop = tokenizer.decode(ids.slice(2, 4));
  const { conversation } = open(plainTemplate, { stops: [stop] });
  const turn = await conversation.say("abc", null);
  expect(turn).toMatchObject({ finish: "stop", text: tokenizer.decode(ids.slice(0, 2)), promptTokens: prompt.length });
  const messages = [
    { role: "user", content: "abc" },
    { role: "assistant", content: turn.text },
    { role: "user", content: "d" },
  ];
  const then = tokenizer.encodeRendered(plainTemplate(messages));
  expect((await conversation.say("d", null)).ids.slice(0, 2)).toEqual(naiveGreedy(next, then, 2));
});

test("each turn is drawn by a seed of its own, as one continuation of the rendered conversation is", async () => {
  const filters = { temperature: 1.5, top_k: 5 };
  const { conversation, tokenizer } = open(plainTemplate, { sampling: { filters, seed: 40 } });
  const messages: ChatMessage[] = [];
  for (const [i, content] of ["abc", "d", "e"].entries()) {
    messages.push({ role: "user", content });
    const { engine, clock } = fakeEngine({ vocab: TOY_VOCAB, layers: LAYERS, context: CONTEXT });
    const sampling = { filters, random: seededRandom(40 + i) };
    const prompt = tokenizer.encodeRendered(plainTemplate(messages));
    const alone = await decode(engine, prompt, { maxTokens: 6, endTokens: [], policy: null, clock, sampling });
    const turn = await conversation.say(content, null);
    expect(turn.ids).toEqual(alone.ids);
    messages.push({ role: "assistant", content: turn.text });
  }
});
