/** What engines ask of a draft, as options of `solve`. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import type { Plan } from "../../src/schema/plan.js";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);
const PROFILE = "profiles/union-10m.profile.yaml";
const CALIBRATION = "profiles/union-10m.calibration.yaml";
const LAYERS = 12;
/** MiB of the embedded model's blocks in int8, near enough; the head is larger */
const BYTES = { attn: { int8: 200_000 }, mlp: { int8: 400_000 }, head: { int8: 1_000_000 } };

beforeAll(() => {
  const profile = parse(readFileSync(PROFILE, "utf8"));
  writeFileSync(file("sized.yaml"), JSON.stringify({ ...profile, weight_bytes: BYTES }));
  // skipping is cheap here, or no plan would skip anything
  const calibration = parse(readFileSync(CALIBRATION, "utf8"));
  for (const context of calibration.contexts)
    for (const kind of ["attn", "mlp"])
      context[kind].skip = context[kind].skip.map((one: object, layer: number) => ({
        ...one,
        loss: 0.002 * (layer + 1),
      }));
  writeFileSync(file("easy.yaml"), JSON.stringify({ ...calibration, measured: [] }));
});

async function solve(...options: string[]) {
  const inputs = ["--profile", file("sized.yaml"), "--calibration", file("easy.yaml")];
  const { code, stdout, stderr } = await draftplan(["solve", ...inputs, "-o", "-", "--json", ...options]);
  return { code, stderr, plan: code === 0 ? (JSON.parse(stdout) as Plan) : null, text: stdout };
}
const draftsOf = (plan: Plan | null) =>
  (plan?.segments ?? []).flatMap(({ draft }) => (draft === undefined ? [] : [draft]));
const skipped = (plan: Plan | null) => draftsOf(plan).flatMap(({ skip }) => skip);

describe("solve keeps", () => {
  test("nothing in particular without a constraint, and skips more than constraints would allow", async () => {
    const { plan } = await solve("--choices", "skip");
    expect(plan?.constraints).toBeUndefined();
    expect(skipped(plan)).toContain("0.attn");
    expect(Math.max(...draftsOf(plan).map(({ skip }) => skip.length))).toBeGreaterThan(3);
  });

  test("--whole-layers", async () => {
    const { plan } = await solve("--choices", "skip", "--whole-layers");
    expect(plan?.constraints).toEqual({ whole_layers: true });
    expect(skipped(plan).length).toBeGreaterThan(0);
    for (const { skip } of draftsOf(plan))
      for (const name of skip) {
        const [layer, kind] = name.split(".");
        expect(skip).toContain(`${layer}.${kind === "attn" ? "mlp" : "attn"}`);
      }
  });

  test("--keep and --keep-first-attention", async () => {
    const { plan } = await solve("--choices", "skip", "--keep", "1,2.mlp", "--keep-first-attention");
    expect(plan?.constraints).toEqual({ keep: ["1", "2.mlp"], keep_first_attention: true });
    expect(skipped(plan).length).toBeGreaterThan(0);
    for (const name of ["0.attn", "1.attn", "1.mlp", "2.mlp"]) expect(skipped(plan)).not.toContain(name);
  });

  test("--max-skip", async () => {
    const { plan } = await solve("--choices", "skip", "--max-skip", "3");
    expect(plan?.constraints).toEqual({ max_skip: 3 });
    expect(Math.max(...draftsOf(plan).map(({ skip }) => skip.length))).toBe(3);
  });

  test("--draft-memory", async () => {
    const { plan, stderr } = await solve("--draft-memory", "1.5");
    expect(plan?.constraints, stderr).toEqual({ draft_memory_mib: 1.5 });
    const drafts = draftsOf(plan);
    expect(drafts.length).toBeGreaterThan(0);
    for (const { default: usual, choices, head, skip } of drafts) {
      let bytes = head === "int8" ? BYTES.head.int8 : 0;
      for (let layer = 0; layer < LAYERS; layer++)
        for (const kind of ["attn", "mlp"] as const) {
          const name = `${layer}.${kind}`;
          if (!skip.includes(name) && (choices[name] ?? usual) === "int8") bytes += BYTES[kind].int8;
        }
      expect(bytes).toBeLessThanOrEqual(1.5 * 2 ** 20);
    }
  });

  test("the same plan, byte for byte, from the same documents", async () => {
    const options = ["--whole-layers", "--max-skip", "6", "--draft-memory", "4"];
    const [first, second] = [await solve(...options), await solve(...options)];
    expect(first.text).toBe(second.text);
    expect(first.plan).not.toBeNull();
  });
});

