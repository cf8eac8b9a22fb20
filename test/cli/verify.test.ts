/** `draftplan verify` as a user runs it: interrupted and gone on with, and failing what it was asked to hold. */
import type { ChildProcess } from "node:child_process";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readDocumentOf } from "../../src/schema/document.js";
import { draftplan, whenModelRuns } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const PLAN = fileURLToPath(new URL("../../plans/union-10m.plan.yaml", import.meta.url));
const PROMPTS = [
  [0, 506],
  [0, 2819],
  [0, 2819, 506],
  [0, 2819, 506, 268],
  [0, 506, 268],
];

function project(): { folder: string; args: string[]; output: string } {
  const folder = temporaryFolder();
  const prompts = join(folder, "prompts.jsonl");
  writeFileSync(prompts, PROMPTS.map((ids) => `${JSON.stringify({ ids })}\n`).join(""));
  const output = join(folder, "v.yaml");
  const args = ["verify", PLAN, "--model", "embedded", "--prompts", prompts, "--threads", "1"];
  return { folder, args, output };
}

/** Sends SIGINT as soon as `path` exists. */
const interruptWhen = (path: string) => (child: ChildProcess) => {
  const timer = setInterval(() => {
    if (!existsSync(path)) return;
    clearInterval(timer);
    child.kill("SIGINT");
  }, 5);
  child.once("exit", () => clearInterval(timer));
};

