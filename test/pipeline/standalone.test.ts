/** Standalone curves from the files that a plan names. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { standaloneCurves, standalonePlan } from "../../src/pipeline/standalone.js";
import type { Calibration } from "../../src/schema/calibration.js";
import { compactDraft, uniformChoices } from "../../src/schema/choice.js";
import { readDocumentOf, writeDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { planDocument } from "../../src/solve/index.js";
import { LAYERS, makeCalibration, makeProfile } from "../support/documents.js";
import { calibration, plan, profile } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "standalone-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

/** A plan with its inputs beside it. */
function written(change: (plan: Plan) => Plan = (same) => same) {
  const [segment] = plan().segments;
  const measured = [
    {
      ...{ at_context: 512, part: "report" as const, draft: segment.draft as NonNullable<typeof segment.draft> },
      ...{ draft_cache: "own" as const, tokens: 64, curve: [1, 0.5, 0.4, 0.3] },
    },
  ];
  const inputs = {
    profile: { path: "p.yaml", sha256: writeDocument(join(folder, "p.yaml"), profile()) },
    calibration: { path: "c.yaml", sha256: writeDocument(join(folder, "c.yaml"), { ...calibration(), measured }) },
  };
  const path = join(folder, "plan.yaml");
  writeDocument(path, change({ ...plan(), inputs }));
  return readDocumentOf("draftplan/plan", path);
}

test("each segment has its curve from the calibration beside the plan, or null", () => {
  expect(standaloneCurves(written())).toEqual([
    { atContext: 512, curve: [1, 0.5, 0.4, 0.3], part: "report", positions: 64, rounds: null },
    null,
  ]);
});

test("without its inputs, or with others in their place, nothing is known", () => {
  const alone = written(({ inputs: _, ...rest }) => rest);
  expect(standaloneCurves(alone)).toEqual([null, null]);
  const changed = written();
  writeDocument(join(folder, "c.yaml"), calibration());
  expect(standaloneCurves(changed)).toEqual([null, null]);
  const missing = written();
  rmSync(join(folder, "c.yaml"));
  expect(standaloneCurves(missing)).toEqual([null, null]);
});

test("a calibration that cannot be read is an error, not an unknown", () => {
  const broken = written();
  writeFileSync(join(folder, "c.yaml"), "kind: draftplan/calibration\nversion: 7\n");
  expect(() => standaloneCurves(broken)).toThrow(/version/);
});

describe("a plan over the target's cache, run with caches of their own", () => {
  const ANSWER = 40;
  const draft = compactDraft(uniformChoices(LAYERS, "int8"));
  const own = (part: "choose" | "report", curve: number[]): Calibration["measured"][number] => ({
    ...{ at_context: 128, part, draft, draft_cache: "own", tokens: 4000, curve },
  });
  const measured = [own("choose", [1, 0.95, 0.9, 0.86]), own("report", [1, 0.94, 0.89, 0.85])];

  /** What `solve --standalone` plans and predicts, and the same drafts in a plan that was solved for the target's cache. */
  function plans() {
    const documents = { profile: makeProfile(), calibration: makeCalibration([128], measured) };
    const inputs = {
      profile: { path: "p2.yaml", sha256: writeDocument(join(folder, "p2.yaml"), documents.profile) },
      calibration: { path: "c2.yaml", sha256: writeDocument(join(folder, "c2.yaml"), documents.calibration) },
    };
    const asked = { ...documents, choices: ["int8" as const], drafters: ["self" as const] };
    const alone = planDocument({ ...asked, standalone: true, answerTokens: ANSWER }, inputs);
    const { draft_cache: _, answer_tokens: __, ...rest } = alone;
    const segments = alone.segments.map((segment) => {
      if (segment.predicted === undefined) return segment;
      const { prompt_us: _, along, ...predicted } = segment.predicted;
      const flattered = { ...predicted, acceptance_curve: predicted.acceptance_curve.map(() => 1), speedup: 9 };
      return {
        ...segment,
        predicted: { ...flattered, ...(along && { along: along.map((point) => ({ ...point, speedup: 9 })) }) },
      };
    });
    const path = join(folder, "target.yaml");
    writeDocument(path, { ...rest, segments });
    return { alone, target: readDocumentOf("draftplan/plan", path) };
  }

  test("is predicted what a plan for such caches predicts of the same drafts, the reading of the prompt included", () => {
    const { alone, target } = plans();
    const figures = ({ segments }: Plan) =>
      segments.map(({ predicted }) => {
        if (predicted === undefined) return null;
        const { at_context, acceptance, acceptance_curve, accepted_length, along } = predicted;
        const { draft_us, verify_us, prompt_us, round_us, target_step_us, tokens_per_second, speedup } = predicted;
        return {
          ...{ at_context, acceptance, acceptance_curve, accepted_length, along },
          ...{ draft_us, verify_us, prompt_us, round_us, target_step_us, tokens_per_second, speedup },
        };
      });
    expect(alone.segments[0].predicted?.prompt_us).toBeGreaterThan(0);
    expect(alone.segments[0].predicted?.acceptance_curve).toEqual([1, 0.94, 0.89, 0.85]); // text kept back
    const { document } = standalonePlan(target, ANSWER);
    expect(document.draft_cache).toBe("own");
    expect(figures(document)).toEqual(figures(alone));
    const shorter = standalonePlan(target, ANSWER / 2).document.segments[0].predicted;
    expect(shorter?.speedup).toBeLessThan(alone.segments[0].predicted?.speedup ?? 0); // fewer tokens share the reading
  });

  test("is predicted nothing where nothing is asked for, nothing was measured so, or the inputs are gone", async () => {
    const { target } = plans();
    const none = (document: Plan) => document.segments.every(({ predicted }) => predicted === undefined);
    expect(none(standalonePlan(target, null).document)).toBe(true);
    const longer = target.document.segments.map((segment) => ({ ...segment, draft_tokens: 4 }));
    expect(
      none(standalonePlan({ ...target, document: { ...target.document, segments: longer } }, ANSWER).document),
    ).toBe(true);
    rmSync(join(folder, "c2.yaml"));
    expect(none(standalonePlan(target, ANSWER).document)).toBe(true);
    const plain = target.document.segments.map(({ context_tokens }) => ({ context_tokens, speculate: false }));
    await expectFailure(
      () => standalonePlan({ ...target, document: { ...target.document, segments: plain } }, ANSWER),
      "OPTION_INVALID",
      "cache of its own",
    );
  });
});
