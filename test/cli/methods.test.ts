/** `draftplan solve --method`: other ways to choose a draft, by the same documents. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import type { Calibration } from "../../src/schema/calibration.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { copyOnBundledText } from "../support/bundled-calibration.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  cpSync(join(ROOT, "profiles"), join(folder, "profiles"), { recursive: true });
  copyOnBundledText(join(ROOT, INPUTS[3]), join(folder, INPUTS[3]));
});

const INPUTS = ["--profile", "profiles/union-10m.profile.yaml", "--calibration", "profiles/union-10m.calibration.yaml"];
/** What is measured is counted, not timed: one thread leaves the other core to other tests. */
const solve = (...args: string[]) => draftplan(["solve", ...args, "--threads", "1"], { cwd: folder });
const plan = (file: string) => parseDocument(readFileSync(join(folder, file), "utf8"), file) as Plan;

describe("solve --method", () => {
  test.skipIf(LONG)("none speculates nowhere, and needs no model", async () => {
    expect((await solve(...INPUTS, "--method", "none", "-o", "none.yaml")).code).toBe(0);
    expect(plan("none.yaml")).toMatchObject({ method: "none", segments: [{ speculate: false }] });
  });

  test.runIf(LONG)(
    "a method's drafts are measured, its plan follows from them alone, and a check derives it again",
    async () => {
      const model = ["--model", "embedded", "--method", "early-exit"];
      expect((await solve(...INPUTS, ...model, "-o", "exit.yaml")).code).toBe(0);
      const calibration = "profiles/union-10m.calibration.early-exit.yaml";
      const measured = parseDocument(readFileSync(join(folder, calibration), "utf8"), calibration);
      expect(measured).toMatchObject({ kind: "draftplan/calibration", method: "early-exit" });
      const again = [
        "--profile",
        INPUTS[1],
        "--calibration",
        calibration,
        "--method",
        "early-exit",
        "-o",
        "again.yaml",
      ];
      expect((await solve(...again)).code).toBe(0);
      expect(readFileSync(join(folder, "again.yaml"))).toEqual(readFileSync(join(folder, "exit.yaml")));
      const check = await draftplan(["check", "exit.yaml", "--json"], { cwd: folder });
      expect({ code: check.code, findings: JSON.parse(check.stdout).findings }).toEqual({ code: 0, findings: [] });
    },
  );

  test.runIf(LONG)("knapspec keeps the first and the last layer, and what it may not skip is left out", async () => {
    const model = ["--model", "embedded", "--method", "knapspec"];
    expect((await solve(...INPUTS, ...model, "--choices", "skip", "-o", "knapspec.yaml")).code).toBe(0);
    const path = "profiles/union-10m.calibration.knapspec.yaml";
    const { measured, method } = parseDocument(readFileSync(join(folder, path), "utf8"), path) as Calibration;
    expect(method).toBe("knapspec");
    const drafts = measured.filter(({ part }) => part === "choose").map(({ draft }) => draft);
    expect(drafts.length).toBeGreaterThan(0);
    for (const { skip, default: usual, head } of drafts) {
      expect([usual, head]).toEqual(["target", "target"]);
      expect(skip.length).toBeGreaterThan(0);
      for (const name of ["0.attn", "0.mlp", "11.attn", "11.mlp"]) expect(skip).not.toContain(name);
    }
    const again = ["--profile", INPUTS[1], "--calibration", path, "--method", "knapspec"];
    const limited = await solve(...again, "--choices", "skip", "--max-skip", "0", "-o", "none.yaml");
    expect(limited.stderr).toMatch(/NOT_MEASURED[\s\S]*nothing of knapspec/);
    expect(plan("none.yaml").segments.every(({ speculate }) => !speculate)).toBe(true);
  });

  test.skipIf(LONG)(
    "where nothing of a method was measured nothing is drafted: the surrogate's best is the knapsack's",
    async () => {
      const path = "profiles/union-10m.calibration.yaml";
      const text = readFileSync(join(folder, path), "utf8");
      const document = { ...parseDocument(text, path), method: "clasp", measured: [] };
      writeFileSync(join(folder, "none.yaml"), stringifyDocument(document as Calibration));
      const inputs = ["--profile", INPUTS[1], "--calibration", "none.yaml", "--method", "clasp", "-o", "clasp.yaml"];
      expect((await solve(...inputs)).code).toBe(0);
      expect(plan("clasp.yaml").segments.map(({ speculate }) => speculate)).toEqual([false]);
    },
  );

  test.skipIf(LONG).each([
    ["another method's measurements", ["--method", "swift"], /DOCUMENT_MISMATCH.*\n.*knapsack.*swift.*\n.*--model/],
    ["a method that does not exist", ["--method", "best"], /OPTION_INVALID.*\n.*\n.*knapsack, none, knapspec/],
  ])("%s", async (_, flags, message) => {
    const { code, stdout, stderr } = await solve(...INPUTS, ...flags);
    expect({ code, stdout }).toEqual({ code: flags[1] === "best" ? 2 : 3, stdout: "" });
    expect(stderr).toMatch(message);
  });
});
