/** `--choices` from profile and calibrate to a plan with int4 and its proof. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parseDocument } from "yaml";
import { draftplan } from "../support/cli.js";
import { writePlan } from "../support/plans.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);
const read = (name: string) => parseDocument(readFileSync(file(name), "utf8")).toJS();

beforeAll(async () => {
  const profile = await draftplan([
    "profile",
    "embedded",
    "--choices",
    "int8,int4",
    "--context",
    "64,128",
    "--query",
    "1,5",
    "--budget",
    "2s",
    "-o",
    file("p.yaml"),
  ]);
  const calibration = await draftplan([
    "calibrate",
    "embedded",
    "--choices",
    "int8,int4,skip",
    "--context",
    "64",
    "--prompts-per-context",
    "2",
    "--budget",
    "1s",
    "-o",
    file("c.yaml"),
  ]);
  expect([profile.code, calibration.code], profile.stderr + calibration.stderr).toEqual([0, 0]);
});

test("both documents have int4, with its numerics", () => {
  const int4 = "MatMulNBits, 4 bits, symmetric, block 32, accuracy_level 4";
  const [profile, calibration] = [read("p.yaml"), read("c.yaml")];
  expect([profile.kernels.int4, calibration.kernels.int4]).toEqual([int4, int4]);
  expect(profile.points[0].attn_us.int4).toHaveLength(profile.model.layers);
  expect(calibration.contexts[0].mlp.int4).toHaveLength(profile.model.layers);
  expect(calibration.contexts[0].head.int4.loss).toBeGreaterThan(calibration.contexts[0].head.int8.loss);
});

test("solve takes all three choices", async () => {
  const inputs = ["--profile", file("p.yaml"), "--calibration", file("c.yaml")];
  const { code, stdout } = await draftplan(["solve", ...inputs, "--choices", "skip,int8,int4", "-o", "-", "--json"]);
  expect(code).toBe(0);
  expect(JSON.parse(stdout).choices).toEqual(["int8", "int4", "skip"]);
});

test("a calibration without int4 is refused, with the command that measures it", async () => {
  const calibration = read("c.yaml");
  for (const context of calibration.contexts) for (const part of ["attn", "mlp", "head"]) delete context[part].int4;
  delete calibration.kernels.int4;
  writeFileSync(file("old.yaml"), JSON.stringify(calibration));
  const inputs = ["--profile", file("p.yaml"), "--calibration", file("old.yaml"), "-o", "-"];
  const refused = await draftplan(["solve", ...inputs, "--choices", "skip,int8,int4"]);
  expect(refused.code).toBe(3);
  expect(refused.stderr).toMatch(/CHOICE_UNAVAILABLE[\s\S]*calibration has no int4/);
  expect(refused.stderr).toContain("draftplan calibrate MODEL --choices int8,int4");
  expect((await draftplan(["solve", ...inputs, "--choices", "skip,int8"])).code).toBe(0);
});

test("a plan with int4 blocks is evaluated, and verified to be lossless", async () => {
  const { name, layers, architecture_sha256, weights_sha256 } = JSON.parse(
    (await draftplan(["inspect", "embedded", "--json"])).stdout,
  );
  const draft = { default: "int4", head: "int8", skip: ["4.mlp"], choices: { "0.mlp": "target" } } as const;
  const plan = writePlan(file("plan.yaml"), {
    ...{ name, layers, architectureSha256: architecture_sha256, weightsSha256: weights_sha256 },
    ...{ draft: { ...draft, skip: [...draft.skip], choices: { ...draft.choices } }, draftTokens: 4 },
  });
  const evaluated = await draftplan(["evaluate", "embedded", "--plan", plan, "--json"]);
  expect(evaluated.code, evaluated.stderr).toBe(0);
  const { acceptance } = JSON.parse(evaluated.stdout);
  expect(acceptance).toBeGreaterThan(0.7);
  expect(acceptance).toBeLessThan(1);
  writeFileSync(file("prompts.jsonl"), '{"prompt": "The Congress of the United States"}\n');
  const options = ["--prompts", file("prompts.jsonl"), "--pairs", "1", "--max-tokens", "32", "-o", "-", "--json"];
  const verified = await draftplan(["verify", plan, "--model", "embedded", ...options]);
  expect(verified.code, verified.stderr).toBe(0);
  expect(JSON.parse(verified.stdout)).toMatchObject({ lossless: true });
});

test.each([["profile"], ["calibrate"]])("%s refuses a choice that does not exist", async (verb) => {
  const { code, stderr } = await draftplan([verb, "embedded", "--choices", "int8,int3"]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/OPTION_INVALID[\s\S]*'int3'[\s\S]*int8,int4,int2,skip/);
});
