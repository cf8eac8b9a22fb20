import { expect, test } from "vitest";
import { weighedFor } from "../../src/pipeline/drafters.js";
import type { DrafterKind } from "../../src/solve/index.js";
import { calibration, profile } from "../support/example-documents.js";
import { headsCalibration, headsProfile } from "../support/heads-documents.js";

const loaded = <T>(document: T) => ({ document, path: "d.yaml", sha256: "a".repeat(64) });

test("where nobody is named, of what an engine has only what both documents have measured is weighed", () => {
  const all: DrafterKind[] = ["self", "lookup", "heads"];
  const weighed = (kinds: DrafterKind[] | undefined, standalone: object | null = null) =>
    weighedFor(kinds, loaded(headsProfile()), loaded(headsCalibration()), standalone);
  expect(weighed(all)).toEqual(["self", "heads"]);
  expect(weighed(["lookup"])).toEqual([]);
  expect(weighed(undefined)).toBeUndefined(); // no engine: solve's own default
  expect(weighed(all, {})).toEqual(["self"]); // engines' own caches are planned for blocks alone
  expect(weighedFor(all, loaded(profile()), loaded(headsCalibration()), null)).toEqual(["self"]);
  expect(weighedFor(all, loaded(headsProfile()), loaded(calibration()), null)).toEqual(["self"]);
});
