import { describe, expect, test } from "vitest";
import { ContinuedPrompts } from "../../../src/calibrate/continuation.js";
import { silentProgress } from "../../../src/core/progress.js";
import { measureCandidates, measureChoosing, measureReport } from "../../../src/pipeline/measuring/candidates.js";
import { ChoosingEvidence, replaced } from "../../../src/pipeline/measuring/evidence.js";
import type { Measuring, Precision } from "../../../src/pipeline/measuring/measuring.js";
import { measuringText } from "../../../src/pipeline/text/measuring-text.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { type ChoiceSet, choiceKey, expandDraft, targetChoices } from "../../../src/schema/choice.js";
import { LAYERS, makeCalibration, makeProfile } from "../../support/documents.js";
import { FakeClock, FakeEngine } from "../../support/fake-engine.js";
import { EXACT_TIMES } from "../../support/fake-model.js";
import { tinySpec } from "../../support/tiny-checkpoint.js";

const AT = 64;
const BASE = 4;
const MOST = 40;
const target = targetChoices(LAYERS);
const skipping = (...blocks: number[]): ChoiceSet => ({
  head: "target",
  blocks: target.blocks.map((choice, i) => (blocks.includes(i) ? "skip" : choice)),
});
const missRate = ({ blocks }: ChoiceSet): number => blocks.filter((choice) => choice === "skip").length * 0.1;

/** Prompts of one context, of which BASE are continued, and as many more as are asked for. */
async function world(precision: Partial<Precision> = {}) {
  const clock = new FakeClock();
  const spec = tinySpec({ layers: LAYERS, vocab: 50, context: 512, eosTokenIds: [] });
  const more = { missRate: 0 };
  const engine = new FakeEngine({ spec, clock, times: EXACT_TIMES, missRate: (set) => missRate(set) + more.missRate });
  const part = (first: number) => Array.from({ length: MOST }, (_, i) => [first, i, (7 * i + first) % 50]);
  const prompts = [{ atContext: AT, choose: part(1), report: part(2) }];
  const text = new ContinuedPrompts(engine, clock, prompts[0].choose, 64, null);
  for (let i = 0; i < BASE; i++) await text.next(silentProgress);
  const measuring: Measuring = {
    model: { engine: engine as never },
    profile: makeProfile(),
    variants: [["skip"]],
    text: measuringText(new Map([[AT, text]]), prompts, 64),
    precision: {
      ...{ error: 0.05, positions: 200, clock, chooseUntilUs: Infinity, reportUntilUs: Infinity },
      ...precision,
    },
    progress: silentProgress,
  };
  const calibration: Calibration = makeCalibration([AT]);
  return { measuring, calibration, engine, clock, more };
}

const tokensOf = ({ measured }: Calibration, part: "choose" | "report") =>
  measured.filter((record) => record.part === part).map(({ tokens }) => tokens);

