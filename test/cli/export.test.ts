/** The verb that hands a plan to an engine: what it writes, and what it refuses. */
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openSafetensors } from "../../src/model/formats/safetensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Export } from "../../src/schema/export.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { draftplan } from "../support/cli.js";
import { modelRefOf } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const MODEL = writeTinyCheckpoint(join(folder, "model"), { layers: 5, tied: false });
const OTHER = writeTinyCheckpoint(join(folder, "other"), { layers: 5, tied: false, seed: 2 });
const draft = (skip: string[], kernel: "target" | "int8" = "target"): Partial<Segment> => ({
  speculate: true,
  draft: { default: kernel, head: "target", skip, choices: {} },
  draft_tokens: 3,
});
const WHOLE = draft(["1.attn", "1.mlp", "3.attn", "3.mlp"]);

let plans = 0;
async function planOf(...drafts: Partial<Segment>[]): Promise<string> {
  const plan: Plan = {
    kind: "draftplan/plan",
    version: 1,
    model: await modelRefOf(MODEL),
    segments: drafts.map((one, i) => ({ speculate: false, ...one, context_tokens: { from: 64 * i, to: 64 * i + 64 } })),
  };
  const path = join(folder, `plan-${++plans}.yaml`);
  writeFileSync(path, stringifyDocument(plan));
  return path;
}

let outputs = 0;
async function exported(plan: string, ...options: string[]) {
  const output = join(folder, `out-${++outputs}`);
  const args = ["export", plan, "--to", "transformers", "--model", MODEL, "-o", output, ...options];
  return { output, ...(await draftplan(args)) };
}
const leftovers = () => readdirSync(folder).filter((name) => name.includes("partial"));

test("a draft of whole layers is a model of the layers that stay, with a document that names every file", async () => {
  const plan = await planOf(WHOLE, {});
  const { output, code, stdout } = await exported(plan, "--json");
  expect(code).toBe(0);
  const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
  expect(JSON.parse(stdout)).toEqual(document);
  expect(document).toMatchObject({
    segment: { from: 0, to: 64 },
    drafter: { kind: "self" },
    draft_tokens: 3,
    predicted: null,
  } satisfies Partial<Export>);
  const named = document.files.map(({ path }) => path);
  expect([...named, "export.yaml"].sort()).toEqual(readdirSync(output).sort());
  for (const { path, bytes, sha256 } of document.files) {
    const content = readFileSync(join(output, path));
    expect([content.length, createHash("sha256").update(content).digest("hex")]).toEqual([bytes, sha256]);
  }
  expect(document.notes.join(" ")).toContain("2 ranges of contexts");
  expect(readFileSync(join(output, "README.md"), "utf8")).toContain(document.notes[0]);
  const [target, drafted] = [openSafetensors(MODEL), openSafetensors(output)];
  const bytesOf = ({ tensors }: typeof target, name: string) => {
    const tensor = tensors.get(name);
    if (tensor === undefined) throw new Error(`${name} is missing`);
    const bytes = new Uint8Array(tensor.byteLength);
    tensor.file.readInto(bytes, tensor.offset, name);
    return bytes;
  };
  for (const [layer, from] of [0, 2, 4].entries())
    for (const part of ["self_attn.k_proj.weight", "mlp.down_proj.weight", "input_layernorm.weight"])
      expect(bytesOf(drafted, `model.layers.${layer}.${part}`)).toEqual(
        bytesOf(target, `model.layers.${from}.${part}`),
      );
  expect([...drafted.tensors.keys()].filter((name) => name.includes("layers.3."))).toEqual([]);
  for (const file of [...target.files, ...drafted.files]) file.close();
  expect((await openCheckpoint(output)).spec.layers).toBe(3);
  const check = await draftplan(["check", output]);
  expect([check.code, check.stdout]).toEqual([0, expect.stringContaining("no findings")]);
  expect((await draftplan(["inspect", join(output, "export.yaml")])).stdout).toContain("for transformers");
});

