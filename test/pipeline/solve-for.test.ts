/** What `solve --for` writes into a plan's constraints: what an engine lacks, where something might have been planned with it. */
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { draftSpaceFor } from "../../src/pipeline/export/preset.js";
import { solvePlan } from "../../src/pipeline/solve.js";
import { Calibration } from "../../src/schema/calibration.js";
import { mainDrafter } from "../../src/schema/drafter.js";
import { draw } from "../solve/instances.js";
import { AT, synthetic } from "../solve/synthetic.js";

const SMALL = { name: "small", weights_sha256: "a".repeat(64), path: "small" };

/** A model that guesses well, in int8 faster than in its own precision. */
function documents() {
  const { profile, calibration } = synthetic(1, 0);
  const random = draw(5);
  const texts = () => Array.from({ length: 12 }, () => Array.from({ length: 200 }, () => Number(random.float() < 0.9)));
  const contexts = (["choose", "report"] as const).map((part) => ({
    at_context: AT,
    positions: 2400,
    part,
    hits: texts(),
  }));
  const kernels = ["target", "int8"] as const;
  const steps = (us: number) => [{ context_tokens: AT, us, passes: 8 }];
  const models = kernels.map((kernel) => ({ ...SMALL, kernel, contexts }));
  const timed = kernels.map((kernel) => ({ ...SMALL, kernel, steps: steps(kernel === "int8" ? 60 : 100) }));
  const loaded = <T>(path: string, document: T) => ({ document, path, sha256: "1".repeat(64) });
  return {
    profile: loaded("profile.yaml", { ...profile, models: timed }),
    calibration: loaded("calibration.yaml", Calibration.parse({ ...calibration, models })),
  };
}

async function solvedFor(engine: string | undefined) {
  const nothing = { choices: undefined, drafters: ["model" as const], constraints: {} };
  const { choices, modelKernels } = await draftSpaceFor(engine, nothing);
  const request = { ...documents(), choices, modelKernels, drafters: ["model" as const], method: "knapsack" as const };
  const context = { provider: "cpu", threads: 1, progress: silentProgress, note: () => {} };
  const { plan } = await solvePlan({ ...request, output: "plan.yaml" }, context);
  const models = plan.segments.flatMap(({ speculate, drafter }) => (speculate ? [mainDrafter(drafter)] : []));
  return {
    constraints: plan.constraints,
    kernels: models.map((one) => (one.kind === "model" ? one.kernel : one.kind)),
  };
}

test.each([
  [undefined, "int8", undefined],
  ["llama.cpp", "int8", undefined],
  ["vllm", "target", { model_kernels: ["target"] }],
  ["sglang", "target", { model_kernels: ["target"] }],
])("another model for %s drafts in %s", async (engine, kernel, constraints) => {
  const solved = await solvedFor(engine);
  expect(solved.kernels.length).toBeGreaterThan(0);
  expect(new Set(solved.kernels)).toEqual(new Set([kernel]));
  expect(solved.constraints).toEqual(constraints);
});
