/** `draftplan check` as a user runs it: flags, output, exit codes. */
import { cpSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { PLAN, PROFILE, speculating, VERIFICATION } from "../check/support.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

interface CheckJson {
  regressed: boolean;
  inconclusive: boolean;
  findings: { code: string; severity: string; file: string; where: string; message: string }[];
  files: string[];
  compared: unknown[];
  decided: string[];
}

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
  for (const name of ["profiles", PLAN, VERIFICATION])
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
});

const run = (...args: string[]) => draftplan(["check", ...args], { cwd: folder });

async function json(...args: string[]): Promise<CheckJson & { code: number | null }> {
  const { code, stdout, stderr } = await run(...args, "--json");
  expect(stderr).toBe("");
  return { ...(JSON.parse(stdout) as CheckJson), code };
}

const codes = ({ findings }: CheckJson) => [...new Set(findings.map(({ code }) => code))].sort();

function edit(file: string, change: (plan: Plan) => void, to = file): void {
  const document = parseDocument(readFileSync(join(folder, file), "utf8"), file) as Plan;
  change(document);
  writeFileSync(join(folder, to), stringifyDocument(document));
}

const slower = (plan: Plan) => {
  const { predicted } = speculating(plan).segment;
  predicted.draft_us *= 2;
  predicted.tokens_per_second *= 0.6;
  predicted.speedup *= 0.6;
};

describe.skipIf(LONG)("documents alone", () => {
  test("a folder of good documents passes", async () => {
    cpSync(join(ROOT, "plans"), join(folder, "plans"), { recursive: true });
    const { code, stdout, stderr } = await run("plans");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/no findings/);
  });

  test("--json prints exactly one value, with every key", async () => {
    const result = await json("plans", PROFILE);
    expect(result).toMatchObject({ code: 0, regressed: false, inconclusive: false, findings: [] });
    expect(result.files).toEqual(expect.arrayContaining([PLAN, PROFILE, VERIFICATION].map((file) => join(file))));
    expect(new Set(result.files).size).toBe(result.files.length);
  });

  test("an error fails the check, and the finding has its five keys", async () => {
    edit(PLAN, (plan) => {
      speculating(plan).segment.draft.skip.push("99.attn");
    });
    const result = await json(PLAN);
    expect(result.code).toBe(1);
    const [found] = result.findings;
    expect(Object.keys(found).sort()).toEqual(["code", "file", "message", "severity", "where"]);
    expect(found).toMatchObject({ code: "BLOCK_UNKNOWN", severity: "error", file: join(PLAN) });
    const { stdout } = await run(PLAN);
    expect(stdout).toContain("BLOCK_UNKNOWN");
  });

  test("a warning does not", async () => {
    rmSync(join(folder, "profiles"), { recursive: true });
    const result = await json(PLAN);
    expect(codes(result)).toEqual(["INPUT_UNAVAILABLE"]);
    expect(result.code).toBe(0);
  });

  test("a document that does not parse is a finding with its line", async () => {
    writeFileSync(join(folder, "plans/bad.yaml"), "kind: draftplan/plan\nversion: 1\nsegments: [\n");
    const result = await json("plans");
    expect(codes(result)).toEqual(["DOCUMENT_SYNTAX"]);
    expect(result.findings[0].message).toMatch(/line \d/);
    expect(result.code).toBe(1);
  });

  test("an empty folder, or one with other YAML only, has nothing to check", async () => {
    mkdirSync(join(folder, "empty"));
    mkdirSync(join(folder, "other"));
    writeFileSync(join(folder, "other/k8s.yaml"), "kind: Deployment\n");
    const result = await json("empty", "other");
    expect(result.code).toBe(1);
    expect(result.findings.map(({ code, file }) => `${code} ${file}`)).toEqual([
      "NOTHING_TO_CHECK empty",
      "NOTHING_TO_CHECK other",
    ]);
  });

  test("a folder without plans is checked for what it has", async () => {
    expect(await json("profiles")).toMatchObject({ code: 0, findings: [] });
  });

  test("a path that is not there is an error, and no finding", async () => {
    const { code, stdout, stderr } = await run(PLAN, "gone.yaml", "--json");
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(/^error \[FILE_NOT_FOUND\] gone\.yaml\n/);
  });
});

