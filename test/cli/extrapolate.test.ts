/** `solve --extrapolate`, and what each verb says of its plan. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, expect, test } from "vitest";
import { parse } from "yaml";
import type { Plan } from "../../src/schema/plan.js";
import { draftplan } from "../support/cli.js";
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
}, 60_000);

test("the plan is marked as a whole and in every segment beyond the profile, on screen too", () => {
  const plan = parse(readFileSync(file("far.yaml"), "utf8")) as Plan;
  expect(plan.extrapolated).toEqual({ beyond_context_tokens: LAST, to_context_tokens: TO });
  expect(plan.segments.at(-1)?.context_tokens.to).toBe(TO);
  for (const { context_tokens, extrapolated } of plan.segments)
    expect(extrapolated === true).toBe(context_tokens.from >= LAST);
  expect(said).toContain(`${LAST} to `);
  expect(said).toMatch(/^\* .*extrapolated/im);
});

test("without it a plan ends where the profile does", async () => {
  const { stdout } = await draftplan(["solve", ...INPUTS, "-o", "-", "--json"]);
  const plan = JSON.parse(stdout) as Plan;
  expect(plan.extrapolated).toBeUndefined();
  expect(plan.segments.at(-1)?.context_tokens.to).toBe(LAST);
});

test("check warns, and solving again finds the same plan", async () => {
  const { code, stdout } = await draftplan(["check", file("far.yaml"), "--json"]);
  const findings = JSON.parse(stdout).findings as { code: string }[];
  expect(findings.map((finding) => finding.code)).toEqual(["PLAN_EXTRAPOLATED"]);
  expect(code).toBe(0);
});

test("inspect, explain, plan diff and the report say it", async () => {
  expect((await draftplan(["inspect", file("far.yaml")])).stdout).toMatch(/extrapolated/i);
  expect((await draftplan(["explain", file("far.yaml"), "--at", `${3 * LAST}`])).stdout).toMatch(/^Extrapolated/);
  expect((await draftplan(["explain", file("far.yaml"), "--at", "100"])).stdout).not.toMatch(/^Extrapolated/);
  const { stdout } = await draftplan(["plan", "diff", "plans/union-10m.plan.yaml", file("far.yaml")]);
  expect(stdout).toMatch(/extrapolated/i);
  expect((await draftplan(["report", file("far.yaml"), INPUTS[1], "-o", file("far.html")])).code).toBe(0);
  expect(readFileSync(file("far.html"), "utf8")).toMatch(/extrapolated/i);
});

test.each([["0"], ["-5"], ["x"]])("--extrapolate %s is refused", async (value) => {
  const { code, stderr } = await draftplan(["solve", ...INPUTS, `--extrapolate=${value}`]);
  expect(code).toBe(2);
  expect(stderr).toContain("--extrapolate");
});