describe("refused, with nothing written:", () => {
  test.each<{ name: string; drafts: Partial<Segment>[]; options?: string[]; code: number; says: RegExp }>([
    { name: "no segment speculates", drafts: [{}], code: 2, says: /NOTHING_TO_EXPORT.*segments/ },
    {
      name: "--context where nothing is drafted",
      drafts: [WHOLE, {}],
      options: ["--context", "70"],
      code: 2,
      says: /NOTHING_TO_EXPORT/,
    },
    {
      name: "--context past the plan",
      drafts: [WHOLE],
      options: ["--context", "4096"],
      code: 2,
      says: /contexts 0 to 64/,
    },
    {
      name: "an engine that does not exist",
      drafts: [WHOLE],
      options: ["--to", "telepathy"],
      code: 2,
      says: /OPTION_INVALID/,
    },
    { name: "another model's plan", drafts: [WHOLE], options: ["--model", OTHER], code: 3, says: /DOCUMENT_MISMATCH/ },
    {
      name: "every block skipped",
      drafts: [draft(Array.from({ length: 5 }, (_, l) => [`${l}.attn`, `${l}.mlp`]).flat())],
      code: 3,
      says: /EXPORT_UNSUPPORTED[\s\S]*--for transformers/,
    },
  ])("$name", async ({ drafts, options = [], code, says }) => {
    const { output, ...run } = await exported(await planOf(...drafts), ...options);
    expect(run.stderr).toMatch(says);
    expect(run.code).toBe(code);
    expect(existsSync(output)).toBe(false);
    expect(leftovers()).toEqual([]);
  });

  test("a folder that is not empty, which stays as it was", async () => {
    const output = join(folder, "full");
    mkdirSync(output);
    writeFileSync(join(output, "mine.txt"), "mine");
    const args = ["export", await planOf(WHOLE), "--to", "transformers", "--model", MODEL, "-o", output];
    expect((await draftplan(args)).code).toBe(2);
    expect(readdirSync(output)).toEqual(["mine.txt"]);
  });
});

test("an empty folder that is there is filled", async () => {
  const output = join(folder, "empty", "deep");
  mkdirSync(output, { recursive: true });
  const args = ["export", await planOf(WHOLE), "--to", "transformers", "--model", MODEL, "-o", output];
  expect((await draftplan(args)).code).toBe(0);
  expect(existsSync(join(output, "export.yaml"))).toBe(true);
});

describe("for transformers", () => {
  test("blocks that stay alone are a module without a checkpoint, whole layers are both", async () => {
    const half = await exported(await planOf(draft(["1.attn", "2.mlp"])));
    expect(half.code).toBe(0);
    const files = readdirSync(half.output);
    expect(files).toContain("draftplan_assistant.py");
    expect(files).not.toContain("config.json");
    const whole = await exported(await planOf(WHOLE));
    expect(readdirSync(whole.output)).toEqual(expect.arrayContaining(["draftplan_assistant.py", "config.json"]));
    const { document } = readDocumentOf("draftplan/export", join(whole.output, "export.yaml"));
    const generation = JSON.parse(readFileSync(join(whole.output, "generation_config.json"), "utf8"));
    expect(generation).toMatchObject({
      num_assistant_tokens: document.draft_tokens,
      num_assistant_tokens_schedule: "constant",
      assistant_confidence_threshold: 0,
    });
  });

  test("quantised blocks are a module, and what becomes of them is said", async () => {
    const { code, output } = await exported(await planOf(draft([], "int8")));
    expect(code).toBe(0);
    const { document } = readDocumentOf("draftplan/export", join(output, "export.yaml"));
    expect(document.notes.join(" ")).toContain("int8");
    expect(readFileSync(join(output, "README.md"), "utf8")).toContain("no such quantised blocks");
    expect(readdirSync(output)).not.toContain("model.safetensors");
  });

  test("a lookup is two settings of generate", async () => {
    const lookup = {
      speculate: true,
      draft_tokens: 5,
      drafter: { kind: "lookup" as const, ngram_tokens: { min: 2, max: 3 } },
    };
    const { code, output } = await exported(await planOf(lookup));
    expect(code).toBe(0);
    const readme = readFileSync(join(output, "README.md"), "utf8");
    expect(readme).toContain("prompt_lookup_num_tokens=5, max_matching_ngram_size=3");
  });
});

test.skipIf(process.platform === "win32")("SIGINT while files are written leaves nothing of the folder", async () => {
  const place = join(folder, "interrupted");
  const plan = join(folder, "embedded-plan.yaml");
  const segments: Segment[] = [{ ...draft(["3.mlp"]), speculate: true, context_tokens: { from: 0, to: 512 } }];
  const document: Plan = { kind: "draftplan/plan", version: 1, model: await modelRefOf("embedded"), segments };
  writeFileSync(plan, stringifyDocument(document));
  const args = ["export", plan, "--to", "onnxruntime-genai", "--model", "embedded", "-o", place];
  const { code, stdout, stderr } = await draftplan(args, {
    during: (child) => {
      const timer = setInterval(() => {
        if (leftovers().length === 0) return; // nothing is being written yet
        clearInterval(timer);
        child.kill("SIGINT");
      }, 1);
      child.once("exit", () => clearInterval(timer));
    },
  });
  expect({ code, stdout, stderr }).toEqual({ code: 130, stdout: "", stderr: "interrupted\n" });
  expect(existsSync(place)).toBe(false);
  expect(leftovers()).toEqual([]);
});
