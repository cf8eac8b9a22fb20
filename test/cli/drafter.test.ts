/** `--drafter` and plans whose segments heads draft in, on a tiny model with tiny heads made by PyTorch's twins. */
import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { allInt8, handPlan } from "../support/plans.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const MODEL = join(FIXTURES, "model");
const TREE = [[0], [1], [2], [0, 0], [0, 1], [1, 0]];
const folder = temporaryFolder();
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const ids = file("ids.json", JSON.stringify([3, 17, 29, 8]));
const prompts = file(
  "prompts.jsonl",
  [3, 5, 7, 11, 13].map((id) => JSON.stringify({ ids: [id, 17, 29, 8] })).join("\n"),
);
/** the model has 64 positions */
const GENERATE = ["--prompt-ids", ids, "--max-tokens", "50"];

let facts: { name: string; layers: number; architecture_sha256: string; weights_sha256: string };
let sha256: string;
let plain: number[];

beforeAll(async () => {
  facts = JSON.parse((await draftplan(["inspect", MODEL, "--json"])).stdout);
  sha256 = JSON.parse((await draftplan(["inspect", join(FIXTURES, "medusa"), "--json"])).stdout).sha256;
  cpSync(join(FIXTURES, "medusa"), join(folder, "my-heads"), { recursive: true });
  plain = JSON.parse((await draftplan(["generate", MODEL, ...GENERATE, "--json"])).stdout).ids;
});

