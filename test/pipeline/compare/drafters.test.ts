/** Which drafters get a row in a comparison, and what a given document has to have measured for it. */
import { describe, expect, test } from "vitest";
import { comparedDrafters, requireMeasuredModels } from "../../../src/pipeline/compare/drafters.js";
import type { DraftModelFile } from "../../../src/pipeline/drafting/draft-models.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import { makeCalibration, makeProfile } from "../../support/documents.js";
import { expectFailure } from "../../support/failure.js";

const NOTHING = { profile: null, calibration: null };
const small = { name: "small", weights_sha256: "d".repeat(64), path: "../small", kernel: "int8" as const };
const loaded = <T>(document: T) => ({ document, path: "/a/b/document.yaml", sha256: "0".repeat(64) });
const profile = loaded({ ...makeProfile(), models: [{ ...small, steps: [{ context_tokens: 64, us: 1, passes: 1 }] }] });
const bare = loaded(makeCalibration() as Calibration);
const calibration = loaded({ ...makeCalibration(), models: [{ ...small, contexts: [] }] } as Calibration);

describe("drafters that get a row", () => {
  test("are none where none are named, and those named in one order", () => {
    expect(comparedDrafters(undefined, NOTHING)).toEqual({ rows: [], models: [] });
    expect(comparedDrafters(["hybrid", "self", "model:a", "lookup", "model:b", "model:a", "heads"], NOTHING)).toEqual({
      rows: ["lookup", "model", "hybrid"],
      models: ["a", "b"],
    });
  });

  test("may be the models of a given document, seen from here", () => {
    const { rows, models } = comparedDrafters(["model"], { profile, calibration: null });
    expect(rows).toEqual(["model"]);
    expect(models).toEqual([expect.stringMatching(/a\/small$/)]);
    expect(comparedDrafters(["model"], { profile: null, calibration }).models).toHaveLength(1);
  });

  test.each([["best"], ["model:"], ["none"], ["lookup:8"]])("%s is refused", async (name) => {
    await expectFailure(() => comparedDrafters([name], NOTHING), "OPTION_INVALID", "gets a row");
  });

  test("model needs documents that know one, and a lookup a calibration that has looked up", async () => {
    await expectFailure(() => comparedDrafters(["model"], NOTHING), "OPTION_INVALID", "another model");
    for (const name of ["lookup", "hybrid"])
      await expectFailure(
        () => comparedDrafters([name], { profile: null, calibration: bare }),
        "DRAFTER_UNAVAILABLE",
        "has not measured a lookup",
      );
  });
});

test("a model has to be measured in every document given, whatever its path", async () => {
  const file = (weightsSha256: string) =>
    [{ path: "x", checkpoint: { weightsSha256, spec: { name: "small" } } }] as unknown as DraftModelFile[];
  requireMeasuredModels(file(small.weights_sha256), { profile, calibration });
  requireMeasuredModels(file("e".repeat(64)), NOTHING);
  for (const given of [
    { profile, calibration: bare },
    { profile: null, calibration: bare },
  ])
    await expectFailure(
      () => requireMeasuredModels(file(small.weights_sha256), given),
      "DRAFTER_UNAVAILABLE",
      "has not measured small",
    );
  await expectFailure(
    () => requireMeasuredModels(file("e".repeat(64)), { profile, calibration: null }),
    "DRAFTER_UNAVAILABLE",
    "has not measured small",
  );
});
