import { expect, test } from "vitest";
import { warnOfTemperature } from "../../src/pipeline/plan-policy.js";
import type { Filters } from "../../src/schema/sampling.js";
import { planDocument } from "../../src/solve/index.js";
import { makeCalibration, makeProfile } from "../support/documents.js";

const inputs = { profile: { path: "p", sha256: "d".repeat(64) }, calibration: { path: "c", sha256: "e".repeat(64) } };

function warnings(temperature: number | undefined, filters?: Filters): string[] {
  const calibration = makeCalibration();
  const text = temperature === undefined ? calibration.text : { ...calibration.text, temperature };
  const plan = planDocument(
    { profile: makeProfile(), calibration: { ...calibration, text }, choices: ["skip"] },
    inputs,
  );
  expect(plan.temperature).toBe(temperature);
  const found: string[] = [];
  const progress = {
    tick: async () => {},
    warn: (code: string, message: string) => void found.push(`${code}: ${message}`),
  };
  warnOfTemperature({ document: plan, path: "plan.yaml", sha256: "f".repeat(64) }, progress, filters);
  return found;
}

test("a plan made for sampling says so, and where decoding is greedy there is a warning", () => {
  expect(warnings(0.7)).toEqual([expect.stringMatching(/^PLAN_TEMPERATURE: plan\.yaml .*temperature 0\.7/)]);
  expect(warnings(undefined)).toEqual([]);
});

test("there is none where it is used as it was calibrated, and one where it is used otherwise", () => {
  expect(warnings(0.7, { temperature: 0.7, top_k: 3 })).toEqual([]);
  expect(warnings(0.7, { temperature: 0.8 })).toHaveLength(1);
  expect(warnings(undefined, { temperature: 0.8 })).toEqual([
    expect.stringMatching(/calibrated for greedy decoding, and this is sampling at temperature 0\.8/),
  ]);
});
