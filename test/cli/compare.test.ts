/** draftplan compare as a user runs it, on the embedded model and the committed documents. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import type { Comparison } from "../../src/schema/comparison.js";
import { parseDocument } from "../../src/schema/document.js";
import { copyOnBundledText } from "../support/bundled-calibration.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const committed = (name: string) => fileURLToPath(new URL(`../../profiles/union-10m.${name}.yaml`, import.meta.url));
const QUICK = ["--max-tokens", "6", "--pairs", "1", "--context", "32,64", "--refine", "0"];
const folder = temporaryFolder();
copyOnBundledText(committed("calibration"), join(folder, "union-10m.calibration.yaml"));
const DOCUMENTS = ["--profile", committed("profile"), "--calibration", join(folder, "union-10m.calibration.yaml")];
const compare = (...args: string[]) => draftplan(["compare", "embedded", ...args], { cwd: folder });

describe("draftplan compare", () => {
  test.runIf(LONG)("prints a table, and writes a document that inspect, check and report take", async () => {
    const output = join(folder, "one", "c.yaml");
    const { code, stdout, stderr } = await compare(...DOCUMENTS, ...QUICK, "--methods", "int8,uniform", "-o", output);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toContain("Context 32, ");
    expect(stdout).toContain("Context 64, ");
    expect(stdout).toMatch(/│ uniform /);
    expect(stdout).toContain("Every run of every plan emitted the target's own tokens.");
    const table = stdout.split("\n").filter((line) => /^[│┌├└]/.test(line));
    for (const line of table) expect([...line]).toHaveLength(80);
    const document = parseDocument(readFileSync(output, "utf8"), output) as Comparison;
    expect(document.methods.map(({ method }) => method)).toEqual(["int8", "uniform", "none"]);
    expect(document.baseline).toBe("int8");
    expect(document.contexts.map(({ context_tokens }) => context_tokens)).toEqual([32, 64]);
    // the profile was given and is named; what was measured makes another calibration, which lies beside
    expect(readdirSync(join(folder, "one")).sort()).toEqual(["c.calibration.yaml", "c.yaml"]);
    expect(document.inputs.calibration.path).toBe("c.calibration.yaml");
    expect((await draftplan(["check", output])).stdout).toContain("passed");
    expect((await draftplan(["inspect", output])).stdout).toContain("a valid draftplan/comparison");
    const page = join(folder, "c.html");
    expect((await draftplan(["report", output, "-o", page])).code).toBe(0);
    expect(readFileSync(page, "utf8")).toContain("Every method at context 64");
  });

  test.runIf(LONG)(
    "that was interrupted goes on with what it had finished, and begins anew where options differ",
    async () => {
      const output = join(folder, "interrupted", "c.yaml");
      const kept = `${output}.partial.jsonl`;
      const options = [...DOCUMENTS, ...QUICK, "--context", "32", "--methods", "int8,uniform", "-o", output];
      const parts = () => readFileSync(kept, "utf8").match(/(?<="part":")[a-z]+/g) ?? [];
      const stopped = await draftplan(["compare", "embedded", ...options], {
        cwd: folder,
        during(child) {
          const timer = setInterval(() => {
            if (!existsSync(kept) || parts().length === 0) return;
            clearInterval(timer);
            child.kill("SIGINT");
          }, 5);
          child.once("exit", () => clearInterval(timer));
        },
      });
      expect(stopped).toMatchObject({ code: 130, stdout: "" });
      const [first] = parts();
      expect(first).toBe("plan");
      const whole = readFileSync(kept, "utf8");
      const { code, stderr } = await compare(...options);
      expect(code).toBe(0);
      expect(stderr).toMatch(/^going on after plan of int8 \(less than a minute old\)/);
      expect(readdirSync(join(folder, "interrupted")).sort()).toEqual(["c.calibration.yaml", "c.yaml"]);
      const { methods } = parseDocument(readFileSync(output, "utf8"), output) as Comparison;
      const solved = JSON.parse(whole.split("\n")[1]).value.seconds;
      expect(methods.find(({ method }) => method === "int8")?.solve_seconds).toBeCloseTo(solved, 3);
      writeFileSync(kept, whole);
      const other = await draftplan(["compare", "embedded", ...options, "--max-tokens", "4"], {
        cwd: folder,
        during: (child) => child.stderr?.once("data", () => child.kill("SIGINT")),
      });
      expect(other.stderr).toMatch(/JOURNAL_IGNORED.*made with another max_tokens/);
    },
  );

  test.runIf(LONG)(
    "with --json prints the document; prompts of a file are run at the contexts nearest to them",
    async () => {
      const prompts = join(folder, "prompts.jsonl");
      writeFileSync(prompts, '{"prompt": "My fellow citizens, the union"}\n{"prompt": "We have"}\n');
      const output = join(folder, "two.yaml");
      const options = ["--methods", "int8", "--prompts", prompts, "--max-tokens", "6", "--pairs", "1", "--refine", "0"];
      const { code, stdout } = await compare(...DOCUMENTS, ...options, "-o", output, "--json");
      expect(code).toBe(0);
      const printed = JSON.parse(stdout);
      expect(printed).toEqual(parseDocument(readFileSync(output, "utf8"), output));
      expect((await draftplan(["check", output])).stdout).toContain("passed");
      expect((await draftplan(["inspect", output])).stdout).toContain("a valid draftplan/comparison");
      const page = join(folder, "two.html");
      expect((await draftplan(["report", output, "-o", page])).code).toBe(0);
      expect(printed.methods.map(({ method }: { method: string }) => method)).toEqual(["int8", "none"]);
      expect(printed.prompts.source).toBe("prompts.jsonl");
      expect(printed.contexts).toHaveLength(1);
      expect(printed.contexts[0].prompts).toHaveLength(2);
    },
  );

  // one comparison for both: what it makes first is most of its time
  test.runIf(LONG)(
    "makes profile and calibration where none is given, and runs the heads that lie in the model's folder beside the methods",
    async () => {
      const made = join(folder, "made");
      const output = join(made, "c.yaml");
      const options = ["--methods", "heads,int8", "--choices", "int8", "--max-tokens", "12", "--pairs", "1"];
      const alone = ["--context", "64", "--refine", "0", "-o", output];
      const { code, stdout } = await compare(...options, ...alone); // a busy machine may warn of its own noise
      expect(code).toBe(0);
      expect(readdirSync(made).sort()).toEqual(["c.calibration.yaml", "c.profile.yaml", "c.yaml"]);
      expect(stdout).toContain("Every run of every plan emitted the target's own tokens.");
      const document = parseDocument(readFileSync(output, "utf8"), output) as Comparison;
      expect(document.methods.map(({ method }) => method)).toEqual(["heads", "int8", "none"]);
      const lying = fileURLToPath(new URL("../../models/union-10m/heads", import.meta.url));
      for (const { rows } of document.contexts) {
        const [{ drafter, draft_tokens, predicted }] = rows;
        expect(drafter?.kind === "heads" && resolve(made, drafter.path)).toBe(lying);
        expect(draft_tokens).toBeGreaterThan(0); // how many depends on what passes take here
        expect(predicted?.speedup).toBeGreaterThan(1);
      }
      expect((await draftplan(["check", made])).stdout).toContain("passed");
    },
  );

  test.skipIf(LONG).each<[string, string[], number, RegExp]>([
    ["a method that does not exist", ["--methods", "best"], 2, /'best' is not a method/],
    ["heads that the documents given do not know", [...DOCUMENTS, "--methods", "heads"], 3, /no trained heads lie/],
    ["a method whose choice is not allowed", ["--methods", "int4"], 2, /int4 needs a choice/],
    ["prompts that go past the profile", [...DOCUMENTS, "--context", "64,60000"], 3, /60000|60,000/],
    ["another text than the calibration's", [...DOCUMENTS, "--text", committed("profile")], 3, /made on other text/],
    ["a single token", ["--max-tokens", "1"], 2, /whole number from 2/],
  ])("refuses %s before anything is measured", async (_what, options, exit, message) => {
    const { code, stdout, stderr } = await compare(...options);
    expect({ code, stdout }).toEqual({ code: exit, stdout: "" });
    expect(stderr).toMatch(message);
  });
});