const headsSegment = (from: number, to: number, digest = sha256, path = "my-heads"): Segment => ({
  ...{ context_tokens: { from, to }, speculate: true, draft_tokens: 2 },
  drafter: { kind: "heads", sha256: digest, path, tree: TREE },
});
const ownSegment = (from: number, to: number): Segment => ({
  ...{ context_tokens: { from, to }, speculate: true, draft: allInt8, draft_tokens: 3 },
});
const planFile = (name: string, ...segments: Segment[]): string => {
  const { name: model, layers, architecture_sha256: architectureSha256, weights_sha256: weightsSha256 } = facts;
  const made = { name: model, layers, architectureSha256, weightsSha256, draft: allInt8, draftTokens: 2 };
  return file(name, stringifyDocument({ ...handPlan(made), segments } satisfies Plan));
};
const generated = async (...args: string[]) => {
  const { code, stdout, stderr } = await draftplan(["generate", MODEL, ...GENERATE, ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as { ids: number[]; drafter: string; drafted: number | null; rounds: number | null };
};
const refused = async (args: string[], code: number, ...words: (string | RegExp)[]) => {
  const result = await draftplan(args);
  expect(result.code).toBe(code);
  for (const word of words) expect(result.stderr).toMatch(word);
};

describe("generate", () => {
  test.each(["medusa", "medusa-two-blocks", "hydra", "hydra-prefix", "vllm-one-head"])(
    "with heads and without a plan gives the tokens of plain decoding: %s",
    async (name) => {
      const heads = join(FIXTURES, name);
      const { ids, drafter, drafted } = await generated("--drafter", `heads:${heads}`);
      expect(ids).toEqual(plain);
      expect(drafter).toBe(`heads:${heads}`);
      expect(drafted).toBeGreaterThan(0);
    },
  );

  test("with a plan whose segments heads and blocks draft in by turns, its heads where the plan says", async () => {
    const plan = planFile("mixed.yaml", headsSegment(0, 20), ownSegment(20, 30), headsSegment(30, 64));
    const { ids, drafter, drafted, rounds } = await generated("--plan", plan);
    expect({ ids, drafter }).toEqual({ ids: plain, drafter: "plan" });
    expect(drafted).toBeGreaterThan(0);
    expect(rounds).toBeGreaterThan(0);
    expect((await generated("--plan", plan, "--drafter", "self")).ids).toEqual(plain);
    const none = await generated("--plan", plan, "--drafter", "none");
    expect(none).toMatchObject({ ids: plain, drafter: "none", drafted: null, rounds: null });
    expect(await generated()).toMatchObject({ drafter: "none" });
  });

  test("refuses what cannot draft, before any work", async () => {
    const generate = (...args: string[]) => ["generate", MODEL, ...GENERATE, ...args];
    const plan = planFile("heads.yaml", headsSegment(0, 64));
    await refused(
      generate("--drafter", "eagle"),
      2,
      "OPTION_INVALID",
      "plan, none, self, lookup, model:PATH, heads:PATH, hybrid",
    );
    await refused(generate("--drafter", "heads:"), 2, "OPTION_INVALID");
    await refused(generate("--drafter", "plan"), 2, "USAGE", "there is no plan");
    await refused(generate("--drafter", "self"), 2, "USAGE", "which blocks draft, a plan says");
    await refused(generate("--plan", plan, "--drafter", "self"), 2, "OPTION_INVALID", "no draft of the model's own");
    await refused(generate("--drafter", "heads:/no/such/folder"), 3, "FILE_NOT_FOUND", "/no/such/folder");
    await refused(
      generate("--plan", planFile("a.yaml", headsSegment(0, 64, sha256, "gone"))),
      3,
      "FILE_NOT_FOUND",
      "gone",
    );
    const other = planFile("b.yaml", headsSegment(0, 64, "0".repeat(64)));
    await refused(generate("--plan", other), 3, "DIGEST_MISMATCH", /segments\[0\]\.drafter/);
    await refused(
      ["generate", "embedded", "--prompt", "a", "--drafter", `heads:${join(FIXTURES, "medusa")}`],
      3,
      "HEADS_MISMATCH",
    );
    await refused(generate("--plan", plan, "--adapt"), 3, "INPUTS_MISSING");
    await refused(generate("--plan", plan, "--adapt", "--drafter", "none"), 2, "USAGE");
    await refused(["evaluate", MODEL, "--plan", plan, "--ids", ids], 2, "DRAFTER_NOT_OPEN");
  });
});

describe("verify", () => {
  const verified = async (plan: string, ...args: string[]) => {
    mkdirSync(join(folder, "out"), { recursive: true });
    const output = join(folder, "out", "verification.yaml");
    const options = ["--model", MODEL, "--prompts", prompts, "--max-tokens", "24", "--pairs", "1", "-o", output];
    const { code, stderr } = await draftplan(["verify", plan, ...options, "--threads", "1", ...args]);
    expect({ code, stderr: stderr.includes("error") }).toEqual({ code: 0, stderr: false });
    return parseDocument(readFileSync(output, "utf8"), output) as Verification;
  };

  test("proves a plan that heads draft in, and says nothing of another drafter", async () => {
    const verification = await verified(planFile("heads.yaml", headsSegment(0, 64)));
    expect(verification).toMatchObject({ lossless: true, predicted_speedup: null });
    expect(verification.drafter).toBeUndefined();
    expect(verification.acceptance).not.toBeNull();
  });

  test("without a plan writes the one that a drafter's defaults make, and proves that", async () => {
    const output = join(folder, "out", "default.verification.yaml");
    const written = join(folder, "out", "default.plan.yaml");
    const options = ["--model", MODEL, "--prompts", prompts, "--max-tokens", "12", "--pairs", "1", "--threads", "1"];
    const verify = (drafter: string, ...more: string[]) =>
      draftplan(["verify", "--drafter", drafter, ...options, ...more], { cwd: folder });
    const read = () => ({
      verification: parseDocument(readFileSync(output, "utf8"), output) as Verification,
      segments: (parseDocument(readFileSync(written, "utf8"), written) as Plan).segments,
    });
    const context_tokens = { from: 0, to: 64 };
    const { code, stderr } = await verify(`heads:${join(folder, "my-heads")}`, "-o", output);
    expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringContaining(written) });
    const heads = read();
    const [, last] = [...(heads.segments[0].drafter as { tree: number[][] }).tree];
    expect(last).toEqual([0, 0]); // a chain
    expect(heads.segments).toMatchObject([
      { context_tokens, speculate: true, drafter: { kind: "heads", path: "../my-heads", sha256 } },
    ]);
    expect(heads.verification).toMatchObject({
      lossless: true,
      drafter: { kind: "heads", path: "../my-heads", sha256 },
    });
    expect(heads.verification.plan.path).toBe("default.plan.yaml");
    expect((await draftplan(["verify", written, ...options, "-o", "-", "--json"])).code).toBe(0);
    expect((await verify("hybrid", "-o", output)).code).toBe(0);
    expect(read().segments).toEqual([
      {
        context_tokens,
        speculate: true,
        drafter: { kind: "lookup", ngram_tokens: { min: 3, max: 8 } },
        draft_tokens: 8,
      },
    ]);
    const printed = await verify("none", "-o", "-", "--json");
    expect(JSON.parse(printed.stdout)).toMatchObject({ lossless: true, acceptance: null, drafter: { kind: "none" } });
    expect(printed.stderr).toMatch(/plans.*none\.plan\.yaml/);
    expect((await draftplan(["check", join(folder, "out")])).stdout).not.toContain("failed");
  });

  test("without a plan refuses drafters that only a plan describes, and nobody", async () => {
    const verify = ["verify", "--model", MODEL];
    await refused(verify, 2, "USAGE", "neither a plan nor a drafter");
    await refused([...verify, "--drafter", "plan"], 2, "USAGE", "there is no plan");
    await refused([...verify, "--drafter", "self"], 2, "USAGE", "which blocks draft");
    await refused([...verify, "--drafter", "lookup", "--standalone"], 2, "USAGE", "cache of its own");
  });

  test("records the drafter that stood in for the plan's own", async () => {
    const plan = planFile("own.yaml", ownSegment(0, 64));
    const heads = join(folder, "my-heads");
    expect((await verified(plan, "--drafter", `heads:${heads}`)).drafter).toEqual({
      kind: "heads",
      path: "../my-heads",
      sha256,
    });
    expect((await verified(plan, "--drafter", "self")).drafter).toEqual({ kind: "self" });
    const none = await verified(plan, "--drafter", "none");
    expect(none.drafter).toEqual({ kind: "none" });
    expect(none.acceptance).toBeNull();
  });
});
