/** llama.cpp's exporter: commands that say what the plan says, drafters that are no blocks, and what it refuses. */
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { ngramSettings } from "../../src/export/llama-cpp/usage.js";
import { openGguf } from "../../src/model/formats/gguf-parts.js";
import { openCheckpoint } from "../../src/model/open.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Predicted, Segment } from "../../src/schema/plan.js";
import { modelRefOf, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint, writeTinyGguf } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const root = temporaryFolder();
const SHAPE = { layers: 4, hidden: 64, heads: 4, kvHeads: 2, intermediate: 96, vocab: 4096, tied: false };
const GGUF = writeTinyGguf(join(root, "the model's.gguf"), { ...SHAPE, type: "F16" });
const WHOLE = skipping("1.attn", "1.mlp");

let folders = 0;
async function exported(model: string, segment: Partial<Segment>, plan: Partial<Plan> = {}) {
  const document: Plan = {
    kind: "draftplan/plan",
    version: 1,
    model: await modelRefOf(model),
    ...plan,
    segments: [{ context_tokens: { from: 0, to: 128 }, speculate: true, draft_tokens: 3, ...segment }],
  };
  const output = join(root, `out ${folders++}`);
  const path = join(root, `plan-${folders}.yaml`);
  writeFileSync(path, stringifyDocument(document));
  const loaded = readDocumentOf("draftplan/plan", path);
  const written = await exportPlan({ plan: loaded, to: "llama.cpp", model, output }, { progress: silentProgress });
  return { output, document: written, readme: readFileSync(join(output, "README.md"), "utf8") };
}

const leftovers = () => readdirSync(root).filter((name) => name.includes("partial"));

const PREDICTED: Predicted = {
  at_context: 64,
  acceptance: 0.7,
  acceptance_curve: [1, 0.75, 0.5, 0.25],
  accepted_length: 2.5,
  draft_us: 100,
  verify_us: 300,
  round_us: 10,
  target_step_us: 250,
  tokens_per_second: 3000,
  speedup: 1.2,
  lp_gap_percent: 0,
};

test("the command says the draft and its length, quoted for a shell, and the curve is replayed", async () => {
  const { output, readme, document } = await exported(
    GGUF,
    { draft: WHOLE, predicted: PREDICTED },
    { draft_cache: "own" },
  );
  expect(readdirSync(output).sort()).toEqual(["README.md", "draft.gguf", "export.yaml"]);
  expect(document.predicted?.acceptance_curve).toEqual([1, 0.75, 0.5, 0.25]);
  expect(readme).toContain(`-m '${GGUF.replace("'", "'\\''")}'`);
  expect(readme).toContain(`--spec-draft-model '${output}/draft.gguf'`);
  expect(readme).toContain("--spec-type draft-simple");
  expect(readme).toContain("--spec-draft-n-max 3 --spec-draft-n-min 0 --spec-draft-p-min 0");
  expect(readme).toContain("--spec-synth-rates 0.75,0.5,0.25");
  expect(readme).toContain("`draft_n_accepted / draft_n` of 50.0 %"); // 1.5 of 3
  expect(readme).toContain(`modelPath: ${JSON.stringify(`${output}/draft.gguf`)}`);
  expect(readme).toContain("maxTokens: 3,");
});

test("without a prediction nothing is replayed", async () => {
  const { readme, document } = await exported(GGUF, { draft: WHOLE });
  expect(document.predicted).toBeNull();
  expect(readme).not.toContain("synth-rates");
  expect(readme).not.toContain("To expect");
});

test("a lookup is settings alone", async () => {
  const { output, readme, document } = await exported(GGUF, {
    drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 4 } },
  });
  expect(readdirSync(output).sort()).toEqual(["README.md", "export.yaml"]);
  expect(readme).toContain("--spec-type ngram-simple");
  expect(readme).toContain("--spec-ngram-simple-size-n 2 --spec-ngram-simple-size-m 3");
  expect(readme).not.toContain("draft.gguf");
  expect(document.notes.join(" ")).toContain("the longest match of 2 to 4 tokens");
});