describe.skipIf(LONG)("with --model", () => {
  test("the documents' own model passes", async () => {
    expect(await json("plans", "--model", "embedded")).toMatchObject({ code: 0, findings: [] });
  });

  test("another model does not", async () => {
    const other = writeTinyCheckpoint(join(folder, "other"), {});
    const result = await json(PLAN, "--model", other);
    // the tiny model has no tokenizer to compare the calibration's with
    expect(new Set(codes(result))).toEqual(new Set(["MODEL_DIFFERS", "TOKENIZER_UNCHECKED"]));
    expect(result.code).toBe(1);
  });

  test("no model there is an error", async () => {
    expect(await run(PLAN, "--model", "gone")).toMatchObject({ code: 3, stdout: "" });
  });
});

describe.skipIf(LONG)("with --baseline", () => {
  test("a faster candidate, or the same one, has no finding", async () => {
    const same = await json(PLAN, "--baseline", PLAN);
    expect(same).toMatchObject({ code: 0, regressed: false, findings: [] });
    expect(same.compared.length).toBeGreaterThan(0);
    expect(same.decided.length).toBeGreaterThan(0);
    edit(PLAN, slower, "old.yaml");
    expect(await json(PLAN, "--baseline", "old.yaml")).toMatchObject({ code: 0, regressed: false, findings: [] });
  });

  test("a slower one is a regression, and the tolerance decides", async () => {
    cpSync(join(folder, PLAN), join(folder, "old.yaml"));
    edit(PLAN, (plan) => {
      slower(plan);
      for (const key of ["device", "inputs", "method", "choices"] as const) if (key !== "device") delete plan[key];
    });
    const strict = await json(PLAN, "--baseline", "old.yaml");
    expect(strict).toMatchObject({ code: 1, regressed: true });
    expect(codes(strict)).toContain("SLOWER_PREDICTED");
    const lax = await json(PLAN, "--baseline", "old.yaml", "--tolerance", "60%");
    expect(lax.regressed).toBe(false);
    expect(codes(lax)).not.toContain("SLOWER_PREDICTED");
  });

  test("a verification against a verification, and against a plan by its own plan", async () => {
    expect(await json(VERIFICATION, "--baseline", VERIFICATION)).toMatchObject({ code: 0, findings: [] });
    const result = await json(VERIFICATION, "--baseline", PLAN);
    expect(result).toMatchObject({ code: 0, findings: [] });
    expect(result.decided.join("\n")).toContain(join(PLAN));
  });

  test("something that has no speed cannot be one; a broken one is a finding", async () => {
    const profile = await run(PLAN, "--baseline", PROFILE);
    expect(profile).toMatchObject({ code: 3, stdout: "" });
    expect(profile.stderr).toContain("DOCUMENT_KIND");
    writeFileSync(join(folder, "old.yaml"), "kind: [");
    const broken = await json(PLAN, "--baseline", "old.yaml");
    expect(broken).toMatchObject({ code: 1, findings: [{ code: "DOCUMENT_SYNTAX", file: "old.yaml" }] });
    expect((await run(PLAN, "--baseline", "gone.yaml")).code).toBe(3);
  });
});

