/** SGLang's configuration, read by SGLang's own argument classes (PyPI sglang without its dependencies): no GPU is needed. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { modelRefOf, skipping } from "../support/plans.js";
import { runPython, unlessPackages } from "../support/python.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const MINUTES = 5 * 60_000;
const root = temporaryFolder();
const MODEL = writeTinyCheckpoint(join(root, "model"), { layers: 4, intermediate: 256 });

type Parsed = Record<string, string | number | boolean | null>;
const parse = (...files: string[]) =>
  runPython<{ version: string; parsed: Parsed[] }>(
    "sglang_arguments.py",
    files.map((file) => [MODEL, file]),
  );

let count = 0;
async function exported(segment: Partial<Segment>): Promise<string> {
  const plan: Plan = {
    ...{ kind: "draftplan/plan", version: 1, model: await modelRefOf(MODEL) },
    segments: [{ context_tokens: { from: 0, to: 64 }, speculate: true, draft_tokens: 4, ...segment }],
  };
  const path = join(root, `plan-${++count}.yaml`);
  writeFileSync(path, stringifyDocument(plan));
  const output = join(root, `out ${count}`);
  const request = { plan: readDocumentOf("draftplan/plan", path), to: "sglang", model: MODEL, output };
  await exportPlan(request, { progress: silentProgress });
  return output;
}

const needs = unlessPackages("SGLang's own arguments", "sglang", "torch", "msgspec", "orjson", "zmq");
test.skipIf(needs.skip)(
  needs.title,
  async () => {
    const whole = await exported({ draft: skipping("1.attn", "1.mlp") });
    const single = await exported({ draft: skipping("1.attn", "2.mlp") });
    const weights_sha256 = "a".repeat(64);
    const other = await exported({
      drafter: { kind: "model", name: "small", path: "small", weights_sha256, kernel: "target" },
    });
    const lookup = await exported({ drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 5 } } });
    const strange = join(root, "strange.yaml");
    writeFileSync(strange, "speculative-algorithm: STANDALONE\nspeculative-of-tomorrow: 3\n");
    const files = [whole, single, other, lookup].map((folder) => join(folder, "sglang.yaml"));
    const { version, parsed } = await parse(...files, strange);
    console.log(`SGLang ${version}`);
    const standalone = {
      ...{ speculative_algorithm: "STANDALONE", speculative_num_steps: 4, speculative_eagle_topk: 1 },
      // where it is another than one more than the steps SGLang says so and corrects it (speculative_hook.py)
      ...{ speculative_num_draft_tokens: 5, speculative_draft_model_quantization: "unquant" },
    };
    expect(parsed[0]).toMatchObject({
      ...{ ...standalone, speculative_draft_model_path: whole, trust_remote_code: false },
    });
    expect(parsed[1]).toMatchObject({ ...standalone, speculative_draft_model_path: single, trust_remote_code: true });
    expect(parsed[2]).toMatchObject({ ...standalone, speculative_draft_model_path: join(root, "small") });
    expect(parsed[3]).toMatchObject({
      ...{ speculative_algorithm: "NGRAM", speculative_num_draft_tokens: 5, speculative_draft_model_path: null },
      ...{ speculative_ngram_max_bfs_breadth: 1, speculative_ngram_match_type: "BFS" },
      speculative_ngram_max_trie_depth: 9,
    });
    expect(parsed[4].refused).toMatch(/speculative-of-tomorrow/); // so that a flag which is none would show
  },
  MINUTES,
);
