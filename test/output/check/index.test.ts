import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { finding } from "../../../src/check/findings.js";
import type { CheckResult } from "../../../src/check/result.js";
import type { GithubFiles } from "../../../src/output/check/github.js";
import { type CheckOutputOptions, outputCheck } from "../../../src/output/check/index.js";
import { checkTable } from "../../../src/output/check/table.js";
import { failureOf } from "../../support/failure.js";
import { trials } from "../../support/long.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";
import { clean, hostileResult, inconclusive, regressed } from "./support.js";

const folder = temporaryFolder();
const NO_GITHUB: GithubFiles = { stepSummary: null, output: null, workspace: null };

async function output(result: CheckResult, options: CheckOutputOptions = {}, json = false, github = NO_GITHUB) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const context = {
    print: (text: string) => stdout.push(text),
    command: (text: string) => (json ? stderr : stdout).push(text),
    json,
    columns: 80,
  };
  await outputCheck(result, options, { ...context }, github);
  return { stdout, stderr };
}

/** Columns that a terminal needs for a line; wide characters take two. */
const columnsOf = (line: string): number =>
  [...line].reduce(
    (sum, character) =>
      sum +
      (/[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe4f\uff00-\uff60\uffe0-\uffe6]|[\u{1f300}-\u{1faff}]/u.test(
        character,
      )
        ? 2
        : 1),
    0,
  );