describe.skipIf(LONG)("wrong usage", () => {
  test.each(["0.05", "5", "-5%", "100%", "five", "5%%", "", "1e1%", "NaN%"])(
    "--tolerance '%s' is refused with exit code 2",
    async (tolerance) => {
      const { code, stdout, stderr } = await run(PLAN, `--tolerance=${tolerance}`);
      expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
      expect(stderr).toMatch(/^error \[OPTION_INVALID\] --tolerance.*\n {2}what: .+\n {2}try: {2}.*5%\n$/);
    },
  );

  test.each(["0%", "2.5%"])("--tolerance %s is taken", async (tolerance) => {
    expect((await json(PLAN, "--baseline", PLAN, "--tolerance", tolerance)).code).toBe(0);
  });

  test.each([
    ["--measure without a model", ["--measure"]],
    ["--time without measuring", ["--time", "5"]],
    ["--prompts without measuring", ["--prompts", "p.jsonl"]],
    ["no path", []],
  ])("%s", async (name, flags) => {
    const args = name === "no path" ? [] : [PLAN, ...flags];
    const { code, stdout, stderr } = await run(...args);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^error \[USAGE\] /);
  });

  test("measuring with no plan among the documents", async () => {
    const { code, stderr } = await run("profiles", "--measure", "--model", "embedded");
    expect(code).toBe(2);
    expect(stderr).toContain("no plan");
  });
});

describe.runIf(LONG)("--measure", () => {
  test("plans that predict nothing are compared by running them, and nothing else is found amiss", async () => {
    const asByHand = (to: string) =>
      edit(
        PLAN,
        (plan) => {
          delete plan.inputs;
          for (const segment of plan.segments) delete segment.predicted;
        },
        to,
      );
    asByHand("before.yaml");
    asByHand("after.yaml");
    const length = ["--time", "2"];
    const flags = ["--baseline", "before.yaml", "--measure", "--model", "embedded", ...length, "--json"];
    const { code, stdout } = await run("after.yaml", ...flags);
    const result = JSON.parse(stdout) as CheckJson;
    // whether two runs of one plan differ is the machine's affair; that the exit code follows from it is not
    const verdicts = ["MEASUREMENT_INCONCLUSIVE", "SLOWER_MEASURED"];
    expect(codes(result).filter((found) => !verdicts.includes(found))).toEqual([]);
    expect(code).toBe(result.regressed ? 1 : 0);
    expect(result.decided).toEqual([
      expect.stringMatching(/^after\.yaml: does the same as before\.yaml/),
      expect.stringMatching(/^after\.yaml: /),
    ]);
  });
});

describe.skipIf(LONG)("files", () => {
  test("JUnit and Markdown are written, also where the check fails", async () => {
    edit(PLAN, (plan) => {
      speculating(plan).segment.predicted.speedup *= 2;
    });
    expect((await run("plans", "--junit", "out/junit.xml", "--markdown", "out/summary.md")).code).toBe(1);
    expect(readFileSync(join(folder, "out/junit.xml"), "utf8")).toContain("PREDICTED_INCONSISTENT");
    expect(existsSync(join(folder, "out/summary.md"))).toBe(true);
  });

  test("--github annotates the line", async () => {
    edit(PLAN, (plan) => {
      speculating(plan).segment.predicted.speedup *= 2;
    });
    const { stdout } = await draftplan(["check", PLAN, "--github"], {
      cwd: folder,
      env: { GITHUB_STEP_SUMMARY: "", GITHUB_OUTPUT: "", GITHUB_WORKSPACE: folder },
    });
    expect(stdout).toMatch(/^::error file=plans\/union-10m\.plan\.yaml,line=\d+,title=PREDICTED_INCONSISTENT::/m);
  });
});

test.skipIf(LONG)("documents alone load no native library, nor the model's converter", async () => {
  const spy = join(folder, "spy.cjs");
  writeFileSync(
    spy,
    `const dlopen = process.dlopen;
process.dlopen = function (module, name, ...rest) { console.error("native " + name); return dlopen.call(this, module, name, ...rest); };`,
  );
  const { code, stderr } = await draftplan(["check", PLAN], {
    cwd: folder,
    env: { NODE_OPTIONS: `--require ${JSON.stringify(spy)}` },
  });
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
});
