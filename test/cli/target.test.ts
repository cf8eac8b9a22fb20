/** `--target`: what is served and reproduced, by the option or by the document, and what is refused. On a tiny model. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeAll, describe, expect, test } from "vitest";
import type { Draft } from "../../src/schema/choice.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { allInt8, handPlan } from "../support/plans.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FIXTURES = fileURLToPath(new URL("../fixtures/heads/", import.meta.url));
const MODEL = join(FIXTURES, "model");
const folder = temporaryFolder();
const file = (name: string, content: string): string => {
  writeFileSync(join(folder, name), content);
  return join(folder, name);
};
const ids = file("ids.json", JSON.stringify([3, 17, 29, 8]));
const prompts = file("prompts.jsonl", [3, 5, 7, 11].map((id) => JSON.stringify({ ids: [id, 17, 29, 8] })).join("\n"));
/** the model has 64 positions */
const GENERATE = ["generate", MODEL, "--prompt-ids", ids, "--max-tokens", "40", "--json"];
const allInt4: Draft = { ...allInt8, default: "int4", head: "int4" };

let facts: { name: string; layers: number; architecture_sha256: string; weights_sha256: string };
beforeAll(async () => {
  facts = JSON.parse((await draftplan(["inspect", MODEL, "--json"])).stdout);
});

function planFile(name: string, draft: Draft, target?: "fp32" | "int8" | "int4"): string {
  const { layers, architecture_sha256: architectureSha256, weights_sha256: weightsSha256 } = facts;
  const plan: Plan = handPlan({ name: facts.name, layers, architectureSha256, weightsSha256, draft, draftTokens: 3 });
  const device = {
    ...{ processor: "a processor", provider: "cpu", threads: 1, runtime: "onnxruntime 1", platform: "linux x64" },
    ...(target === "fp32" ? {} : { target }),
  };
  return file(name, stringifyDocument(target === undefined ? plan : { ...plan, device }));
}

async function generated(...args: string[]): Promise<{ ids: number[]; drafted: number | null; stderr: string }> {
  const { code, stdout, stderr } = await draftplan([...GENERATE, ...args]);
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return { ...JSON.parse(stdout), stderr };
}

describe("generate --target", () => {
  test("serves another model for another precision, with and without a plan", async () => {
    const plan = planFile("none.yaml", allInt4);
    const outputs = new Map<string, number[]>();
    for (const precision of ["fp32", "int8", "int4"]) {
      const plain = await generated("--target", precision);
      const drafted = await generated("--target", precision, "--plan", plan); // it names no device: it fits every target
      outputs.set(precision, plain.ids);
      expect(drafted.ids).toEqual(plain.ids);
      expect(drafted.drafted).toBeGreaterThan(0);
      expect(drafted.stderr.includes("warning [DRAFT_IS_TARGET]")).toBe(precision === "int4");
    }
    expect((await generated()).ids).toEqual(outputs.get("fp32"));
    expect(outputs.get("int4")).not.toEqual(outputs.get("fp32"));
  });

  test("takes heads over a quantised target", async () => {
    const heads = ["--drafter", `heads:${join(FIXTURES, "medusa")}`];
    const plain = await generated("--target", "int8");
    expect((await generated("--target", "int8", ...heads)).ids).toEqual(plain.ids);
  });

  test("a plan's own target is served where none is named, and it is said", async () => {
    const plan = planFile("four.yaml", { ...allInt8, skip: [] }, "int4");
    const plain = await generated("--target", "int4");
    const { ids: given, stderr } = await generated("--plan", plan);
    expect(given).toEqual(plain.ids);
    expect(stderr).toMatch(`the target is int4, as ${plan} was made for it`);
    expect((await generated("--plan", planFile("full.yaml", allInt8, "fp32"))).stderr).toBe("");
  });

  test.each([
    ["int8", "fp32"],
    ["fp32", "int8"],
  ] as const)("--target %s with a plan for %s is refused", async (asked, made) => {
    const plan = planFile(`${made}.yaml`, allInt4, made);
    const { code, stderr } = await draftplan([...GENERATE, "--target", asked, "--plan", plan]);
    expect(code).toBe(3);
    expect(stderr).toMatch(`error [DOCUMENT_MISMATCH] ${plan}: device.target`);
    expect(stderr).toMatch(`it was made for a target in ${made}, and --target says ${asked}`);
  });

  test.each(["fp16", "bf16"])("%s is refused on the CPU by name", async (precision) => {
    const { code, stderr } = await draftplan([...GENERATE, "--target", precision]);
    expect(code).toBe(2);
    expect(stderr).toMatch(`error [OPTION_INVALID]`);
    expect(stderr).toMatch(`draftplan does not compute in ${precision} on cpu`);
  });

  test("another word is no precision", async () => {
    const { code, stderr } = await draftplan([...GENERATE, "--target", "int3"]);
    expect(code).toBe(2);
    expect(stderr).toMatch("It must be one of fp32, fp16, bf16, int8, int4.");
  });
});