describe.skipIf(process.platform === "win32")("SIGINT (Windows has none)", () => {
  test.runIf(LONG)("leaves a journal, and the same command goes on from it to a whole document", async () => {
    const { folder, args, output } = project();
    const long = [...args, "--max-tokens", "24", "-o", output];
    const journal = `${output}.partial.jsonl`;
    const stopped = await draftplan(long, { during: interruptWhen(journal) });
    expect(stopped.code).toBe(130);
    const [, done] = /^(\d) of 5 prompts are kept in .*v\.yaml\.partial\.jsonl; the same command goes on/m.exec(
      stopped.stderr,
    ) ?? [stopped.stderr];
    expect(Number(done)).toBeGreaterThan(0);
    expect(Number(done)).toBeLessThan(5);
    expect(stopped.stderr.endsWith("interrupted\n")).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["prompts.jsonl", "v.yaml.partial.jsonl"]);
    expect(readFileSync(journal, "utf8").trimEnd().split("\n")).toHaveLength(1 + Number(done));

    const { code, stderr } = await draftplan(long);
    expect(code).toBe(0);
    expect(stderr).toContain(`going on after ${done} of 5 prompts`);
    expect(readdirSync(folder).sort()).toEqual(["prompts.jsonl", "v.yaml"]);
    const { document } = readDocumentOf("draftplan/verification", output);
    expect(document).toMatchObject({ resumed: 1, lossless: true, tokens: 120, tokenizer_sha256: null });
    for (const { reference_ids, pairs } of document.prompts)
      expect({ ids: reference_ids?.length, pairs: pairs?.length }).toEqual({ ids: 24, pairs: 2 });
  });

  test.skipIf(LONG)("leaves nothing where the document was to be printed", async () => {
    const { folder, args } = project();
    const { code, stdout } = await draftplan([...args, "--max-tokens", "400", "-o", "-"], {
      cwd: folder,
      during: (child) => whenModelRuns(child, () => child.kill("SIGINT")),
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(readdirSync(folder)).toEqual(["prompts.jsonl"]);
  });
});

describe("what was asked for", () => {
  test.skipIf(LONG)("and does not hold is named in the table and in JSON, and the exit code is 1", async () => {
    const { args, output } = project();
    const short = [...args, "--max-tokens", "8", "--pairs", "1", "-o", output];
    const asked = ["--min-speedup", "50", "--min-acceptance", "0", "--max-prediction-error", "0%"];
    const table = await draftplan([...short, ...asked]);
    expect(table.code).toBe(1);
    expect(table.stdout).toMatch(/FAILED +--min-speedup: the lower end, [\d.]+, is below the 50\s+asked for/);
    expect(table.stdout).toMatch(/FAILED +--max-prediction-error: [\d.]+ % is above the 0 % asked for/);
    expect(table.stdout).not.toContain("FAILED      --min-acceptance");
    const json = await draftplan([...short, ...asked, "--json"]);
    expect(json.code).toBe(1);
    expect(JSON.parse(json.stdout).decided).toEqual({
      min_speedup: 50,
      min_acceptance: 0,
      max_prediction_error_percent: 0,
      failed: ["min_speedup", "max_prediction_error_percent"],
    });
    expect(readDocumentOf("draftplan/verification", output).document.decided?.failed).toHaveLength(2);
  });

  test.runIf(LONG)("and holds is exit code 0; int8 alone is decoded only when asked for", async () => {
    const { args, output } = project();
    const run = (...more: string[]) => draftplan([...args, "--max-tokens", "8", "--pairs", "1", "-o", output, ...more]);
    expect(await run("--min-speedup", "0.01")).toMatchObject({ code: 0 });
    expect(readDocumentOf("draftplan/verification", output).document.alternatives).toEqual([]);
    const { stdout, code } = await run("--alternatives", "--max-prediction-error", "1e6");
    expect(code).toBe(0);
    expect(stdout).toContain("not lossless");
    expect(readDocumentOf("draftplan/verification", output).document.alternatives).toHaveLength(1);
  });

  test.skipIf(LONG)("needs an interval, and fewer than four prompts have none", async () => {
    const { args, folder, output } = project();
    const few = join(folder, "few.jsonl");
    writeFileSync(
      few,
      PROMPTS.slice(0, 3)
        .map((ids) => `${JSON.stringify({ ids })}\n`)
        .join(""),
    );
    const run = (...more: string[]) =>
      draftplan([...args, "--prompts", few, "--max-tokens", "8", "--pairs", "1", "-o", output, ...more]);
    const { code, stderr } = await run("--min-speedup", "1");
    expect({ code, stderr }).toEqual({
      code: 2,
      stderr: expect.stringMatching(/OPTION_INVALID[\s\S]*--min-speedup[\s\S]*takes 4/),
    });
    expect(existsSync(output)).toBe(false);
    const without = await run();
    expect(without).toMatchObject({ code: 0, stderr: expect.stringContaining("warning [FEW_PROMPTS]") });
    expect(without.stdout).toMatch(/speedup +[\d.]+ times \(none: fewer than 4 prompts\)/);
    const { document } = readDocumentOf("draftplan/verification", output);
    expect(document.speedup).toMatchObject({ low: null, high: null });
  });

  test.each([
    [["--min-acceptance", "1.5"], /--min-acceptance/],
    [["--max-prediction-error", "-3"], /--max-prediction-error/],
    [["--max-prediction-error", "5%%"], /--max-prediction-error/],
  ])("and cannot be is refused before anything runs: %j", async (asked, text) => {
    const { code, stderr } = await draftplan([...project().args, ...asked]);
    expect(code).toBe(2);
    expect(stderr).toMatch(/OPTION_INVALID/);
    expect(stderr).toMatch(text);
  });
});

test.skipIf(LONG)("the document names neither this machine nor an absolute path", async () => {
  const { args, output, folder } = project();
  const copy = join(folder, "plan.yaml");
  writeFileSync(copy, readFileSync(PLAN));
  await draftplan([args[0], copy, ...args.slice(2), "--max-tokens", "4", "--pairs", "1", "-o", output]);
  const { document } = readDocumentOf("draftplan/verification", output);
  const { inputs } = readDocumentOf("draftplan/plan", PLAN).document;
  expect(document.plan.path).toBe("plan.yaml");
  expect(document.inputs).toEqual(inputs); // from the plan's own folder
  expect(document.versions?.node).toBe(process.versions.node);
  expect(readFileSync(output, "utf8")).not.toContain(folder);
});

test.runIf(LONG)("a verification on text and a calibration name the same tokenizer", async () => {
  const { args, output, folder } = project();
  writeFileSync(join(folder, "prompts.jsonl"), '{"prompt": "Fellow citizens"}\n');
  await draftplan([...args, "--max-tokens", "4", "--pairs", "1", "-o", output]);
  const calibration = join(folder, "c.yaml");
  await draftplan(["calibrate", "embedded", "--context", "16", "--prompts-per-context", "1", "-o", calibration]);
  const { tokenizer_sha256 } = readDocumentOf("draftplan/verification", output).document;
  expect(tokenizer_sha256).toMatch(/^[0-9a-f]{64}$/);
  expect(readDocumentOf("draftplan/calibration", calibration).document.text.tokenizer_sha256).toBe(tokenizer_sha256);
});
