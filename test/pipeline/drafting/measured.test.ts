/** `--drafters` of profile and calibrate, and where documents say that heads lie. */
import { cpSync, mkdirSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../../src/core/progress.js";
import { draftersRelativeTo, parseMeasuredDrafters } from "../../../src/pipeline/drafting/measured.js";
import { profileModelAt } from "../../../src/pipeline/profile/profile-model.js";
import { DEFAULT_KERNELS } from "../../../src/schema/choice.js";
import { calibration } from "../../support/example-documents.js";
import { headsCalibration } from "../../support/heads-documents.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const FIXTURES = fileURLToPath(new URL("../../fixtures/heads/", import.meta.url));
const MODEL = join(FIXTURES, "model");

/** The model with heads in its own folder. */
function travelling(): string {
  const folder = join(temporaryFolder(), "model");
  mkdirSync(folder);
  cpSync(MODEL, folder, { recursive: true });
  cpSync(join(FIXTURES, "medusa"), join(folder, "heads"), { recursive: true });
  return folder;
}

const NOBODY = { self: false, lookup: false, models: [], heads: [] };

describe("--drafters", () => {
  test("left out, means the model's own blocks and the heads in its folder", () => {
    expect(parseMeasuredDrafters(undefined, MODEL)).toEqual({ ...NOBODY, self: true, heads: [] });
    const model = travelling();
    expect(parseMeasuredDrafters(undefined, model)).toEqual({ ...NOBODY, self: true, heads: [join(model, "heads")] });
  });

  test("names a lookup and other models, each once", () => {
    expect(parseMeasuredDrafters(["lookup", "model:C:\\small", "model:b", "model:b"], MODEL)).toEqual({
      ...NOBODY,
      lookup: true,
      models: ["C:\\small", "b"],
    });
  });

  test("names folders, each once, and leaves out who is not named", () => {
    expect(parseMeasuredDrafters(["self", "heads:a", "heads:b", "heads:a"], MODEL)).toEqual({
      ...NOBODY,
      self: true,
      heads: ["a", "b"],
    });
    expect(parseMeasuredDrafters(["self"], travelling())).toEqual({ ...NOBODY, self: true, heads: [] });
    const model = travelling();
    expect(parseMeasuredDrafters(["heads", "heads:C:\\x"], model)).toEqual({
      ...NOBODY,
      heads: [join(model, "heads"), "C:\\x"],
    });
  });

  test.each([
    [["hybrid"], /'hybrid' is no drafter that is measured/],
    [["model:"], /'model:' is no drafter/],
    [["heads:"], /'heads:' is no drafter/],
    [[""], /'' is no drafter/],
    [["heads"], /no heads lie beside/],
  ])("%j is refused in words", (names, said) => {
    expect(() => parseMeasuredDrafters(names, MODEL)).toThrow(
      expect.objectContaining({ code: "OPTION_INVALID", message: expect.stringMatching(said) }),
    );
  });

  test("heads of made-up weights are refused", async () => {
    const context = { provider: "cpu", threads: 1, progress: silentProgress, note: () => {} };
    const request = { kernels: DEFAULT_KERNELS, drafters: ["heads:somewhere"] };
    await expect(profileModelAt(join(MODEL, "config.json"), request, context)).rejects.toMatchObject({
      code: "USAGE",
      at: "--drafters",
    });
  });
});

test("a document's heads are named as seen from the folder that it lies in", () => {
  const made = {
    ...headsCalibration(),
    heads: headsCalibration().heads?.map((one) => ({ ...one, path: "models/m/heads" })),
  };
  expect(draftersRelativeTo(made, "profiles/c.yaml").heads?.[0].path).toBe("../models/m/heads");
  expect(draftersRelativeTo(made, "-").heads?.[0].path).toBe("models/m/heads");
  expect(draftersRelativeTo(calibration(), "profiles/c.yaml")).toEqual(calibration());
});