test("verify --target: the verification says of which target it is, and checks", async () => {
  const plan = planFile("verified.yaml", allInt4);
  const output = join(folder, "verification.yaml");
  const args = ["--model", MODEL, "--prompts", prompts, "--max-tokens", "12", "--pairs", "1", "--alternatives"];
  const { code, stdout } = await draftplan(["verify", plan, ...args, "--target", "int8", "-o", output]);
  expect(code).toBe(0);
  expect(stdout).toMatch("int4 alone");
  const verification = parseDocument(readFileSync(output, "utf8"), output) as Verification;
  expect(verification).toMatchObject({ lossless: true, tie_margin: 1, device: { target: "int8" } });
  expect(verification.alternatives.map(({ name }) => name)).toEqual(["int4 alone"]);
  expect((await draftplan(["check", output])).code).toBe(0);
  file("verification.yaml", readFileSync(output, "utf8").replace("tie_margin: 1", "tie_margin: 0.25"));
  const edited = await draftplan(["check", output]);
  expect(edited.code).toBe(1);
  expect(edited.stdout).toMatch("VERIFICATION_INCONSISTENT");
  const none = await draftplan(["verify", plan, ...args, "--target", "int4", "-o", output]);
  expect(none).toMatchObject({ code: 2, stderr: expect.stringContaining("no cheaper kernel than int4") });
});

test("evaluate --target: a draft in int4 is the target itself beside int4, and another model beside int8", async () => {
  const plan = planFile("evaluated.yaml", allInt4);
  const text = file("text.json", JSON.stringify(Array.from({ length: 60 }, (_, i) => (7 * i) % 30)));
  const evaluated = async (precision: string) => {
    const args = ["--plan", plan, "--ids", text, "--target", precision, "--json"];
    const { code, stdout } = await draftplan(["evaluate", MODEL, ...args]);
    expect(code).toBe(0);
    return JSON.parse(stdout) as { acceptance: number; mean_cosine: number };
  };
  const [own, other] = [await evaluated("int4"), await evaluated("int8")];
  expect(own.acceptance).toBe(1);
  expect(own.mean_cosine).toBeGreaterThan(0.999999);
  expect(other.mean_cosine).toBeLessThan(0.9999);
});

test.each([
  [["--targets", "fp32,int9"], "'int9' is no precision"],
  [["--targets", "fp32,fp16"], "does not compute in fp16 on cpu"],
  [["--targets", "int8", "--target", "int4"], "both say what is served"],
  [["--targets", "int8", "--methods", "knapsack"], "of the comparison of methods"],
  [["--targets", "int8", "--temperature", "0.7"], "--temperature with --targets"],
  [["--targets", "int8", "--drafters", "plan"], "each target has a plan of its own"],
  [["--targets", "int8", "--drafters", "nobody"], "is no drafter"],
] as const)("compare %j is refused", async (args, words) => {
  const { code, stderr } = await draftplan(["compare", MODEL, ...args]);
  expect(code).toBe(2);
  expect(stderr).toContain(words);
});