describe("the table", () => {
  test("groups findings by file, sets figures beside the baseline's and ends with the verdict", () => {
    expect(checkTable(regressed(), 80).join("\n").split("\n")).toEqual([
      "plans/a.plan.yaml",
      "┌─────────┬────────────────┬───────────────────────────────────────────────────┐",
      "│ error   │ PLAN_DIFFERS   │ segments[0].draft_tokens                          │",
      "│         │                │ 5 here, and 7 when solved again                   │",
      "├─────────┼────────────────┼───────────────────────────────────────────────────┤",
      "│ note    │ DEVICE_DIFFERS │ device                                            │",
      "│         │                │ another device: only ratios and acceptance        │",
      "│         │                │ compare                                           │",
      "└─────────┴────────────────┴───────────────────────────────────────────────────┘",
      "",
      "plans/c.plan.yaml",
      "┌─────────┬───────────────────┬────────────────────────────────────────────────┐",
      "│ error   │ SLOWER_VERIFIED   │ speedup                                        │",
      "│         │                   │ 1.2 against 1.5 of the baseline, 20 % slower   │",
      "├─────────┼───────────────────┼────────────────────────────────────────────────┤",
      "│ warning │ INPUT_UNAVAILABLE │ inputs.profile                                 │",
      "│         │                   │ there is no such file                          │",
      "└─────────┴───────────────────┴────────────────────────────────────────────────┘",
      "",
      "profiles/p.yaml",
      "┌─────────┬─────────────────┬──────────────────────────────────────────────────┐",
      "│ error   │ DOCUMENT_SYNTAX │ not readable as YAML: bad indentation at line 3, │",
      "│         │                 │ column 1                                         │",
      "└─────────┴─────────────────┴──────────────────────────────────────────────────┘",
      "",
      "1 file without findings",
      "",
      "plans/c.plan.yaml, beside the baseline",
      "┌────────────────┬─────────┬────────────────────┬────────────────────┬─────────┐",
      "│ figure         │ context │           baseline │          candidate │  change │",
      "├────────────────┼─────────┼────────────────────┼────────────────────┼─────────┤",
      "│ measured       │     all │ 1.5 (1.45 to 1.55) │ 1.2 (1.15 to 1.25) │ -20.0 % │",
      "│ speedup        │         │                    │                    │         │",
      "├────────────────┼─────────┼────────────────────┼────────────────────┼─────────┤",
      "│ predicted      │   0–512 │                413 │                  - │       - │",
      "│ tokens per     │         │                    │                    │         │",
      "│ second         │         │                    │                    │         │",
      "└────────────────┴─────────┴────────────────────┴────────────────────┴─────────┘",
      "",
      "- measured speedup: the whole interval lies beyond the tolerance of 5 %",
      "",
      "failed: 3 files, 3 errors, 1 warning, 1 note; slower than the baseline",
    ]);
  });

  test("where nothing is found is the verdict alone", () => {
    expect(checkTable(clean(), 80)).toEqual(["passed: 2 files, no findings"]);
  });

  test("of very many findings shows errors first, and says how many it leaves out", () => {
    const of = (code: "PLAN_DIFFERS" | "DEVICE_DIFFERS") => (i: number) => finding(code, `${code}-${i}.yaml`, "", "x");
    const numbers = Array.from({ length: 150 }, (_, i) => i);
    const findings = [...numbers.map(of("DEVICE_DIFFERS")), ...numbers.map(of("PLAN_DIFFERS"))];
    const lines = checkTable({ ...clean(), files: [], findings }, 80);
    expect(lines.filter((line) => /^PLAN_DIFFERS-\d+\.yaml$/.test(line))).toHaveLength(150);
    expect(lines.filter((line) => /^DEVICE_DIFFERS-\d+\.yaml$/.test(line))).toHaveLength(50);
    expect(lines).toContain("100 more findings: --json lists them all");
    expect(lines.at(-1)).toBe("failed: 0 files, 150 errors, 150 notes");
  });

  test("a long path or key is broken, never cut off", () => {
    const path = `../${"long-folder-name/".repeat(12)}profile.yaml`;
    const found = finding(
      "INPUT_UNAVAILABLE",
      "p.yaml",
      `segments[0].${"predicted.".repeat(9)}x`,
      `${path} is not there`,
    );
    const text = checkTable({ ...clean(), findings: [found] }, 80).join("\n");
    const joined = text.replace(/[│\s]|INPUT_UNAVAILABLE|warning/g, "");
    expect(joined).toContain(path);
    expect(joined).toContain(found.where);
  });

  test("whatever documents say: 80 columns, no controls, no line that a CI runner takes for a command", () => {
    fc.assert(
      fc.property(hostileResult, (result) => {
        for (const line of checkTable(result, 80).flatMap((text) => text.split("\n"))) {
          expect(line).not.toMatch(/[\p{Cc}\u2028\u2029\u202e]/u);
          expect(line).not.toMatch(/^\s*::|##\[/);
          if (/^[┌├└│]/.test(line)) expect(columnsOf(line)).toBeLessThanOrEqual(82);
        }
      }),
      { seed: 5, numRuns: trials(25, 100) },
    );
  });
});

describe("--json", () => {
  test("is one value with what the contract names", async () => {
    const { stdout } = await output(regressed(), {}, true);
    expect(stdout).toHaveLength(1);
    const value = JSON.parse(stdout[0]) as Record<string, unknown>;
    expect(value).toMatchObject({
      verdict: "failed",
      regressed: true,
      inconclusive: false,
      errors: 3,
      warnings: 1,
      notes: 1,
      findings: regressed().findings,
      files: regressed().files,
      decided: regressed().decided,
    });
    expect((value.compared as unknown[])[0]).toEqual({
      file: "plans/c.plan.yaml",
      range: null,
      name: "measured speedup",
      baseline: { value: 1.5, low: 1.45, high: 1.55 },
      candidate: { value: 1.2, low: 1.15, high: 1.25 },
      change_percent: -20,
    });
  });

  test("stays one value with --github: annotations go to stderr", async () => {
    const { stdout, stderr } = await output(regressed(), { github: true }, true);
    expect(() => JSON.parse(stdout.join("\n"))).not.toThrow();
    expect(stderr.map((line) => line.split(" ")[0])).toEqual([
      "::error",
      "::notice",
      "::error",
      "::warning",
      "::error",
    ]);
  });
});

describe("files", () => {
  test("JUnit XML and Markdown are written where they were asked for, folders included", async () => {
    const junit = join(folder, "reports", "junit.xml");
    const markdown = join(folder, "reports", "summary.md");
    const { stdout, stderr } = await output(inconclusive(), { junit, markdown, failInconclusive: true });
    expect(stdout.at(-1)).toMatch(/^failed: /);
    expect(stderr).toEqual([]);
    expect(readFileSync(junit, "utf8")).toMatch(
      /^<\?xml version="1\.0" encoding="UTF-8"\?>\n<testsuites .*failures="1"/,
    );
    expect(readFileSync(markdown, "utf8")).toMatch(/^### draftplan check: failed\n/);
  });

  test("--github appends to the job's summary and outputs", async () => {
    const github = { stepSummary: join(folder, "step.md"), output: join(folder, "out"), workspace: null };
    writeFileSync(github.stepSummary, "Before.\n");
    const { stdout } = await output(regressed(), { github: true }, false, github);
    expect(stdout.filter((line) => line.startsWith("::"))).toHaveLength(5);
    expect(stdout.at(-1)).toMatch(/^failed: /);
    expect(readFileSync(github.stepSummary, "utf8")).toMatch(/^Before\.\n\n### draftplan check: failed\n/);
    expect(readFileSync(github.output, "utf8")).toBe("regressed=true\ninconclusive=false\n");
  });

  test("without --github nothing is handed to GitHub", async () => {
    const github = { stepSummary: join(folder, "no.md"), output: join(folder, "no"), workspace: null };
    await output(regressed(), {}, false, github);
    expect([existsSync(github.stepSummary), existsSync(github.output)]).toEqual([false, false]);
  });

  test("one that cannot be written is an error that names it, after the result was printed", async () => {
    writeFileSync(join(folder, "file"), "");
    const junit = join(folder, "file", "junit.xml");
    const error = await failureOf(() => output(clean(), { junit }));
    expect(error).toMatchObject({ code: "FILE_UNWRITABLE", at: junit });
  });
});
