/** Standalone curves from the files that a plan names. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { standaloneCurves } from "../../src/pipeline/standalone.js";
import { readDocumentOf, writeDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { calibration, plan, profile } from "../support/example-documents.js";

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
