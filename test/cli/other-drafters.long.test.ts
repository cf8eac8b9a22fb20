/**
 * From profile to proof with a lookup and another model, as a user goes: every stage's document is the next one's input, and
 * whoever drafts, the tokens are plain decoding's.
 */
import { copyFileSync, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import type { Comparison } from "../../src/schema/comparison.js";
import { parseDocument, readDocumentOf } from "../../src/schema/document.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const folder = temporaryFolder();
const inFolder = (name: string) => join(folder, name);
const [PROFILE, CALIBRATION, PLAN] = ["profile.yaml", "calibration.yaml", "plan.yaml"].map(inFolder);
const MODEL = inFolder("small");

/** Text that repeats itself in lines, as edits and tables do. */
const PROMPT = "1. The Congress of the United States\n2. The Congress of the United States\n3. The Congress of";

beforeAll(async () => {
  // the embedded model's vocabulary and tokenizer, random weights: it hardly ever guesses right
  writeTinyCheckpoint(MODEL, { vocab: 4096, context: 512, layers: 1, seed: 9 });
  for (const file of ["tokenizer.json", "tokenizer_config.json"]) copyFileSync(join(UNION, file), join(MODEL, file));
  const ran = async (...args: string[]) => {
    const { code, stderr } = await draftplan(args);
    expect({ code, errors: stderr.match(/error .*/)?.[0] }).toEqual({ code: 0, errors: undefined });
  };
  const drafters = `self,lookup,model:${MODEL},heads`;
  await ran(
    ...["profile", "embedded", "--drafters", `self,model:${MODEL},heads`, "--context", "64..256", "--budget", "6"],
    ...["--threads", "1", "-o", PROFILE],
  );
  await ran(
    ...["calibrate", "embedded", "--drafters", drafters, "--context", "64,200", "--budget", "15", "-o", CALIBRATION],
  );
  const documents = ["--profile", PROFILE, "--calibration", CALIBRATION];
  await ran(...["solve", ...documents, "--drafters", "self,lookup,model,heads,hybrid", "-o", PLAN]);
});

test("profile times steps of the model in each kernel, at the contexts of its grid", () => {
  const { models } = readDocumentOf("draftplan/profile", PROFILE).document;
  expect(models?.map(({ kernel }) => kernel)).toEqual(["target", "int8"]);
  for (const { steps, path } of models ?? []) {
    expect(path).toBe("small");
    expect(steps.map(({ context_tokens }) => context_tokens)).toEqual(expect.arrayContaining([64, 256]));
    for (const { us, passes } of steps) expect(us > 0 && passes > 0).toBe(true);
  }
});

test("calibrate looks up and runs the model along both parts of the text of each context", () => {
  const { lookup, models, heads } = readDocumentOf("draftplan/calibration", CALIBRATION).document;
  const where = (contexts: readonly { at_context: number; part: string }[] = []) =>
    contexts.map(({ at_context, part }) => `${part} ${at_context}`).sort();
  const all = ["choose 200", "choose 64", "report 200", "report 64"];
  expect(where(lookup?.contexts)).toEqual(all);
  expect(models?.map(({ contexts }) => where(contexts))).toEqual([all, all]);
  expect(heads).toHaveLength(1);
});

test("solve weighs them all, and check solves it again", async () => {
  const { drafters, segments } = readDocumentOf("draftplan/plan", PLAN).document;
  expect(drafters).toEqual(["self", "lookup", "model", "heads", "hybrid"]);
  expect(segments.length).toBeGreaterThan(0);
  const { code, stdout } = await draftplan(["check", PLAN]);
  expect({ code, passed: stdout.includes("passed") }).toEqual({ code: 0, passed: true });
});

describe("generate", () => {
  const ids = async (...args: string[]) => {
    const options = ["--prompt", PROMPT, "--max-tokens", "96", "--json"];
    const { code, stdout, stderr } = await draftplan(["generate", "embedded", ...options, ...args]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    return JSON.parse(stdout) as { ids: number[]; adapted: { arms: { drafter: string | null }[] } | null };
  };

  test("gives plain decoding's tokens by the plan, by every drafter in its place, and adapting among all", async () => {
    const plain = (await ids()).ids;
    expect((await ids("--plan", PLAN)).ids).toEqual(plain);
    for (const drafter of ["lookup", "hybrid", `model:${MODEL}`, `heads:${join(UNION, "heads")}`])
      expect((await ids("--plan", PLAN, "--drafter", drafter)).ids).toEqual(plain);
    expect((await ids("--plan", PLAN, "--adapt")).ids).toEqual(plain);
  });

  test.each([
    ["lookup", "lookup"],
    ["model", "model"],
    ["heads", "heads"],
    ["hybrid", "lookup,model,heads,hybrid"],
  ])("adapts a plan of %s alone, and begins as it says", async (name, drafters) => {
    const own = inFolder(`${name}.yaml`);
    const documents = ["--profile", PROFILE, "--calibration", CALIBRATION];
    expect((await draftplan(["solve", ...documents, "--drafters", drafters, "-o", own])).code).toBe(0);
    const { adapted, ids: tokens } = await ids("--plan", own, "--adapt");
    expect(tokens).toEqual((await ids()).ids);
    expect(adapted?.arms[0]).toMatchObject({ planned: true });
  });
});

test("verify proves the plan", async () => {
  const output = inFolder("verification.yaml");
  const options = ["--model", "embedded", "--max-tokens", "24", "--pairs", "1", "-o", output];
  const { code } = await draftplan(["verify", PLAN, ...options]);
  expect(code).toBe(0);
  const document = parseDocument(readFileSync(output, "utf8"), output) as Verification;
  expect(document.lossless).toBe(true);
});

test("compare gives each a row beside the methods, and writes where the model lies", async () => {
  const output = inFolder("comparison.yaml");
  const documents = ["--profile", PROFILE, "--calibration", CALIBRATION];
  const { code, stdout } = await draftplan([
    ...["compare", "embedded", ...documents, "--methods", "int8", "--drafters", "lookup,model,hybrid"],
    ...["--context", "64", "--max-tokens", "16", "--pairs", "1", "--threads", "1", "-o", output],
  ]);
  expect({ code, lossless: stdout.includes("emitted the target's own tokens") }).toEqual({ code: 0, lossless: true });
  const document = parseDocument(readFileSync(output, "utf8"), output) as Comparison;
  expect(document.methods.map(({ method }) => method)).toEqual(["lookup", "model", "hybrid", "int8", "none"]);
  expect((await draftplan(["check", output])).stdout).toContain("passed");
  const page = inFolder("report.html");
  expect((await draftplan(["report", output, "-o", page])).code).toBe(0);
  expect(existsSync(page) && readFileSync(page, "utf8")).toMatch(/hybrid/);
});
