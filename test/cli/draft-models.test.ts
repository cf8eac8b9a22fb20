/** `--drafter lookup|model:PATH|hybrid` and plans whose segments name them, on tiny models of random weights. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { allInt8, handPlan } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { tinyFile } from "../support/tokenizers.js";

const folder = temporaryFolder();
const inFolder = (name: string) => join(folder, name);
const file = (name: string, content: string): string => {
  writeFileSync(inFolder(name), content);
  return inFolder(name);
};
const shape = { vocab: 64, context: 96 };
const TARGET = writeTinyCheckpoint(inFolder("target"), { ...shape, layers: 3, seed: 1 });
const SMALL = writeTinyCheckpoint(inFolder("small"), { ...shape, layers: 1, seed: 2 });
const LARGE = writeTinyCheckpoint(inFolder("large"), { ...shape, layers: 4, seed: 3 });
const WIDE = writeTinyCheckpoint(inFolder("wide"), { ...shape, layers: 1, vocab: 65, seed: 4 });
const ids = file("ids.json", JSON.stringify([3, 17, 29, 8, 3, 17]));
const prompts = file(
  "prompts.jsonl",
  [3, 5, 7, 11, 13].map((id) => JSON.stringify({ ids: [id, 17, 29, 8, id, 17] })).join("\n"),
);
const GENERATE = ["--prompt-ids", ids, "--max-tokens", "80", "--threads", "1"];

interface Facts {
  name: string;
  layers: number;
  architecture_sha256: string;
  weights_sha256: string;
}
let target: Facts;
let small: Facts;
let plain: number[];

beforeAll(async () => {
  const facts = async (model: string): Promise<Facts> =>
    JSON.parse((await draftplan(["inspect", model, "--json"])).stdout);
  [target, small] = [await facts(TARGET), await facts(SMALL)];
  plain = JSON.parse((await draftplan(["generate", TARGET, ...GENERATE, "--json"])).stdout).ids;
});

const modelDrafter = (kernel: "target" | "int8" = "target", path = "small") => ({
  ...{ kind: "model" as const, name: small.name, weights_sha256: small.weights_sha256, path, kernel },
});
const lookup = { min_match: 2, ngram_tokens: { min: 1, max: 4 } };
const segment = (from: number, to: number, more: Partial<Segment>): Segment => ({
  ...{ context_tokens: { from, to }, speculate: true, draft_tokens: 3, ...more },
});
const planFile = (name: string, ...segments: Segment[]): string => {
  const { name: model, layers, architecture_sha256: architectureSha256, weights_sha256: weightsSha256 } = target;
  const made = { name: model, layers, architectureSha256, weightsSha256, draft: allInt8, draftTokens: 2 };
  return file(name, stringifyDocument({ ...handPlan(made), segments } satisfies Plan));
};
const mixed = () =>
  planFile(
    "mixed.yaml",
    segment(0, 20, { drafter: modelDrafter() }),
    segment(20, 40, { drafter: { kind: "lookup", ngram_tokens: { min: 1, max: 3 } } }),
    segment(40, 60, { drafter: { kind: "hybrid", lookup, otherwise: modelDrafter("int8") } }),
    segment(60, 96, { drafter: { kind: "hybrid", lookup, otherwise: { kind: "self" } }, draft: allInt8 }),
  );

const generated = async (...args: string[]) => {
  const { code, stdout, stderr } = await draftplan(["generate", TARGET, ...GENERATE, ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as { ids: number[]; drafter: string; drafted: number; accepted: number };
};
const refused = async (args: string[], code: number, ...words: (string | RegExp)[]) => {
  const result = await draftplan(args);
  expect(result.code).toBe(code);
  for (const word of words) expect(result.stderr).toMatch(word);
};

describe("generate gives the tokens of plain decoding", () => {
  test.each([
    ["a lookup", "lookup", "lookup"],
    ["a smaller model", `model:${SMALL}`, `model:${SMALL}`],
    ["the model itself as another", `model:${TARGET}`, `model:${TARGET}`],
    ["a lookup, and nothing else", "hybrid", "hybrid"],
  ])("without a plan: %s", async (_what, drafter, name) => {
    const result = await generated("--drafter", drafter);
    expect(result.ids).toEqual(plain);
    expect(result.drafter).toBe(name);
    expect(result.drafted).toBeGreaterThan(0);
  });

  test("the model itself, in its own precision on other devices and in int8 here, is mostly right", async () => {
    const { drafted, accepted } = await generated("--drafter", `model:${TARGET}`);
    expect(accepted / drafted).toBeGreaterThan(0.5);
  });

  test("by a plan of all of them, and with each in place of its drafters", async () => {
    const plan = mixed();
    for (const drafter of ["plan", "self", "lookup", "hybrid", `model:${SMALL}`, "none"]) {
      const { ids: found } = await generated("--plan", plan, "--drafter", drafter);
      expect({ drafter, found }).toEqual({ drafter, found: plain });
    }
  });
});

describe("verify", () => {
  const verified = async (plan: string, ...args: string[]) => {
    mkdirSync(inFolder("out"), { recursive: true });
    const output = inFolder("out/verification.yaml");
    const options = ["--model", TARGET, "--prompts", prompts, "--max-tokens", "40", "--pairs", "1", "-o", output];
    const { code, stderr } = await draftplan(["verify", plan, ...options, "--threads", "1", ...args]);
    expect({ code, stderr: stderr.includes("error") }).toEqual({ code: 0, stderr: false });
    return parseDocument(readFileSync(output, "utf8"), output) as Verification;
  };

  test("proves a plan of all of them", async () => {
    expect(await verified(mixed())).toMatchObject({ lossless: true, predicted_speedup: null });
  });

  test("records who stood in for the plan's own", async () => {
    const plan = planFile("own.yaml", segment(0, 96, { draft: allInt8 }));
    expect((await verified(plan, "--drafter", "lookup")).drafter).toEqual({ kind: "lookup" });
    const { drafter, acceptance } = await verified(plan, "--drafter", `model:${SMALL}`);
    const { name, weights_sha256 } = small;
    expect(drafter).toEqual({ kind: "model", name, weights_sha256, path: "../small" });
    expect(acceptance).not.toBeNull();
  });
});

test("a draft model of the Hugging Face cache is called by its name, and drafts by that name", async () => {
  const cache = temporaryFolder();
  const commit = "0123456789abcdef0123456789abcdef01234567";
  const name = `hf:Some-Org/Small@${commit}`;
  cpSync(SMALL, join(cache, "models--Some-Org--Small", "snapshots", commit), { recursive: true });
  const env = { HF_HUB_CACHE: cache, HF_HUB_OFFLINE: "1", HF_ENDPOINT: "" };
  const output = join(temporaryFolder(), "v.yaml");
  const quick = ["--prompts", prompts, "--max-tokens", "8", "--pairs", "1", "--threads", "1"];
  const verify = ["verify", "--model", TARGET, "--drafter", `model:${name}`, ...quick, "-o", output];
  expect(await draftplan(verify, { env })).toMatchObject({ code: 0 });
  const document = parseDocument(readFileSync(output, "utf8"), output) as Verification;
  expect(document.drafter).toMatchObject({ path: name });
  const plan = join(output, "..", document.plan.path);
  expect(readFileSync(plan, "utf8")).toContain(`path: ${name}`);
  const { stdout } = await draftplan(["generate", TARGET, ...GENERATE, "--plan", plan, "--json"], { env });
  expect(JSON.parse(stdout)).toMatchObject({ ids: plain });
});

describe("is refused before any work:", () => {
  const generate = (...args: string[]) => ["generate", TARGET, ...GENERATE, ...args];

  test("a model that is missing, larger than its target, or has another vocabulary", async () => {
    await refused(generate("--drafter", "model:/no/such/model"), 3, "FILE_NOT_FOUND", "/no/such/model");
    await refused(generate("--drafter", `model:${LARGE}`), 3, "DRAFT_MODEL_MISMATCH", /parameters/);
    await refused(generate("--drafter", `model:${WIDE}`), 3, "DRAFT_MODEL_MISMATCH", /65 tokens/);
    await refused(generate("--drafter", "model:"), 2, "OPTION_INVALID");
  });

  test("by every verb that measures, before the target is converted", async () => {
    const fresh = writeTinyCheckpoint(inFolder("fresh"), { ...shape, layers: 3, seed: 5 });
    const converted = async () => JSON.parse((await draftplan(["cache", "--json"])).stdout).entries.length;
    const before = await converted();
    const into = ["-o", inFolder("refused.yaml")];
    for (const [draft, code, word] of [
      [LARGE, "DRAFT_MODEL_MISMATCH", /parameters/],
      [WIDE, "DRAFT_MODEL_MISMATCH", /65 tokens/],
      ["/no/such/model", "FILE_NOT_FOUND", "/no/such/model"],
    ] as const) {
      for (const verb of ["profile", "calibrate"])
        await refused([verb, fresh, "--drafters", `self,model:${draft}`, ...into], 3, code, word);
      await refused(["verify", "--model", fresh, "--drafter", `model:${draft}`, ...into], 3, code, word);
    }
    expect(await converted()).toBe(before);
  });

  test("a vocabulary whose words are others, though there are as many", async () => {
    const folders = ["ours", "same", "other", "more"].map((name) => inFolder(`words-${name}`));
    const [ours, same, other, more] = folders;
    const words = tinyFile() as { model: { vocab: Record<string, number> }; added_tokens: object[] };
    const swapped = structuredClone(words);
    const [a, b] = Object.keys(swapped.model.vocab).filter((token) => token.length === 1);
    [swapped.model.vocab[a], swapped.model.vocab[b]] = [swapped.model.vocab[b], swapped.model.vocab[a]];
    const added = structuredClone(words);
    added.added_tokens.push({ id: 60, content: "<chat>", special: true });
    for (const [into, tokenizer] of [
      [ours, words],
      [same, words],
      [other, swapped],
      [more, added],
    ] as const) {
      cpSync(into === ours ? TARGET : SMALL, into, { recursive: true });
      writeFileSync(join(into, "tokenizer.json"), JSON.stringify(tokenizer));
    }
    const command = (draft: string) => ["generate", ours, ...GENERATE, "--drafter", `model:${draft}`];
    await refused(command(other), 3, "DRAFT_MODEL_MISMATCH", /token \d+ is/);
    await refused(command(SMALL), 3, "DRAFT_MODEL_MISMATCH", /no tokenizer/);
    expect((await draftplan(command(same))).code).toBe(0);
    expect((await draftplan(command(more))).code).toBe(0);
  });

  test("adapting a plan in which others draft, and that says of none what it is measured at", async () => {
    await refused(generate("--plan", mixed(), "--adapt"), 3, "INPUTS_MISSING", /inputs/);
  });

  test("a plan's model that is another now, or gone", async () => {
    const gone = planFile("gone.yaml", segment(0, 96, { drafter: modelDrafter("int8", "nowhere") }));
    await refused(generate("--plan", gone), 3, "FILE_NOT_FOUND", "nowhere");
    const changed = planFile("changed.yaml", segment(0, 96, { drafter: modelDrafter("int8", "wide") }));
    await refused(generate("--plan", changed), 3, /DIGEST_MISMATCH|DRAFT_MODEL_MISMATCH/);
    const other = { ...modelDrafter(), weights_sha256: "0".repeat(64) };
    const plan = planFile("other.yaml", segment(0, 96, { drafter: other }));
    await refused(generate("--plan", plan), 3, "DIGEST_MISMATCH", /segments\[0\]\.drafter/);
  });
});
