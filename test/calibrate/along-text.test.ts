/** What a calibration says of lookups and of other models is what they would do in decoding. */
import { expect, test } from "vitest";
import { hitsAlong, lookupAlong, TextEvidence } from "../../src/calibrate/along-text.js";
import { silentProgress } from "../../src/core/progress.js";
import { lookupDrafter } from "../../src/decode/drafters/lookup.js";
import { modelDrafter } from "../../src/decode/drafters/model.js";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { decode } from "../../src/decode/loop.js";
import { LookupCalibration, LookupContext, ModelCalibration } from "../../src/schema/text-calibration.js";
import { treeAt } from "../../src/solve/drafting/branches.js";
import { certainly, textRounds } from "../../src/stats/text-rounds.js";
import { fakeEngine } from "../support/fake-model.js";

const VOCAB = 4;
const PROMPT = [3, 1, 2, 3, 1];

/** The fake model's own text of so many tokens, drafted for by nobody. */
async function continued(maxTokens: number, vocab = VOCAB) {
  const { engine, clock } = fakeEngine({ vocab });
  const { ids } = await decode(engine, PROMPT, { maxTokens, endTokens: [], clock, policy: null });
  return { prompt: PROMPT, ids };
}
const draftModel = () => fakeEngine({ vocab: VOCAB, layers: 1, missRate: 0.35 }).engine;

test.each([
  [2, 4],
  [3, 8],
  [1, 2],
])("rounds of a lookup from %i matching tokens, %i drafted, are those of decoding with it", async (min, d) => {
  const text = await continued(200);
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const drafter = lookupDrafter({ min, max: 8 });
  const policy = () => ({ drafter, draftTokens: d });
  const { rounds } = await decode(engine, PROMPT, { maxTokens: 200, endTokens: [], clock, policy });
  const { matched, followed } = lookupAlong(text);
  const found = textRounds([matched.length], (_text, at) =>
    matched[at] >= min
      ? { byLookup: true, drafted: d, accepting: certainly(Math.min(d, followed[at])) }
      : { byLookup: false, drafted: 0, accepting: [1] },
  );
  // the loop drafts one token less at the limit, where the last token needs no draft
  const drafting = rounds.filter(({ drafted }) => drafted > 0);
  expect(Math.abs(found.lookup.rounds - drafting.length)).toBeLessThanOrEqual(1);
  expect(Math.abs(found.lookup.rounds + found.other.rounds - rounds.length)).toBeLessThanOrEqual(1);
});

test.each([
  [1, 4, { count: 3, draft_tokens: 2 }],
  [2, 6, { count: 2, draft_tokens: 6 }],
  [1, 3, { count: 8, draft_tokens: 1 }],
])(
  "rounds of a lookup from %i matching tokens, %i drafted, that goes on from several places (%j) too",
  async (min, d, branches) => {
    const vocab = 14; // the text of fewer goes round in circles, and all places go on alike
    const text = await continued(200, vocab);
    const { engine, clock } = fakeEngine({ vocab });
    const drafter = lookupDrafter({ min, max: 8 }, branches);
    const policy = () => ({ drafter, draftTokens: d });
    const { rounds, ids } = await decode(engine, PROMPT, { maxTokens: 200, endTokens: [], clock, policy });
    expect(ids).toEqual(text.ids);
    const along = lookupAlong(text);
    const context = { at_context: 5, part: "choose" as const, positions: along.matched.length };
    const looked = LookupContext.parse({
      ...{ ...context, matched: [along.matched], followed: [along.followed], branches: [along.branches] },
    });
    let trees = 0;
    // the loop drafts less at the limit
    for (const { context: at, nodes, accepted } of rounds.slice(0, -d)) {
      const position = at - PROMPT.length;
      if (along.matched[position] < min) {
        expect(nodes).toBe(0);
        continue;
      }
      const tree = treeAt(looked, { min, draftTokens: d, branches }, 0, position);
      expect({ nodes, accepted }).toEqual({ nodes: tree.nodes, accepted: tree.accepted });
      if (tree.isTree) trees++;
    }
    expect(trees).toBeGreaterThan(10);
  },
);

test("a model's hits along a text are what it drafts in decoding", async () => {
  const text = await continued(150);
  const hits = await hitsAlong(draftModel(), "int8", text, silentProgress);
  const { engine, clock } = fakeEngine({ vocab: VOCAB });
  const open = { kind: "model" as const, weightsSha256: "a".repeat(64), cache: new OwnCache(draftModel()), close() {} };
  const drafter = modelDrafter(open, "int8");
  const policy = () => ({ drafter, draftTokens: 1 });
  const { rounds } = await decode(engine, PROMPT, { maxTokens: 150, endTokens: [], clock, policy });
  for (const { context, drafted, accepted } of rounds)
    if (drafted === 1) expect(hits?.[context - PROMPT.length]).toBe(accepted);
});

test("evidence becomes entries that the schema takes, and of nobody none", async () => {
  const engine = draftModel();
  const model = { name: "small", path: "small", weightsSha256: "a".repeat(64), engine };
  const models = [{ ...model, kernels: ["target", "int8"] as const }];
  const evidence = new TextEvidence({ lookup: true, models });
  const text = await continued(40);
  await evidence.take(200, "choose", text, silentProgress);
  await evidence.take(200, "report", text, silentProgress);
  await evidence.take(200, "choose", { prompt: PROMPT, ids: [1] }, silentProgress); // nothing to predict
  const { lookup, models: known } = evidence.keys();
  expect(LookupCalibration.parse(lookup).contexts.map(({ part, positions }) => [part, positions])).toEqual([
    ["choose", 39],
    ["report", 39],
  ]);
  expect(known?.map((one) => ModelCalibration.parse(one).kernel)).toEqual(["target", "int8"]);
  expect(known?.[0].contexts[0].hits[0].every((hit) => hit === 1)).toBe(true); // it is the target's twin
  const nobody = new TextEvidence({ lookup: false, models: [] });
  await nobody.take(200, "choose", text, silentProgress);
  expect(nobody.keys()).toEqual({});
});

test("a model whose context does not hold the text hits nothing, as it would draft nothing", async () => {
  const { engine } = fakeEngine({ vocab: VOCAB, layers: 1, context: 20 });
  expect(await hitsAlong(engine, "target", await continued(40), silentProgress)).toBeNull();
});
