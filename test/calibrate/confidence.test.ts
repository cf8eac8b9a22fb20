/** Acceptance by confidence against exact counting. */
import { describe, expect, test } from "vitest";
import { CONFIDENCE_ENDS, ConfidenceCounts } from "../../src/calibrate/confidence.js";
import type { Continuation } from "../../src/calibrate/continuation.js";
import { measureByDrafting } from "../../src/calibrate/real-drafting.js";
import { measureDrafts } from "../../src/calibrate/whole-drafts.js";
import { silentProgress } from "../../src/core/progress.js";
import { uniformChoices } from "../../src/schema/choice.js";
import { acceptanceAt, ConfidenceTable } from "../../src/schema/stop/confidence.js";
import { confidenceOfLogits, confidenceOfWeights } from "../../src/stats/confidence.js";
import { seededRandom } from "../../src/stats/random.js";
import { fakeNextToken, naiveGreedy } from "../oracle/naive-greedy.js";
import { fakeEngine } from "../support/fake-model.js";

const VOCAB = 40;
const int8 = uniformChoices(3, "int8");
const draftLogit = (draw: number): number => 6 * draw;
const engineOf = () => fakeEngine({ vocab: VOCAB, missRate: 0.3, draftLogit });
const next = (text: readonly number[]) => fakeNextToken(text, VOCAB);
const endOf = (confidence: number) => CONFIDENCE_ENDS.find((end) => confidence < end) ?? 1;

/** The draft's own logits behind a text, by passes of one token over the target's cache. */
function drafted(text: readonly number[], at: number): { token: number; confidence: number } {
  const { engine } = engineOf();
  engine.run({ position: 0, input: text.slice(0, at), choices: uniformChoices(3, "target"), logitRows: 0 });
  const { logits } = engine.run({ position: at, input: [text[at]], choices: int8, logitRows: 1 });
  const most = Math.max(...logits);
  // all other logits are 0
  return { token: logits.indexOf(most), confidence: 1 / (1 + Math.exp(-most)) };
}

const counted = (table: ConfidenceTable) =>
  table.map(({ below, positions, accepted }) => ({ below, positions, accepted }));

test("along a text every position is counted with the confidence that the draft has there", async () => {
  const prompt = [3, 1, 2];
  const ids = naiveGreedy(next, prompt, 161, []);
  const continuation: Continuation = { prompt, ids };
  const { engine } = engineOf();
  // rounds of one token: the draft reads nothing but the target's states, as the twin does
  const [{ confidence: table }] = await measureDrafts(engine, [continuation], [int8], 1, silentProgress);
  const text = [...prompt, ...ids];
  const expected = new Map<number, { positions: number; accepted: number }>();
  for (let i = 0; i < ids.length - 1; i++) {
    const { token, confidence } = drafted(text, prompt.length + i);
    const bin = expected.get(endOf(confidence)) ?? { positions: 0, accepted: 0 };
    bin.positions += 1;
    bin.accepted += token === ids[i + 1] ? 1 : 0;
    expected.set(endOf(confidence), bin);
  }
  const ends = [...expected.keys()].sort((a, b) => a - b);
  if (table === undefined) throw new Error("nothing was counted");
  expect(table.map(({ positions, accepted }) => ({ positions, accepted }))).toEqual(
    ends.map((end) => expected.get(end)),
  );
  expect(ConfidenceTable.safeParse(table).success).toBe(true);
  // a draft that is surer is right more often, and the planted draft never misses where it is sure
  expect(table[0].acceptance).toBeLessThan(0.5);
  expect(table[table.length - 1].acceptance).toBeGreaterThan(0.95);
});