describe("what cannot be kept", () => {
  test.each([["99"], ["x.attn"], ["12"], ["12.attn"]])("--keep %s names no layer or block", async (name) => {
    const { code, stderr } = await solve("--keep", name);
    expect(code).toBe(3);
    expect(stderr).toMatch(/BLOCK_UNKNOWN[\s\S]*11/);
  });

  test.each([
    ["--max-skip", "-1"],
    ["--max-skip", "1.5"],
    ["--draft-memory", "nan"],
    ["--draft-memory", "-1"],
  ])("%s %s is no number that it takes", async (option, value) => {
    const { code, stderr } = await solve(`${option}=${value}`);
    expect(code).toBe(2);
    expect(stderr).toContain(option);
  });

  test("memory that the profile cannot count is refused, with what to do", async () => {
    const inputs = ["--profile", PROFILE, "--calibration", CALIBRATION, "-o", "-"];
    const { code, stderr } = await draftplan(["solve", ...inputs, "--draft-memory", "8"]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/WEIGHT_BYTES_MISSING[\s\S]*draftplan profile MODEL --choices int8/);
  });

  test("nothing left to skip, or no room, is a plan and an explanation", async () => {
    const kept = await solve("--choices", "skip", "--keep", Array.from({ length: LAYERS }, (_, i) => i).join(","));
    expect(kept.code).toBe(0);
    expect(kept.stderr).toMatch(/NOTHING_TO_SKIP[\s\S]*--keep keeps all 12 layers/);
    expect(kept.plan?.segments.every(({ speculate }) => !speculate)).toBe(true);
    const few = await solve("--choices", "skip", "--whole-layers", "--max-skip", "1");
    expect(few.stderr).toMatch(/NOTHING_TO_SKIP[\s\S]*a whole layer is 2/);
    const small = await solve("--choices", "int8", "--draft-memory", "0.1");
    expect(small.stderr).toMatch(/DRAFT_MEMORY_SMALL[\s\S]*0\.191 MiB/);
    expect(small.plan?.segments.every(({ speculate }) => !speculate)).toBe(true);
  });
});

test("check solves a constrained plan again under its constraints, and finds one that breaks them", async () => {
  const inputs = ["--profile", file("sized.yaml"), "--calibration", file("easy.yaml")];
  const solved = await draftplan(["solve", ...inputs, "--choices", "skip", "--max-skip", "3", "-o", file("plan.yaml")]);
  expect(solved.code, solved.stderr).toBe(0);
  const checked = await draftplan(["check", file("plan.yaml"), "--json"]);
  expect(checked.code, checked.stdout).toBe(0);
  writeFileSync(file("plan.yaml"), readFileSync(file("plan.yaml"), "utf8").replace("max_skip: 3", "max_skip: 2"));
  const tampered = await draftplan(["check", file("plan.yaml"), "--json"]);
  expect(tampered.code).toBe(1);
});

test("explain names the constraints, and has no margins under them", async () => {
  const { code, stdout, stderr } = await draftplan(["explain", file("plan.yaml")]);
  expect(code, stderr).toBe(0);
  expect(stdout).toContain("--max-skip 2");
  expect(stdout).not.toContain("in standard errors of the losses");
  const free = await draftplan(["explain", "plans/union-10m.plan.yaml"]);
  expect(free.stdout.replace(/\s+/g, " ")).toContain("in standard errors of the losses");
});

test("plan diff says that the constraints changed", async () => {
  const inputs = ["--profile", file("sized.yaml"), "--calibration", file("easy.yaml")];
  await draftplan(["solve", ...inputs, "--choices", "skip", "--keep", "0", "-o", file("other.yaml")]);
  const { stdout } = await draftplan(["plan", "diff", file("plan.yaml"), file("other.yaml")]);
  expect(stdout).toContain("constraints: --max-skip 2 -> --keep 0");
});

test("where constraints leave none of the measured drafts, that is said", async () => {
  const calibration = parse(readFileSync(CALIBRATION, "utf8"));
  const measured = calibration.measured.filter(({ draft }: { draft: { skip: string[] } }) => draft.skip.length > 0);
  expect(measured.length).toBeGreaterThan(0);
  writeFileSync(file("skipping.yaml"), JSON.stringify({ ...calibration, measured }));
  const inputs = ["--profile", PROFILE, "--calibration", file("skipping.yaml"), "-o", "-", "--choices", "skip"];
  expect((await draftplan(["solve", ...inputs])).stderr).not.toContain("NOT_MEASURED");
  const { code, stderr } = await draftplan(["solve", ...inputs, "--max-skip", "0"]);
  expect(code).toBe(0);
  expect(stderr).toMatch(/NOT_MEASURED[\s\S]*keeps to these choices and constraints/);
});

test("--for an engine plans what its exporter can express, and keeps to what else is asked for", async () => {
  const { plan } = await solve("--for", "transformers", "--max-skip", "4");
  expect(plan?.drafters ?? ["self"]).toEqual(["self"]);
  const { preset } = await (await import("../../src/export/engines/transformers.js")).transformers;
  for (const draft of draftsOf(plan)) {
    for (const choice of [draft.default, draft.head, ...Object.values(draft.choices)])
      expect(["target", "skip", ...preset.kernels]).toContain(choice);
    expect(draft.skip.length).toBeLessThanOrEqual(4);
  }
});
