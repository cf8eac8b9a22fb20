/** What an export says can be expected: never what was predicted over another cache than the engine's. */
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { chooseDraft } from "../../../src/export/choose.js";
import { exportPrediction } from "../../../src/pipeline/export/predict.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { readDocumentOf, writeDocument } from "../../../src/schema/document.js";
import type { Plan, Predicted, Segment } from "../../../src/schema/plan.js";
import { calibration, plan, profile } from "../../support/example-documents.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const [{ draft, predicted: example }] = plan().segments;
const predicted = example as Predicted;
const OWN = [1, 0.5, 0.4, 0.3];

/** The example plan with its inputs beside it, the calibration with these measured drafts. */
function exported(changes: Partial<Plan>, measured: Calibration["measured"] = []) {
  const folder = temporaryFolder();
  const inputs = {
    profile: { path: "p.yaml", sha256: writeDocument(join(folder, "p.yaml"), profile()) },
    calibration: { path: "c.yaml", sha256: writeDocument(join(folder, "c.yaml"), { ...calibration(), measured }) },
  };
  writeDocument(join(folder, "plan.yaml"), { ...plan(), inputs, ...changes });
  const written = readDocumentOf("draftplan/plan", join(folder, "plan.yaml"));
  return exportPrediction(written, chooseDraft(written, undefined));
}
type Measured = Calibration["measured"][number];
const own = (changes: Partial<Measured> = {}): Measured => ({
  ...{ at_context: 512, part: "report", draft: draft as NonNullable<typeof draft>, draft_cache: "own" },
  ...{ tokens: 640, curve: OWN, reached: [90, 60, 31] },
  ...changes,
});

describe("a draft of the model's own blocks", () => {
  test("planned over the target's cache: the curve measured with its own, by the plan's times; without one nothing", () => {
    expect(exported({}, [own({ draft_cache: undefined })])).toBeNull();
    expect(exported({}, [own({ curve: [1, 0.5, 0.4], reached: [90, 60] })])).toBeNull(); // shorter than the draft
    const length = 1 + 0.5 + 0.4 + 0.3;
    const roundUs = 3 * 8400.5 + 24800 + 60;
    expect(exported({}, [own()])).toEqual({
      ...{ at_context: 512, draft_cache: "own", acceptance_curve: OWN, accepted_length: 2.2 },
      acceptance: Number((1.2 / 1.9).toPrecision(6)), // accepted over drafted up to the first miss
      speedup: Number(((length / roundUs) * 21500).toPrecision(6)),
      ...{ positions: 640, rounds: 31 },
    });
  });

  test("planned with a cache of its own: the plan's prediction", () => {
    const { at_context, acceptance, acceptance_curve, accepted_length, speedup } = predicted;
    const same = { at_context, acceptance, acceptance_curve, accepted_length, speedup };
    expect(exported({ draft_cache: "own" }, [own()])).toEqual({ ...same, draft_cache: "own" });
    const [{ predicted: _, ...bare }, rest] = plan().segments;
    expect(exported({ draft_cache: "own", segments: [bare, rest] })).toBeNull();
    // by hand, and measured all the same: acceptance, and no speed
    expect(exported({ segments: [bare, rest] }, [own()])).toMatchObject({ accepted_length: 2.2, speedup: null });
  });

  test("beside a lookup drafts at other places, of which nothing is known", () => {
    const lookup = { min_match: 3, ngram_tokens: { min: 2, max: 4 } };
    const [segment, rest] = plan().segments;
    const hybrid: Segment = { ...segment, drafter: { kind: "hybrid", lookup, otherwise: { kind: "self" } } };
    expect(exported({ segments: [hybrid, rest] }, [own()])).toBeNull();
  });
});

test.each([
  ["heads", { kind: "heads", path: "h", sha256: "b".repeat(64), tree: [[0], [0, 0], [0, 0, 0]] }, "none"],
  ["a lookup", { kind: "lookup", ngram_tokens: { min: 2, max: 3 } }, "none"],
  ["another model", { kind: "model", name: "m", weights_sha256: "b".repeat(64), path: "m", kernel: "int8" }, "own"],
] as const)("%s: the plan's prediction holds, since the bundled decoder has it the same way", (_, drafter, cache) => {
  const [{ draft: __, ...segment }, rest] = plan().segments;
  const found = exported({ segments: [{ ...segment, drafter: drafter as Segment["drafter"] }, rest] }, [own()]);
  expect(found).toMatchObject({ draft_cache: cache, speedup: predicted.speedup, accepted_length: 3.67 });
});