test("another model is written whole, in the plan's kernel, and beside a lookup", async () => {
  const other = writeTinyCheckpoint(join(root, "other"), { ...SHAPE, layers: 2, seed: 9, dtype: "F16" });
  copyFileSync(join(UNION, "tokenizer.json"), join(other, "tokenizer.json"));
  const { weightsSha256, close } = await openCheckpoint(other);
  close();
  const model = { kind: "model", name: "other", weights_sha256: weightsSha256, path: "other", kernel: "int8" } as const;
  const lookup = { min_match: 5, ngram_tokens: { min: 2, max: 6 } };
  const { output, readme } = await exported(GGUF, { drafter: { kind: "hybrid", lookup, otherwise: model } });
  expect(readme).toContain("--spec-type ngram-simple,draft-simple");
  expect(readme).toContain("--spec-ngram-simple-size-n 5 --spec-ngram-simple-size-m 5"); // 3 would never be drafted
  const file = openGguf(join(output, "draft.gguf"));
  expect(file.number("llama.block_count")).toBe(2);
  expect(file.tensors.get("blk.1.ffn_up.weight")?.type).toBe("Q8_0");
  file.close();

  const changed = { ...model, weights_sha256: "0".repeat(64) };
  await expect(exported(GGUF, { drafter: changed })).rejects.toMatchObject({ code: "DOCUMENT_MISMATCH" });
  expect(leftovers()).toEqual([]);
});

test.each([
  { min: 2, tokens: 8, size: 2, drafted: 8 },
  { min: 4, tokens: 2, size: 4, drafted: 4 },
  { min: 4, tokens: 4, size: 4, drafted: 4 },
])("an n-gram of $min tokens with $tokens drafted", ({ min, tokens, size, drafted }) => {
  const settings = ngramSettings({ ngram_tokens: { min, max: 6 } }, tokens);
  expect([settings.size, settings.draftTokens]).toEqual([size, drafted]);
});

test("the shortest match of a hybrid's lookup is what its plan takes", () => {
  const lookup = { min_match: 1, ngram_tokens: { min: 3, max: 6 }, draft_tokens: 9 };
  expect(ngramSettings(lookup, 4)).toMatchObject({ size: 3, draftTokens: 9 });
});

test("norms of q and k need whole layers, and the flag is named", async () => {
  const model = writeTinyGguf(join(root, "qwen3.gguf"), { ...SHAPE, architecture: "qwen3" });
  await expect(exported(model, { draft: skipping("2.mlp") })).rejects.toMatchObject({
    code: "EXPORT_UNSUPPORTED",
    at: expect.stringContaining("segments[0].draft"),
    what: expect.stringContaining("2.mlp is skipped without 2.attn"),
    remedy: expect.stringContaining("--whole-layers"),
  });
  expect(leftovers()).toEqual([]);
  await exported(model, { draft: skipping("2.mlp", "3.attn") }); // packed, they are whole
});

test("a GGUF's tokenizer is copied, whether draftplan knows it or not", async () => {
  const metadata = {
    "tokenizer.ggml.model": { type: "string", value: "gpt2" },
    "tokenizer.ggml.pre": { type: "string", value: "of-tomorrow" },
    "tokenizer.ggml.tokens": { type: "array", of: "string", values: ["a", "b"] },
  } as const;
  const model = writeTinyGguf(join(root, "tokenizer.gguf"), { ...SHAPE, metadata });
  const { output, document } = await exported(model, { draft: WHOLE });
  const file = openGguf(join(output, "draft.gguf"));
  expect(file.string("tokenizer.ggml.pre")).toBe("of-tomorrow");
  expect(file.strings("tokenizer.ggml.tokens")).toEqual(["a", "b"]);
  file.close();
  expect(document.notes.join(" ")).not.toContain("dequantised to fp32, which is");
});

test("a folder without a tokenizer is refused, and nothing is left", async () => {
  const folder = join(root, "bare");
  mkdirSync(folder);
  writeTinyCheckpoint(folder, SHAPE);
  const before = readdirSync(root).filter((name) => name.startsWith("out"));
  await expect(exported(folder, { draft: WHOLE })).rejects.toMatchObject({ code: "TOKENIZER_MISSING" });
  expect(readdirSync(root).filter((name) => name.startsWith("out"))).toEqual(before);
  expect(leftovers()).toEqual([]);
  expect(existsSync(folder)).toBe(true);
});

test("a draft that reads nearly all that its target reads is said to hardly pay", async () => {
  const quantised = writeTinyGguf(join(root, "quantised.gguf"), { ...SHAPE, type: "Q8_0" });
  const draft = { ...skipping("1.mlp"), default: "int8", head: "int8" } as const;
  const { document } = await exported(quantised, { draft });
  expect(document.notes.join(" ")).toMatch(/9\d % of the bytes .* will hardly pay/);
  const small = await exported(GGUF, { draft: { ...draft, default: "int4", head: "int4" } });
  expect(small.document.notes.join(" ")).not.toContain("hardly pay");
  expect(small.document.notes.join(" ")).toMatch(/int4 becomes Q4_0.*26 matrices were converted/);
});
