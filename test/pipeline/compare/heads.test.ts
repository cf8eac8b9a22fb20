import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { comparedHeads, requireMeasuredHeads } from "../../../src/pipeline/compare/heads.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { type Loaded, readDocumentOf, writeDocument } from "../../../src/schema/document.js";
import type { Profile } from "../../../src/schema/profile.js";
import { expectFailure } from "../../support/failure.js";
import { headsCalibration, headsProfile } from "../../support/heads-documents.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const folder = temporaryFolder();
mkdirSync(join(folder, "a", "b"), { recursive: true });
writeFileSync(join(folder, "config.json"), "{}"); // a model, as far as its heads are looked for
const MEDUSA = "c".repeat(64);
const HYDRA = "d".repeat(64);

function given(profile: Profile | null, calibration: Calibration | null) {
  const written = <T extends Profile | Calibration>(document: T | null, path: string) => {
    if (document === null) return null;
    writeDocument(path, document);
    return readDocumentOf(document.kind, path) as Loaded<T>;
  };
  return {
    profile: written(profile, join(folder, "a", "p.yaml")),
    calibration: written(calibration, join(folder, "a", "b", "c.yaml")),
  };
}

describe("heads that have a row in a comparison", () => {
  test("are those in the model's folder where no document is given, and of a model alone none", () => {
    const found = comparedHeads(given(null, null), "embedded");
    expect(found.map(({ sha256 }) => sha256)).toEqual([null]);
    expect(found[0].path).toMatch(/union-10m.heads$/);
    expect(comparedHeads(given(null, null), folder)).toEqual([]);
  });

  test("are those that every document given has measured, their folders as the document that names them has it", () => {
    const all = given(headsProfile(), headsCalibration());
    const [medusa, ...others] = comparedHeads(all, "embedded");
    expect(others).toEqual([]);
    expect(medusa.sha256).toBe(MEDUSA);
    expect(join(process.cwd(), medusa.path)).toBe(join(folder, "a", "models", "tiny", "heads")); // ../models from a/b
    const alone = comparedHeads({ ...all, calibration: null }, "embedded");
    expect(alone.map(({ sha256 }) => sha256)).toEqual([MEDUSA, HYDRA]);
    expect(join(process.cwd(), alone[1].path)).toBe(join(folder, "hydra")); // ../ from a
    const { heads: _, ...without } = headsCalibration();
    expect(comparedHeads(given(headsProfile(), without), "embedded")).toEqual([]);
  });

  test("are refused where their folder now holds others", async () => {
    const held = (sha256: string) => [{ path: "heads", heads: { sha256 } as never }];
    requireMeasuredHeads(held(MEDUSA), [{ path: "heads", sha256: MEDUSA }]);
    requireMeasuredHeads(held(HYDRA), [{ path: "heads", sha256: null }]);
    await expectFailure(
      () => requireMeasuredHeads(held(HYDRA), [{ path: "heads", sha256: MEDUSA }]),
      "DIGEST_MISMATCH",
      "other heads",
    );
  });
});