describe("whole drafts on more and more prompts", () => {
  test("are followed until a plan's own is known well enough: for a wide error on no more prompts than there were", async () => {
    const used = [];
    for (const error of [0.2, 0.008, 1e-6]) {
      const { measuring, calibration } = await world({ error });
      const grown = await measureCandidates(measuring, { ...calibration, measured: [] });
      used.push(Math.max(...tokensOf(grown, "choose")));
    }
    expect(used[0]).toBe(BASE * 64);
    expect(used[1]).toBeGreaterThan(used[0]);
    expect(used[2]).toBe(MOST * 64);
  });

  test("only the plan's own and the fastest others are; each draft is recorded once, with the rounds that came to each position", async () => {
    const { measuring, calibration } = await world({ error: 0.005 });
    const { measured } = await measureCandidates(measuring, { ...calibration, measured: [] });
    const key = ({ part, at_context, draft }: Calibration["measured"][number]) =>
      `${part} ${at_context} ${choiceKey(expandDraft(draft, LAYERS, "test"))}`;
    expect(new Set(measured.map(key)).size).toBe(measured.length);
    const tokens = measured.filter(({ part }) => part === "choose").map((record) => record.tokens);
    expect(Math.min(...tokens)).toBe(BASE * 64);
    expect(Math.max(...tokens)).toBeGreaterThan(2 * BASE * 64);
    for (const { curve, reached } of measured) expect(reached).toHaveLength(curve.length - 1);
  });

  test("when the time is up what there is stands, and a plan is still confirmed on as many positions as are asked for", async () => {
    const { measuring, calibration } = await world({ chooseUntilUs: 0, reportUntilUs: 0 });
    const grown = await measureCandidates(measuring, { ...calibration, measured: [] });
    expect(new Set(tokensOf(grown, "choose"))).toEqual(new Set([BASE * 64]));
    expect(tokensOf(grown, "report").length).toBeGreaterThan(0);
    for (const tokens of tokensOf(grown, "report")) {
      expect(tokens).toBeGreaterThanOrEqual(200);
      expect(tokens).toBeLessThan(200 + 64); // and on not a prompt more
    }
  });

  test("when the time is up nothing is tried in the place of what kept-back text refutes: plain decoding takes it", async () => {
    const plans = [];
    for (const reportUntilUs of [Infinity, 0]) {
      const { measuring, calibration, more } = await world({ chooseUntilUs: 0, reportUntilUs });
      const choosing = await measureChoosing(measuring, { ...calibration, measured: [] });
      more.missRate = 0.9; // on all text that comes now, so whatever was decided is refuted
      const { measured } = await measureReport(measuring, choosing, ["skip"]);
      plans.push(new Set(measured.filter(({ part }) => part === "report").map(({ draft }) => JSON.stringify(draft))));
    }
    expect(plans[0].size).toBeGreaterThan(1);
    expect(plans[1].size).toBe(1);
  });

  test("a text that ends is no endless loop", async () => {
    const { measuring, calibration } = await world({ error: 1e-6 });
    const grown = await measureCandidates(measuring, { ...calibration, measured: [] });
    expect(Math.max(...tokensOf(grown, "choose"))).toBe(MOST * 64);
  });

  test("evidence taken together is that of measuring on all the texts at once", async () => {
    const one = await world();
    const evidence = new ChoosingEvidence(one.measuring);
    const sets = [skipping(2), skipping(1, 4)];
    await evidence.measure(AT, [sets[0]]);
    const grown = await evidence.sharpen(
      { ...one.calibration, measured: await evidence.measure(AT, sets) },
      {
        ...(one.measuring.precision as Precision),
        error: 1e-6,
      },
    );
    const { measuring } = await world();
    const all = new ContinuedPrompts(one.engine, one.clock, measuring.text.prompts[0].choose, 64, null);
    await all.until(Infinity, silentProgress);
    const whole = new ChoosingEvidence({ ...measuring, text: measuringText(new Map([[AT, all]]), [], 64) });
    expect(await whole.measure(AT, sets)).toEqual(await evidence.measure(AT, sets));
    expect(grown.measured.map(({ tokens }) => tokens)).toEqual([MOST * 64, MOST * 64]);
  });

  test("a record takes the place of the same draft's, context's and part's, and of no other", () => {
    const draft = { default: "target", head: "target", skip: ["2.mlp"], choices: {} } as const;
    const record = {
      at_context: AT,
      part: "choose",
      draft: { ...draft, skip: ["2.mlp"] },
      tokens: 1,
      curve: [1, 0.5],
    } as const;
    const of = (changes: object): Calibration["measured"][number] =>
      ({ ...structuredClone(record), ...changes }) as never;
    const before = { ...makeCalibration([AT]), measured: [of({}), of({ part: "report" }), of({ at_context: 512 })] };
    const after = replaced(before, [of({ tokens: 9 }), of({ at_context: 1024, tokens: 8 })]).measured;
    expect(after.map(({ tokens }) => tokens)).toEqual([9, 1, 1, 8]);
  });
});
