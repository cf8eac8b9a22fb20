/** A plan for drafts with a cache of their own, the whole way: calibrated, solved, checked, explained, verified. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Calibration } from "../../src/schema/calibration.js";
import { parseDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

test("on the embedded model", { timeout: 15 * 60_000 }, async () => {
  const folder = temporaryFolder();
  const at = (name: string) => join(folder, name);
  const run = async (...args: string[]) => {
    const { code, stdout, stderr } = await draftplan(args, { process: true });
    expect([args[0], code, code === 0 ? "" : stderr]).toEqual([args[0], 0, ""]);
    return stdout;
  };
  const read = <T>(name: string) => parseDocument(readFileSync(at(name), "utf8"), name) as T;
  const ALONE = ["--threads", "1"]; // beside another test file
  const asked = ["--context", "128", "--prompts-per-context", "3", "--budget", "15s", "--standalone", ...ALONE];
  await run("calibrate", "embedded", ...asked, "-o", at("c.yaml"));
  const { measured } = read<Calibration>("c.yaml");
  const own = measured.filter(({ draft_cache }) => draft_cache === "own");
  expect(new Set(own.map(({ part }) => part))).toEqual(new Set(["choose", "report"]));
  expect(own.length).toBeGreaterThan(10);

  await run("profile", "embedded", "--context", "64,512", "--budget", "8s", ...ALONE, "-o", at("p.yaml"));
  const inputs = ["--profile", at("p.yaml"), "--calibration", at("c.yaml")];
  await run("solve", ...inputs, "--standalone", "--answer-tokens", "10000", "-o", at("plan.yaml"));
  const plan = read<Plan>("plan.yaml");
  expect(plan).toMatchObject({ draft_cache: "own", answer_tokens: 10_000 });
  await run("check", at("plan.yaml"));
  if (plan.segments[0].speculate) {
    expect(await run("explain", at("plan.yaml"))).toMatch(/cache\s+of their own/);
    expect(plan.segments[0].predicted?.prompt_us).toBeGreaterThan(0);
  }
  await run(
    "solve",
    ...inputs,
    "--standalone",
    "--model",
    "embedded",
    "--refine",
    "0",
    ...ALONE,
    "-o",
    at("measured.yaml"),
  );
  await run("check", at("measured.yaml"));
  const short = ["--max-tokens", "24", "--pairs", "1", ...ALONE];
  await run("verify", at("plan.yaml"), "--model", "embedded", ...short, "-o", at("v.yaml"));
  expect(read<Verification>("v.yaml")).toMatchObject({ draft_cache: "own", lossless: true });
  await run("check", at("plan.yaml"), at("v.yaml"));
});