test("real drafting counts what was put to the test, and apart what lies behind a rejection", async () => {
  const { engine, clock } = engineOf();
  const draft = { choices: int8, draftTokens: 4 };
  const { confidence: table } = await measureByDrafting(engine, clock, [[5, 6, 7]], draft, 101, silentProgress);
  const text = [5, 6, 7, ...naiveGreedy(next, [5, 6, 7], 101, [])];
  const expected = new ConfidenceCounts();
  const last = text.length - 1;
  let beyond = 0;
  // the decoder's rounds once more: four drafted tokens but at the end of the output, then the target's own
  for (let at = 3; at < last; ) {
    const most = Math.min(4, last - at - 1);
    let accepted = 0;
    while (accepted < most) {
      const passes = engineOf().engine;
      passes.run({ position: 0, input: text.slice(0, at), choices: uniformChoices(3, "target"), logitRows: 0 });
      let logits: Float32Array = new Float32Array();
      for (let i = 0; i <= accepted; i++)
        logits = passes.run({ position: at + i, input: [text[at + i]], choices: int8, logitRows: 1 }).logits;
      const token = logits.indexOf(Math.max(...logits));
      const hit = token === text[at + accepted + 1];
      expected.add(confidenceOfLogits(logits, 0, VOCAB), hit ? 1 : 0);
      if (!hit) break;
      accepted++;
    }
    beyond += Math.max(0, most - accepted - 1);
    at += accepted + 1;
  }
  if (table === undefined) throw new Error("nothing was counted");
  expect(counted(table)).toEqual(counted(expected.table() ?? []));
  expect(table.reduce((sum, bin) => sum + (bin.beyond ?? 0), 0)).toBe(beyond);
  expect(beyond).toBeGreaterThan(10);
});

describe("the table", () => {
  const tableOf = (bins: readonly [confidence: number, positions: number, accepted: number][]) => {
    const counts = new ConfidenceCounts();
    for (const [confidence, positions, accepted] of bins)
      for (let i = 0; i < positions; i++) counts.add(confidence, i < accepted ? 1 : 0);
    return counts.table() ?? [];
  };

  test("pools neighbours that fall, and takes half a miss for those not seen, once where it pools", () => {
    const table = tableOf([
      [0.51, 10, 4],
      [0.58, 10, 8],
      [0.65, 10, 6],
      [0.999, 20, 20],
    ]);
    expect(table.map(({ acceptance }) => acceptance)).toEqual([4 / 10.5, 14 / 20.5, 14 / 20.5, 20 / 20.5].map(six));
  });

  test("a small bin without a miss is not held to be worse than a large one below it", () => {
    const table = tableOf([
      [0.5, 337, 333],
      [0.7, 92, 92],
      [0.995, 4, 4],
    ]);
    expect(table.map(({ acceptance }) => acceptance)).toEqual([333 / 337.5, 96 / 96.5, 96 / 96.5].map(six));
  });

  test("confidences that never came are read as the bin below them has it", () => {
    const table = tableOf([
      [0.65, 10, 5],
      [0.85, 10, 9],
    ]);
    expect(table.map(({ below }) => below)).toEqual([0.8, 1]);
    expect([0.5, 0.79, 0.8, 1].map((confidence) => acceptanceAt(table, confidence).positions)).toEqual([
      10, 10, 10, 10,
    ]);
    expect([0.5, 0.79, 0.8, 1].map((confidence) => acceptanceAt(table, confidence).accepted)).toEqual([5, 5, 9, 9]);
  });

  test("of two halves of the evidence it is that of the whole", () => {
    const random = seededRandom(2);
    const [whole, one, other] = [new ConfidenceCounts(), new ConfidenceCounts(), new ConfidenceCounts()];
    for (let i = 0; i < 200; i++) {
      const confidences = Array.from({ length: 3 }, () => random.float());
      const drafted = 1 + random.index(3);
      const accepted = random.index(drafted + 1);
      for (const counts of [whole, i % 2 === 0 ? one : other]) counts.addRound(confidences, drafted, accepted);
    }
    one.take(other);
    expect(one.table()).toEqual(whole.table());
    expect(new ConfidenceCounts().table()).toBeNull();
  });
});

const six = (value: number): number => Number(value.toPrecision(6));

test("confidence is the share of the likeliest token in the two likeliest", () => {
  const random = seededRandom(3);
  const vocab = 300;
  const logits = Float32Array.from({ length: 2 * vocab }, () => 3 * random.normal());
  for (const row of [0, 1]) {
    const own = Array.from(logits.subarray(row * vocab, (row + 1) * vocab));
    const weights = Float64Array.from(own, Math.exp);
    const [first, second] = Array.from(weights).sort((a, b) => b - a);
    expect(confidenceOfLogits(logits, row, vocab)).toBeCloseTo(first / (first + second), 12);
    expect(confidenceOfWeights(weights)).toBeCloseTo(first / (first + second), 12);
  }
  expect(confidenceOfLogits(Float32Array.of(2, 5, 5), 0, 3)).toBe(0.5);
  expect(confidenceOfLogits(Float32Array.of(2), 0, 1)).toBe(1);
  expect(confidenceOfWeights(Float64Array.of(0, 4, 0))).toBe(1);
});
