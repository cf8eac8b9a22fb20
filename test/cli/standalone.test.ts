/** `--standalone` of evaluate and verify, and plans that say `draft_cache: own`, on a tiny model. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { handPlan, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const MODEL = writeTinyCheckpoint(temporaryFolder(), { layers: 3, headDim: 16, seed: 7, context: 96, eosTokenIds: [] });
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const ids = file("ids.json", JSON.stringify([3, 17, 29, 8]));
const text = file(
  "text.json",
  JSON.stringify({ ids: Array.from({ length: 48 }, (_, i) => (7 * i * i + i) % 50), first: 8 }),
);
const prompts = file("prompts.jsonl", [3, 5, 7, 11].map((id) => JSON.stringify({ ids: [id, 17, 29, 8] })).join("\n"));

let shared: Plan;
let plans: { shared: string; own: string };

beforeAll(async () => {
  const facts = JSON.parse((await draftplan(["inspect", MODEL, "--json"])).stdout);
  const { name, layers, architecture_sha256: architectureSha256, weights_sha256: weightsSha256 } = facts;
  const draft = skipping("0.attn", "1.mlp");
  shared = handPlan({ name, layers, architectureSha256, weightsSha256, draft, draftTokens: 3 });
  plans = {
    shared: file("plan.yaml", stringifyDocument(shared)),
    own: file("own.yaml", stringifyDocument({ ...shared, draft_cache: "own" })),
  };
});

test("evaluate: another draft than over the target's cache, told as such, and by the plan's own word", async () => {
  const run = async (...args: string[]) =>
    JSON.parse((await draftplan(["evaluate", MODEL, "--ids", text, "--json", ...args])).stdout);
  const over = await run("--plan", plans.shared);
  const own = await run("--plan", plans.shared, "--standalone");
  expect(over).not.toHaveProperty("draft_cache");
  expect(own.draft_cache).toBe("own");
  expect(own.target_top1).toEqual(over.target_top1);
  expect(own.draft_top1).not.toEqual(over.draft_top1);
  expect(await run("--plan", plans.own)).toEqual(own);
  expect(await run("--skip", "0.attn,1.mlp", "--standalone")).toEqual(own);
});

test("verify: lossless, said in the document, the same with the plan's own word, and check holds it for whole", async () => {
  const verify = async (plan: string, ...args: string[]) => {
    const output = join(folder, "v.yaml");
    const asked = ["--prompts", prompts, "--max-tokens", "24", "--pairs", "1", "-o", output];
    const { code, stderr } = await draftplan(["verify", plan, "--model", MODEL, ...asked, ...args]);
    expect([code, stderr]).toEqual([0, expect.any(String)]);
    return parseDocument(readFileSync(output, "utf8"), output) as Verification;
  };
  const over = await verify(plans.shared);
  const flagged = await verify(plans.shared, "--standalone");
  const { code } = await draftplan(["check", plans.shared, join(folder, "v.yaml")]);
  expect(code).toBe(0);
  const said = await verify(plans.own);
  expect(over).not.toHaveProperty("draft_cache");
  for (const own of [flagged, said]) {
    expect(own).toMatchObject({ draft_cache: "own", lossless: true, predicted_speedup: null });
    expect(own.output_sha256).toBe(over.output_sha256);
    expect(own.by_position).toEqual(flagged.by_position);
  }
});

test("generate: a plan with such drafts gives the target's own tokens", async () => {
  const run = async (...args: string[]) => {
    const asked = ["--prompt-ids", ids, "--max-tokens", "50", "--json", ...args];
    return JSON.parse((await draftplan(["generate", MODEL, ...asked])).stdout);
  };
  const own = await run("--plan", plans.own);
  expect(own.ids).toEqual((await run()).ids);
  expect(own.drafted).toBeGreaterThan(0);
});

describe("solve", () => {
  const PROFILES = fileURLToPath(new URL("../../profiles/", import.meta.url));
  const solve = (...args: string[]) =>
    draftplan([
      ...["solve", "--profile", join(PROFILES, "union-10m.profile.yaml")],
      ...["--calibration", join(PROFILES, "union-10m.calibration.yaml"), "-o", join(folder, "solved.yaml"), ...args],
    ]);

  test.each([
    [["--standalone"], 3, /knows no draft with a cache of its own[\s\S]*calibrate MODEL --standalone/],
    [["--answer-tokens", "50"], 2, /--standalone/],
    [["--standalone", "--method", "uniform"], 2, /over the target's cache/],
    [["--standalone", "--answer-tokens", "0"], 2, /--answer-tokens/],
  ])("%j is refused", async (args, expected, message) => {
    const { code, stderr } = await solve(...args);
    expect(stderr).toMatch(message);
    expect(code).toBe(expected);
  });
});

describe("what cannot be is refused before the model is loaded", () => {
  test.each([
    [["--drafter", "none"], /--standalone --drafter none/],
    [["--drafter", "heads:nowhere"], /--standalone --drafter heads:nowhere/],
  ])("verify --standalone %j", async (args, message) => {
    const { code, stderr } = await draftplan(["verify", plans.shared, "--model", MODEL, "--standalone", ...args]);
    expect(code).toBe(2);
    expect(stderr).toMatch(message);
  });

  test("a plan without a draft of the model's own blocks", async () => {
    const [{ context_tokens }] = shared.segments;
    const plain = file(
      "plain.yaml",
      stringifyDocument({ ...shared, segments: [{ context_tokens, speculate: false }] }),
    );
    const { code, stderr } = await draftplan(["verify", plain, "--model", MODEL, "--standalone"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/no draft of the model's own blocks/);
  });

  test("--adapt", async () => {
    const { code, stderr } = await draftplan([
      ...["generate", MODEL, "--prompt-ids", ids, "--plan", plans.own, "--adapt"],
    ]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/cache of their own/);
  });
});
