import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type AnyDocument, sha256, stringifyDocument } from "../../src/schema/document.js";
import { draftplan } from "../support/cli.js";
import { EVERY_KIND, plan } from "../support/example-documents.js";
import { temporaryFolder, writeTinyCheckpoint, writeTinyGguf } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const inspectJson = async (path: string): Promise<Record<string, unknown>> => {
  const { code, stdout, stderr } = await draftplan(["inspect", path, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Record<string, unknown>;
};
const write = (name: string, text: string): string => {
  writeFileSync(join(folder, name), text);
  return join(folder, name);
};

describe("a model", () => {
  test("the embedded one", async () => {
    const facts = await inspectJson("embedded");
    expect(facts).toMatchObject({
      name: "union-10m",
      layers: 12,
      architecture: "llama",
      context_limit: 2048,
      vocab_size: 4096,
      heads: 4,
      kv_heads: 2,
      head_dim: 64,
    });
    expect(facts.architecture_sha256).toMatch(/^[0-9a-f]{64}$/);
    expect(facts.weights_sha256).toMatch(/^[0-9a-f]{64}$/);
    // embedding, 12 layers of attention, MLP and two norms, last norm; the head is the embedding
    expect(facts.parameters).toBe(4096 * 256 + 12 * (2 * 256 * 256 + 2 * 128 * 256 + 3 * 768 * 256 + 2 * 256) + 256);
    const { stdout } = await draftplan(["inspect", "embedded"]);
    expect(stdout).toContain(facts.weights_sha256 as string);
    expect(stdout).toMatch(/^parameters +10\.5 million$/m);
  });

  test("what it will need: by default and where it is asked for", async () => {
    const { needs } = (await inspectJson("embedded")) as { needs: Record<string, unknown> };
    expect(needs).toMatchObject({ provider: "cpu", target: "fp32", device_free_bytes: null });
    // keys and values of 12 layers, 2 heads of 64, fp32
    const cache = (tokens: number) => tokens * 12 * 2 * 2 * 64 * 4;
    expect(needs.contexts).toMatchObject([
      { context_tokens: 2048, cache_bytes: cache(2048), device_bytes: null, fits: true },
    ]);
    const asked = [
      "inspect",
      "embedded",
      "--provider",
      "cuda",
      "--context",
      "512,1024",
      "--choices",
      "int8,int4",
      "--json",
    ];
    const { stdout } = await draftplan(asked);
    const there = JSON.parse(stdout).needs;
    expect(there).toMatchObject({ provider: "cuda", target: "fp16" });
    expect(Object.keys(there.weight_bytes)).toEqual(["target", "int8", "int4", "other"]);
    expect(there.contexts.map((one: { cache_bytes: number }) => one.cache_bytes)).toEqual([cache(256), cache(512)]);
    const { stdout: lines } = await draftplan(asked.slice(0, -1));
    expect(lines).toMatch(/^needs on cuda +target in fp16; weights: target \d+\.\d MiB, int8 /m);
    expect(lines).toMatch(/of the device's memory with 1024 tokens in the cache \(6\.0 MiB\)$/m);
    expect(lines).toMatch(/^ +up to 2\.0 GiB more of it for programs that are kept ready$/m);
    expect(lines).toMatch(/^ +512\.0 MiB of the host's memory, [\d.]+ .iB free$/m);
  });

  test("the same weights as folder, as GGUF and as config.json share their architecture", async () => {
    const directory = writeTinyCheckpoint(join(folder, "hf"), { headDim: 16 });
    const keys = ["architecture_sha256", "layers", "parameters", "context_limit"];
    const pick = (facts: Record<string, unknown>) => keys.map((key) => facts[key]);
    const facts = await inspectJson(directory);
    expect(pick(await inspectJson(writeTinyGguf(join(folder, "tiny.gguf"), { headDim: 16 })))).toEqual(pick(facts));
    const alone = await inspectJson(join(directory, "config.json"));
    expect(pick(alone)).toEqual(pick(facts));
    expect(alone).toMatchObject({ weights_sha256: null, stored_types: null, format: null });
    expect(Object.keys(alone)).toEqual(Object.keys(facts));
  });
});

describe("a folder of heads", () => {
  const heads = (name: string) => fileURLToPath(new URL(`../fixtures/heads/${name}`, import.meta.url));

  test("what it holds, for machines and for people", async () => {
    const facts = await inspectJson(heads("hydra-prefix"));
    expect(facts).toMatchObject({
      kind: "hydra",
      layout: "Hydra",
      heads: 3,
      blocks: 2,
      prefix_layer: true,
      lm_head: "each",
    });
    // three heads over 2, 3 and 4 states of 16, twice, with biases; a further block; an LM head of 40 tokens
    expect(facts.parameters).toBe(2 * (16 * 16 * 9 + 3 * 16) + 3 * (16 * 16 + 16) + 3 * (40 * 16 + 40));
    const { stdout } = await draftplan(["inspect", heads("hydra-prefix")]);
    expect(stdout).toContain(facts.sha256 as string);
    expect(stdout).toMatch(/^heads +3 of Hydra, 2 residual blocks each, behind a prefix layer$/m);
    const shared = await draftplan(["inspect", heads("vllm-models-head")]);
    expect(shared.stdout).toMatch(/^LM head +the model's own$/m);
  });

  test("a broken one is refused as heads", async () => {
    const broken = join(folder, "broken-heads");
    mkdirSync(broken);
    writeFileSync(join(broken, "config.json"), JSON.stringify({ medusa_num_heads: 3 }));
    writeFileSync(join(broken, "medusa_lm_head.pt"), "");
    const { code, stderr } = await draftplan(["inspect", broken]);
    expect(code).toBe(3);
    expect(stderr).toContain("[HEADS_UNSUPPORTED]");
  });
});

describe("a document", () => {
  test.each(EVERY_KIND)("a valid %s", async (kind, example) => {
    const text = stringifyDocument(example());
    const path = write(`${kind}.yaml`, text);
    const shown = await inspectJson(path);
    expect(shown).toMatchObject({
      file: path,
      kind: `draftplan/${kind}`,
      valid: true,
      sha256: sha256(text),
      error: null,
    });
    const { code, stdout } = await draftplan(["inspect", path]);
    expect(code).toBe(0);
    expect(stdout.split("\n")[0]).toBe(`${path}: a valid draftplan/${kind}, version 1`);
    for (const line of shown.summary as string[]) expect(stdout).toContain(`${line}\n`);
  });

  test("a plan shows a line for each segment", async () => {
    const { stdout } = await draftplan(["inspect", write("lines.yaml", stringifyDocument(plan()))]);
    expect(stdout).toContain(
      "0 to 1024 tokens: target 1, int8 1, skip 2, head int8; 3 drafted a round; predicted 1.48 times, acceptance 93.0 %\n",
    );
    expect(stdout).toContain("1024 to 4096 tokens: plain decoding, nothing is drafted\n");
  });

  test.each([
    ["an unknown key", () => `${stringifyDocument(plan())}more: 1\n`, "DOCUMENT_INVALID"],
    [
      "a block named twice",
      () => stringifyDocument(plan()).replace("[0.attn, 1.mlp]", "[0.attn, 0.attn]"),
      "DOCUMENT_INVALID",
    ],
    [
      "a block the model does not have",
      () => stringifyDocument(plan()).replace("[0.attn, 1.mlp]", "[0.attn, 2.mlp]"),
      "BLOCK_UNKNOWN",
    ],
    [
      "another kind",
      () => stringifyDocument({ ...plan(), kind: "draftplan/recipe" } as unknown as AnyDocument),
      "DOCUMENT_KIND",
    ],
  ])("with %s is invalid: exit code 3, and --json says so in one value", async (_what, text, error) => {
    const path = write("invalid.yaml", text());
    const { code, stdout, stderr } = await draftplan(["inspect", path, "--json"]);
    expect(code).toBe(3);
    expect(stderr).toContain(`error [${error}] ${path}`);
    expect(JSON.parse(stdout)).toMatchObject({ file: path, valid: false, error: { code: error } });
  });
});

describe("the cache", () => {
  test("is listed and cleared", async () => {
    const env = { DRAFTPLAN_CACHE_DIR: join(folder, "cache") };
    const empty = await draftplan(["cache", "--json"], { env });
    expect(JSON.parse(empty.stdout)).toEqual({
      folder: env.DRAFTPLAN_CACHE_DIR,
      entries: [],
      bytes: 0,
      half_made: { count: 0, running: 0, bytes: 0 },
      freed_bytes: null,
    });
    const model = writeTinyCheckpoint(join(folder, "cached"), { headDim: 16 });
    await draftplan(["generate", model, "--prompt-ids", write("id.json", "[1]"), "--max-tokens", "1"], { env });
    const full = JSON.parse((await draftplan(["cache", "--json"], { env })).stdout) as {
      entries: unknown[];
      bytes: number;
    };
    expect(full.entries).toHaveLength(1);
    expect(full.bytes).toBeGreaterThan(10_000);
    const cleared = JSON.parse((await draftplan(["cache", "--clear", "--json"], { env })).stdout) as {
      freed_bytes: number;
    };
    expect(cleared).toMatchObject({ folder: env.DRAFTPLAN_CACHE_DIR, entries: [], bytes: 0, freed_bytes: full.bytes });
  });
});
