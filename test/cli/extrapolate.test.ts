/** `solve --extrapolate` and `compare --extrapolate`, and what each verb says of what they make. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { parse, stringify } from "yaml";
import type { Comparison } from "../../src/schema/comparison.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Profile } from "../../src/schema/profile.js";
import type { Verification } from "../../src/schema/verification.js";
import { copyOnBundledText } from "../support/bundled-calibration.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const file = (name: string) => join(folder, name);
const INPUTS = ["--profile", "profiles/union-10m.profile.yaml", "--calibration", "profiles/union-10m.calibration.yaml"];
const LAST = parse(readFileSync(INPUTS[1], "utf8")).grid.context_tokens.at(-1) as number;
const TO = 4 * LAST;
let said: string;

beforeAll(async () => {
  const { code, stdout, stderr } = await draftplan([
    "solve",
    ...INPUTS,
    "--extrapolate",
    `${TO}`,
    "-o",
    file("far.yaml"),
  ]);
  expect(code, stderr).toBe(0);
  said = stdout;
});

test.skipIf(LONG)("the plan is marked as a whole and in every segment beyond the profile, on screen too", () => {
  const plan = parse(readFileSync(file("far.yaml"), "utf8")) as Plan;
  expect(plan.extrapolated).toEqual({ beyond_context_tokens: LAST, to_context_tokens: TO });
  expect(plan.segments.at(-1)?.context_tokens.to).toBe(TO);
  for (const { context_tokens, extrapolated } of plan.segments)
    expect(extrapolated === true).toBe(context_tokens.from >= LAST);
  expect(said).toContain(`${LAST} to `);
  expect(said).toMatch(/^\* .*extrapolated/im);
});

test.skipIf(LONG)("without it a plan ends where the profile does", async () => {
  const { stdout } = await draftplan(["solve", ...INPUTS, "-o", "-", "--json"]);
  const plan = JSON.parse(stdout) as Plan;
  expect(plan.extrapolated).toBeUndefined();
  expect(plan.segments.at(-1)?.context_tokens.to).toBe(LAST);
});

test.skipIf(LONG)("check warns, and solving again finds the same plan", async () => {
  const { code, stdout } = await draftplan(["check", file("far.yaml"), "--json"]);
  const findings = JSON.parse(stdout).findings as { code: string }[];
  expect(findings.map((finding) => finding.code)).toEqual(["PLAN_EXTRAPOLATED"]);
  expect(code).toBe(0);
});

test.runIf(LONG)("inspect, explain, plan diff and the report say it", async () => {
  expect((await draftplan(["inspect", file("far.yaml")])).stdout).toMatch(/extrapolated/i);
  expect((await draftplan(["explain", file("far.yaml"), "--at", `${3 * LAST}`])).stdout).toMatch(/^Extrapolated/);
  expect((await draftplan(["explain", file("far.yaml"), "--at", "100"])).stdout).not.toMatch(/^Extrapolated/);
  const { stdout } = await draftplan(["plan", "diff", "plans/union-10m.plan.yaml", file("far.yaml")]);
  expect(stdout).toMatch(/extrapolated/i);
  expect((await draftplan(["report", file("far.yaml"), INPUTS[1], "-o", file("far.html")])).code).toBe(0);
  expect(readFileSync(file("far.html"), "utf8")).toMatch(/extrapolated/i);
});

test.skipIf(LONG).each([["0"], ["-5"], ["x"]])("--extrapolate %s is refused", async (value) => {
  const { code, stderr } = await draftplan(["solve", ...INPUTS, `--extrapolate=${value}`]);
  expect(code).toBe(2);
  expect(stderr).toContain("--extrapolate");
});

describe("beyond a profile that ends early", () => {
  const SHORT = 256;
  const BEYOND = 320;
  const inputs = ["--profile", file("short.profile.yaml"), ...INPUTS.slice(2)];
  // what is measured on has to be on the text that is bundled today
  const measured = ["--profile", file("short.profile.yaml"), "--calibration", file("today.calibration.yaml")];
  const ids = (length: number) => Array.from({ length }, (_, i) => 300 + (i % 50));
  beforeAll(() => {
    copyOnBundledText(INPUTS[3], file("today.calibration.yaml"));
    const whole = parse(readFileSync(INPUTS[1], "utf8")) as Profile;
    const points = whole.points.filter(({ context_tokens: n }) => n <= SHORT);
    const grid = { ...whole.grid, context_tokens: [...new Set(points.map(({ context_tokens: n }) => n))] };
    writeFileSync(file("short.profile.yaml"), stringify({ ...whole, grid, points }));
    writeFileSync(file("prompts.jsonl"), [20, BEYOND].map((n) => `${JSON.stringify({ ids: ids(n) })}\n`).join(""));
  });

  test.runIf(LONG)(
    "a verification marks the ranges beyond the profile, in the document, on screen and to the verbs that read it",
    async () => {
      const solved = await draftplan(["solve", ...inputs, "--extrapolate", "1024", "-o", file("short.yaml")]);
      expect(solved.code, solved.stderr).toBe(0);
      const output = file("v.yaml");
      const args = ["verify", file("short.yaml"), "--model", "embedded", "--prompts", file("prompts.jsonl")];
      const { code, stdout } = await draftplan([...args, "--max-tokens", "6", "--pairs", "1", "-o", output]);
      expect(code).toBe(0);
      const { extrapolated, by_context } = parse(readFileSync(output, "utf8")) as Verification;
      expect(extrapolated).toEqual({ beyond_context_tokens: SHORT, to_context_tokens: 1024 });
      for (const range of by_context) expect(range.extrapolated === true).toBe(range.context_tokens.from >= SHORT);
      const rounds = (beyond: boolean) =>
        by_context
          .filter((range) => (range.extrapolated === true) === beyond)
          .reduce((sum, one) => sum + one.rounds, 0);
      expect(rounds(true)).toBeGreaterThan(0);
      expect(rounds(false)).toBeGreaterThan(0);
      expect(stdout).toContain(`nothing was profiled beyond ${SHORT} tokens of context`);
      expect(stdout).toMatch(/^ 256 to \d+ \* /m);
      expect(stdout).not.toMatch(/^ 0 to \d+ \* /m);
      expect(stdout).toContain("* beyond the profile");
      expect((await draftplan(["inspect", output])).stdout).toMatch(/extrapolated/i);
      expect((await draftplan(["check", file("short.yaml"), output])).stdout).toContain("PLAN_EXTRAPOLATED");
      expect((await draftplan(["report", output, "-o", file("v.html")])).code).toBe(0);
      expect(readFileSync(file("v.html"), "utf8")).toMatch(/extrapolated/i);
    },
  );

  test.runIf(LONG)("a comparison refuses such prompts, and with --extrapolate marks itself", async () => {
    const output = file("c.yaml");
    const args = ["compare", "embedded", ...measured, "--methods", "int8", "--context", `${BEYOND}`];
    const quick = [...args, "--max-tokens", "6", "--pairs", "1", "--refine", "0", "-o", output];
    const refused = await draftplan(quick);
    expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 3, stdout: "" });
    expect(refused.stderr).toContain("--extrapolate");
    const { code, stdout } = await draftplan([...quick, "--extrapolate"]);
    expect(code).toBe(0);
    const { extrapolated } = parse(readFileSync(output, "utf8")) as Comparison;
    expect(extrapolated).toEqual({ beyond_context_tokens: SHORT, to_context_tokens: BEYOND + 6 });
    expect(stdout).toContain(`nothing was profiled beyond ${SHORT} tokens of context`);
    expect((await draftplan(["inspect", output])).stdout).toMatch(/extrapolated/i);
    expect((await draftplan(["report", output, "-o", file("c.html")])).code).toBe(0);
    expect(readFileSync(file("c.html"), "utf8")).toMatch(/extrapolated/i);
  });

  test.runIf(LONG)("a comparison whose prompts were profiled is not marked, whatever was allowed", async () => {
    const args = ["compare", "embedded", ...measured, "--methods", "int8", "--context", "32", "--extrapolate"];
    const { code, stdout } = await draftplan([...args, "--max-tokens", "6", "--pairs", "1", "--json", "-o", "-"]);
    expect(code).toBe(0);
    expect((JSON.parse(stdout) as Comparison).extrapolated).toBeUndefined();
  });
});
