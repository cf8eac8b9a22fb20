import { describe, expect, test } from "vitest";
import { continuePrompts } from "../../../src/calibrate/continuation.js";
import { silentProgress } from "../../../src/core/progress.js";
import type { Measuring } from "../../../src/pipeline/measuring/measuring.js";
import { refine } from "../../../src/pipeline/measuring/refine.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { type ChoiceSet, compactDraft, expandDraft, targetChoices } from "../../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../../src/schema/document.js";
import { curveFromRate, planDocument } from "../../../src/solve/index.js";
import { LAYERS, makeCalibration, makeProfile } from "../../support/documents.js";
import { FakeClock, FakeEngine } from "../../support/fake-engine.js";
import { EXACT_TIMES } from "../../support/fake-model.js";
import { tinySpec } from "../../support/tiny-checkpoint.js";

const AT = 64;
const target = targetChoices(LAYERS);
const skipping = (...blocks: number[]): ChoiceSet => ({
  head: "target",
  blocks: target.blocks.map((choice, i) => (blocks.includes(i) ? "skip" : choice)),
});
/** The calibration holds the last MLP to be dear; in truth it costs nothing. */
const FREE = 5;
const missRate = ({ blocks }: ChoiceSet): number =>
  blocks.filter((choice, i) => choice === "skip" && i !== FREE).length * 0.1;

async function world(
  clock = new FakeClock(),
): Promise<{ measuring: Measuring; calibration: Calibration; clock: FakeClock }> {
  const spec = tinySpec({ layers: LAYERS, vocab: 50, context: 512, eosTokenIds: [] });
  const engine = new FakeEngine({ spec, clock, times: EXACT_TIMES, missRate });
  const prompts = [
    [1, 2, 3],
    [4, 5, 6],
    [7, 8, 9],
  ];
  const continuations = await continuePrompts(engine, clock, prompts, 200, silentProgress);
  const start = skipping(2);
  const calibration: Calibration = {
    ...makeCalibration([AT]),
    measured: [
      { at_context: AT, part: "choose", draft: compactDraft(start), tokens: 600, curve: curveFromRate(0.9, 16) },
    ],
  };
  const measuring: Measuring = {
    model: { engine: engine as never },
    profile: makeProfile(),
    variants: [["skip"]],
    text: { continuations: new Map([[AT, continuations]]), prompts: [], continuationTokens: 200 },
    progress: silentProgress,
  };
  return { measuring, calibration, clock };
}

const drafts = ({ measured }: Calibration) => measured.map(({ draft }) => expandDraft(draft, LAYERS, "test"));

describe("refining by exchanges", () => {
  test("finds what the surrogate ranks low, records it, and the plan takes it", async () => {
    const { measuring, calibration, clock } = await world();
    const refined = await refine(measuring, calibration, { clock, seconds: 1000 });
    const added = drafts(refined).slice(1);
    expect(added.length).toBeGreaterThan(0);
    expect(added.at(-1)?.blocks[FREE]).toBe("skip");
    expect(parseDocument(stringifyDocument(refined), "c.yaml")).toEqual(refined);
    const inputs = {
      profile: { path: "p", sha256: "d".repeat(64) },
      calibration: { path: "c", sha256: "e".repeat(64) },
    };
    const plan = (from: Calibration) =>
      planDocument({ profile: measuring.profile, calibration: from, choices: ["skip"] }, inputs);
    expect(plan(refined).segments[0].draft?.skip).toContain("2.mlp");
    expect(stringifyDocument(plan(refined))).toBe(stringifyDocument(plan(structuredClone(refined))));
  });

  test("records only what was accepted: each step is faster than the one before by its own curve", async () => {
    const { measuring, calibration, clock } = await world();
    const { measured } = await refine(measuring, calibration, { clock, seconds: 1000 });
    const skips = measured.map(({ draft }) => draft.skip.length);
    for (const { part } of measured) expect(part).toBe("choose");
    // every accepted exchange skips as much or more here, where costs are what is gained
    skips.slice(1).forEach((count, i) => {
      expect(count).toBeGreaterThanOrEqual(skips[i]);
    });
  });

  test("without time nothing is measured and the calibration is the same one", async () => {
    const { measuring, calibration, clock } = await world();
    const passes = (measuring.model.engine as unknown as FakeEngine).passes.length;
    expect(await refine(measuring, calibration, { clock, seconds: 0 })).toBe(calibration);
    expect((measuring.model.engine as unknown as FakeEngine).passes).toHaveLength(passes);
  });

  test("the clock decides only how much is measured: less time gives the first part of the same steps", async () => {
    const long = await world();
    const all = await refine(long.measuring, long.calibration, { clock: long.clock, seconds: 1000 });
    for (const seconds of [0.01, 0.1, 1]) {
      const short = await world();
      const some = await refine(short.measuring, short.calibration, { clock: short.clock, seconds });
      expect(all.measured.slice(0, some.measured.length)).toEqual(some.measured);
    }
  });
});
