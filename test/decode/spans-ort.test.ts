/** Decoding with drafts over spans: tokens of the target's own greedy decoding, and after every round the cache of a fresh prompt. */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { evaluateDraft } from "../../src/calibrate/evaluate.js";
import { drafterOf } from "../../src/decode/drafters/self.js";
import { decode } from "../../src/decode/loop.js";
import { planPolicy } from "../../src/decode/policy.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { type Choice, type ChoiceSet, everywhere, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { naiveGreedy } from "../oracle/naive-greedy.js";
import { openTiny, tokens } from "../runtime/support.js";
import { cacheDifference } from "../support/cache-difference.js";
import { expectFailure } from "../support/failure.js";
import { handPlan } from "../support/plans.js";
import type { TinyModel } from "../support/tiny-checkpoint.js";

const MODEL: TinyModel = { seed: 21, headDim: 16, layers: 3, eosTokenIds: [] };
const PROMPT = tokens(31, 40);
const TOKENS = 60;
const mixed: ChoiceSet = {
  blocks: ["target@16", "int8", "skip", "target", "int8@32", "target"],
  head: "target",
};

describe("a model whose drafts read spans", () => {
  let engine: Engine;
  let twin: Engine;
  let expected: number[];
  beforeAll(async () => {
    engine = await openTiny(MODEL, 192);
    twin = await openTiny(MODEL, 192);
    expected = naiveGreedy((ids) => argmax(fresh(ids), 0, twin.spec.vocabSize), PROMPT, TOKENS);
  });
  afterAll(() => {
    engine.close();
    twin.close();
  });
  const fresh = (ids: readonly number[]) =>
    twin.run({ position: 0, input: ids, choices: targetChoices(3), logitRows: 1 }).logits;

  test.each([
    ["all at 16", everywhere(3, "target@16"), 4],
    ["mixed, one attention skipped, one whole", mixed, 6],
    ["longer than the context", everywhere(3, "int8@4096"), 3],
  ])("%s: the target's tokens, and after every round the cache of a fresh prompt", async (_name, choices, d) => {
    let text = [...PROMPT];
    const { ids, rounds } = await decode(engine, PROMPT, {
      maxTokens: TOKENS,
      endTokens: [],
      policy: () => ({ choices, draftTokens: d }),
      onTokens: (more) => {
        text = [...text, ...more];
        if (text.length % 5 !== 0) return; // the last token is not in the cache yet
        fresh(text.slice(0, -1));
        expect(cacheDifference(engine, twin, text.length - 1)).toBeLessThan(1e-5);
      },
      clock: systemClock,
    });
    expect(ids).toEqual(expected);
    const { acceptance } = acceptanceOf(rounds);
    if (choices === mixed) expect(acceptance).toBeLessThan(1); // rejection has run
  });

  test("rounds drafted with a span that is longer than the context are those drafted without", async () => {
    const drafted = async (choices: ChoiceSet) => {
      const options = { maxTokens: TOKENS, endTokens: [], clock: systemClock };
      const { rounds } = await decode(engine, PROMPT, { ...options, policy: () => ({ choices, draftTokens: 5 }) });
      return rounds.map(({ context, accepted }) => [context, accepted]);
    };
    expect(await drafted(everywhere(3, "int8@256"))).toEqual(await drafted(uniformChoices(3, "int8")));
  });

  test("evaluate's positions are first tokens of real rounds", async () => {
    const choices = everywhere(3, "target@16");
    const text = [...PROMPT, ...expected];
    const { draftTop1 } = await evaluateDraft(engine, text, 20, () => choices);
    for (let position = 20; position < text.length; position += 7) {
      fresh(text.slice(0, position));
      const state = { engine: twin, text, context: position, pending: text[position], hidden: null, mostNodes: 8 };
      const choose = (logits: Float32Array) => ({ token: argmax(logits, 0, logits.length), distribution: null });
      const { tokens: drafted } = drafterOf({ choices, draftTokens: 1 }).draft({ ...state, choose }, 1);
      expect(drafted).toEqual([draftTop1[position - 20]]);
    }
  });
});

test("a plan whose draft has a cache of its own is refused with spans", async () => {
  const choices: Record<string, Choice> = { "0.attn": "int8@64" };
  const document = handPlan({
    ...{ name: "tiny", layers: 3, architectureSha256: "a".repeat(64), weightsSha256: "b".repeat(64) },
    ...{ draft: { default: "int8", head: "int8", skip: [], choices }, draftTokens: 4 },
  });
  await expectFailure(
    () => planPolicy({ ...document, draft_cache: "own" }, 3, "plan.yaml"),
    "CHOICE_UNAVAILABLE",
    /int8@64.*cache of its own/,
  );
  expect(planPolicy(document, 3, "plan.yaml")(10)).not.toBeNull();
});
