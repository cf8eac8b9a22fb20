/** A draft of blocks that an engine's files cannot say is refused by the architecture's name, before anything is written. */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { openCheckpoint } from "../../src/model/open.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { CASES, writeFolder, writeGguf } from "../support/architectures.js";
import { expectFailure } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { handPlan, skipping } from "../support/plans.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const ENGINES = ["transformers", "vllm", "sglang", "tensorrt-llm", "llama.cpp"];
const FIRSTS = CASES.filter(({ name }) => !name.includes(","));

async function run(to: string, model: string, output: string) {
  const { spec, architectureSha256, weightsSha256, close } = await openCheckpoint(model);
  close();
  const { name, layers } = spec;
  const draft = skipping("1.attn", "1.mlp");
  const document = handPlan({ name, layers, architectureSha256, weightsSha256, draft, draftTokens: 3 });
  const plan = { document, path: join(temporaryFolder(), "plan.yaml"), sha256: "0".repeat(64) };
  return exportPlan({ plan, to, model, output }, { progress: silentProgress });
}

test("there is a case of each", () => expect(FIRSTS.length).toBeGreaterThanOrEqual(6));

describe.each(FIRSTS)("$name", (golden) => {
  const isQuick = golden.name === "gemma3"; // every engine and architecture with every other one: at length
  test.each(isQuick || LONG ? ENGINES : ["vllm"])("to %s", async (engine) => {
    const output = join(temporaryFolder(), "out");
    await expectFailure(
      () => run(engine, writeFolder(golden), output),
      "EXPORT_UNSUPPORTED",
      new RegExp(`segments\\[0\\]\\.draft.* is ${golden.name} \\(.*${engine}`, "s"),
    );
    expect(existsSync(output)).toBe(false);
  });

  test("from a GGUF to llama.cpp", async () => {
    const output = join(temporaryFolder(), "out");
    const model = writeGguf(golden, golden.gguf);
    await expectFailure(() => run("llama.cpp", model, output), "EXPORT_UNSUPPORTED", new RegExp(golden.name));
  });

  test.runIf(isQuick || LONG)("onnxruntime-genai takes it", async () => {
    const output = join(temporaryFolder(), "out");
    await run("onnxruntime-genai", writeFolder(golden), output);
    expect(readdirSync(output)).toEqual(expect.arrayContaining(["draft.onnx", "model.onnx"]));
  });
});
