/** What CI runs: action.yml, the pre-commit hook, the project's own workflow, and the snippets of docs/ci.md. */
import { spawnSync } from "node:child_process";
import { chmodSync, cpSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { parse } from "yaml";
import { buildProgram } from "../src/cli/main.js";
import { CLI } from "./support/cli.js";
import { LONG } from "./support/long.js";
import { temporaryFolder } from "./support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const read = (path: string): string => readFileSync(join(ROOT, path), "utf8");

interface Step {
  id?: string;
  uses?: string;
  run?: string;
  shell?: string;
  env?: Record<string, string>;
  with?: Record<string, string | boolean | number>;
}
interface Action {
  inputs: Record<string, { description: string; default: string }>;
  outputs: Record<string, { description: string; value: string }>;
  runs: { using: string; steps: Step[] };
}
const action = parse(read("action.yml")) as Action;
const { steps } = action.runs;
const script = steps.find(({ run }) => run !== undefined) as Step & { run: string; env: Record<string, string> };

const program = buildProgram(async () => {});
const flagsOf = (verb: string): string[] =>
  program.commands
    .find((command) => command.name() === verb)
    ?.options.flatMap(({ long, short }) => [long ?? "", short ?? ""]) ?? [];

/** Flags in a command line that its verb does not have; what npx takes for itself is none of them. */
function unknownFlags(line: string): string[] {
  const [, verb = "", rest = ""] = /(?:^|\s)draftplan (\w+)(.*)$/.exec(line.replace(/"[^"]*"/g, "TEXT")) ?? [];
  const flags = rest.split(/\s+/).filter((word) => /^-[-\w]/.test(word) && word !== "--");
  return flags.map((flag) => flag.replace(/=.*/, "")).filter((flag) => !flagsOf(verb).includes(flag));
}

describe.skipIf(LONG)("action.yml", () => {
  const used = [...read("action.yml").matchAll(/\$\{\{\s*inputs\.([\w-]+)\s*\}\}/g)].map(([, name]) => name);

  test("uses every input that it declares, and no other", () => {
    expect([...new Set(used)].sort()).toEqual(Object.keys(action.inputs).sort());
    for (const { description } of Object.values(action.inputs)) expect(description).toMatch(/\.$/);
  });

  test("never puts an input into the script", () => expect(script.run).not.toContain("${{"));

  test("hands the script the variables that it reads, and no other", () => {
    const readThere = [...script.run.matchAll(/\$(?:\{#?)?(CHECK_\w+)/g)].map(([, name]) => name);
    expect([...new Set(readThere)].sort()).toEqual(Object.keys(script.env).sort());
  });

  test("takes its outputs from a step that is there", () => {
    expect(Object.keys(action.outputs).sort()).toEqual(["inconclusive", "regressed"]);
    for (const [name, { value }] of Object.entries(action.outputs)) {
      const [, id, output] = /^\$\{\{ steps\.(\w+)\.outputs\.(\w+) \}\}$/.exec(value) ?? [];
      expect([output, steps.some((step) => step.id === id)]).toEqual([name, true]);
    }
  });

  test("gives check only flags that it has", () => {
    const flags = [...script.run.matchAll(/(?:option|switch) (--[\w-]+)|args=\((--[\w-]+)\)/g)].map(
      ([, a, b]) => a ?? b,
    );
    expect(flags.length).toBeGreaterThan(6);
    expect(flags.filter((flag) => !flagsOf("check").includes(flag))).toEqual([]);
  });
});

describe.skipIf(process.platform === "win32" || LONG)("the action's script (run by bash as a runner does)", () => {
  const folder = temporaryFolder();
  const bin = join(folder, "bin");
  mkdirSync(bin);
  cpSync(join(ROOT, "profiles"), join(folder, "profiles"), { recursive: true });
  cpSync(join(ROOT, "plans/union-10m.plan.yaml"), join(folder, "plans/union-10m.plan.yaml"));

  /** Instead of npx: notes its arguments, and runs this checkout's draftplan with those behind `-- draftplan`. */
  function standIn(run: boolean): void {
    const code = `#!/usr/bin/env node
const { writeFileSync } = require("node:fs");
const args = process.argv.slice(2);
writeFileSync(${JSON.stringify(join(folder, "arguments.json"))}, JSON.stringify(args));
const own = args.slice(args.indexOf("--") + 2);
if (${run}) process.exitCode = require("node:child_process").spawnSync(process.execPath, [${JSON.stringify(CLI)}, ...own], { stdio: "inherit" }).status;`;
    writeFileSync(join(bin, "npx"), code);
    chmodSync(join(bin, "npx"), 0o755);
  }

  function runScript(inputs: Record<string, string>, run = true) {
    standIn(run);
    const name = (input: string) => `CHECK_${input.toUpperCase().replaceAll("-", "_")}`;
    const values = Object.fromEntries(
      Object.entries(action.inputs)
        .filter(([input]) => name(input) in script.env)
        .map(([input, { default: value }]) => [name(input), inputs[input] ?? value]),
    );
    const files = { GITHUB_OUTPUT: join(folder, "output"), GITHUB_STEP_SUMMARY: join(folder, "summary.md") };
    for (const file of Object.values(files)) writeFileSync(file, "");
    writeFileSync(join(folder, "script.sh"), script.run);
    const finished = spawnSync("bash", ["--noprofile", "--norc", "-eo", "pipefail", join(folder, "script.sh")], {
      cwd: folder,
      encoding: "utf8",
      env: {
        ...process.env,
        ...values,
        ...files,
        GITHUB_WORKSPACE: folder,
        PATH: `${bin}${delimiter}${process.env.PATH}`,
      },
    });
    const given = existsSync(join(folder, "arguments.json"))
      ? readFileSync(join(folder, "arguments.json"), "utf8")
      : "[]";
    return {
      ...finished,
      arguments: JSON.parse(given) as string[],
      output: readFileSync(files.GITHUB_OUTPUT, "utf8"),
      summary: readFileSync(files.GITHUB_STEP_SUMMARY, "utf8"),
    };
  }

  test("finds nothing wrong with the committed plans", () => {
    const { status, stdout, stderr, output, summary } = runScript({ paths: "plans\nprofiles\n" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    expect(stdout).toMatch(/^passed: \d+ files/m);
    expect(output).toBe("regressed=false\ninconclusive=false\n");
    expect(summary).toContain("### draftplan check: passed");
    expect(readFileSync(join(folder, "draftplan-junit.xml"), "utf8")).toContain('failures="0"');
  });

  test("fails where a plan is wrong, with an annotation beside the line", () => {
    const path = join(folder, "plans", "union-10m.plan.yaml");
    const text = readFileSync(path, "utf8");
    writeFileSync(path, text.replace(/draft_tokens: \d+/, "draft_tokens: 0"));
    const { status, stdout, summary } = runScript({});
    writeFileSync(path, text);
    expect(status).toBe(1);
    const line = text.split("\n").findIndex((each) => /draft_tokens: \d/.test(each)) + 1;
    expect(stdout).toMatch(
      new RegExp(`^::error file=plans/union-10m\\.plan\\.yaml,line=${line},title=DRAFT_TOKENS_INVALID::`, "m"),
    );
    expect(summary).toContain("### draftplan check: failed");
  });

  test("hands over what it was given, word for word, whatever it is", () => {
    const hostile = {
      paths: "a b.yaml\r\n$(touch pwned)\n\n; touch pwned\n--json\n`touch pwned`",
      baseline: '"; touch pwned; "',
      tolerance: "5% && touch pwned",
      model: "$(touch pwned)",
      version: "0.1.0; touch pwned",
      measure: "true",
    };
    const { status, arguments: given } = runScript(hostile, false);
    expect(status).toBe(0);
    expect(given).toEqual([
      ...["--yes", "--package", `draftplan@${hostile.version}`, "--", "draftplan", "check", "--github"],
      ...[`--baseline=${hostile.baseline}`, `--tolerance=${hostile.tolerance}`, `--model=${hostile.model}`],
      ...["--junit=draftplan-junit.xml", "--measure", "--"],
      ...["a b.yaml", "$(touch pwned)", "; touch pwned", "--json", "`touch pwned`"],
    ]);
    expect(existsSync(join(folder, "pwned"))).toBe(false);
  });

  test.each([
    ["a switch that is neither true nor false", { measure: "yes" }, /--measure must be true or false/],
    ["no paths", { paths: " \n".trim() }, /no paths were given/],
  ])("refuses %s", (_what, inputs, message) => {
    const { status, stderr } = runScript(inputs);
    expect(status).toBe(2);
    expect(stderr).toMatch(message);
  });
});

describe.skipIf(LONG)("the snippets of docs/ci.md", () => {
  const blocks = [...read("docs/ci.md").matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)].map(([, info, text]) => ({
    info,
    text,
  }));
  const snippets = blocks
    .filter(({ info }) => info === "yaml")
    .map(({ text }) => parse(text) as Record<string, unknown>);
  const lines = blocks.flatMap(({ text }) => text.split("\n")).filter((line) => /(^|\s)draftplan \w+ /.test(line));
  const stepsThere = snippets.flatMap(({ jobs }) =>
    Object.values((jobs ?? {}) as Record<string, { steps: Step[] }>).flatMap((job) => job.steps),
  );

  test("are there: three workflows, GitLab, two for pre-commit", () => {
    expect(
      snippets.map((snippet) => Object.keys(snippet).find((key) => ["jobs", "draftplan", "repos"].includes(key))),
    ).toEqual(["jobs", "jobs", "jobs", "draftplan", "repos", "repos"]);
    expect(lines.length).toBeGreaterThan(4);
  });

  test("use only flags that exist", () => expect(lines.flatMap(unknownFlags)).toEqual([]));

  test("give the action only inputs that it has", () => {
    const own = stepsThere.filter(({ uses }) => uses?.startsWith("OWNER/draftplan@"));
    expect(own).toHaveLength(3);
    for (const step of own) {
      expect(Object.keys(step.with ?? {}).filter((input) => !(input in action.inputs))).toEqual([]);
    }
  });

  test("list every input of the action with its default", () => {
    const rows = [...read("docs/ci.md").matchAll(/^\| `([\w-]+)` \| (?:`([^`]*)`)?[^|]*\| /gm)];
    const listed = Object.fromEntries(
      rows.map(([, name, value]) => [name, value]).filter(([name]) => name in action.inputs),
    );
    expect(Object.keys(listed).sort()).toEqual(Object.keys(action.inputs).sort());
    for (const [name, value] of Object.entries(listed)) expect(value ?? "").toBe(action.inputs[name].default);
  });

  test("name a hook that there is", () => {
    const hooks = parse(read(".pre-commit-hooks.yaml")) as {
      id: string;
      entry: string;
      args: string[];
      files: string;
    }[];
    const repositories = snippets.flatMap(
      ({ repos }) => (repos ?? []) as { repo: string; hooks: { id: string; entry?: string; files?: string }[] }[],
    );
    for (const { repo, hooks: named } of repositories) {
      for (const hook of named) if (repo !== "local") expect(hooks.map(({ id }) => id)).toContain(hook.id);
    }
    expect(hooks.flatMap(({ entry, args }) => unknownFlags(`${entry} ${args.join(" ")}`))).toEqual([]);
    const patterns = [...hooks, ...repositories.flatMap((each) => each.hooks)].flatMap(({ files }) => files ?? []);
    for (const pattern of patterns) {
      expect("plans/llama.plan.yaml").toMatch(new RegExp(pattern));
      expect("src/plans.ts").not.toMatch(new RegExp(pattern));
    }
  });
});

describe("the project's own CI", () => {
  const workflow = parse(read(".github/workflows/ci.yml")) as { jobs: Record<string, { steps: Step[] }> };
  const all = Object.values(workflow.jobs).flatMap((job) => job.steps);

  test.skipIf(LONG)("runs .ci/run, and the action on the committed plans", () => {
    expect(all.flatMap(({ run }) => run ?? [])).toContain("bash .ci/run");
    const [own] = all.filter(({ uses }) => uses === "./");
    expect(String(own.with?.paths).trim().split("\n")).toContain("plans");
    expect(Object.keys(own.with ?? {}).filter((input) => !(input in action.inputs))).toEqual([]);
  });

  test.skipIf(LONG)(".ci/run checks the committed plans", () =>
    expect(read(".ci/run")).toContain("node dist/cli.js check plans"),
  );

  describe.skipIf(process.platform === "win32")(".ci/run (bash), with an npm that writes what it is told to", () => {
    const passing = { status: "passed", fullName: "holds" };
    const failing = { status: "failed", fullName: "group one", failureMessages: ["Error: planted\n    at x"] };
    /** What vitest reports of a file with these tests. */
    const report = (...tests: { status: string }[]) => ({
      numPassedTests: tests.filter(({ status }) => status === "passed").length,
      numFailedTests: tests.filter(({ status }) => status === "failed").length,
      testResults: [{ name: "planted.test.ts", status: tests.at(-1)?.status, assertionResults: tests }],
    });
    type Answers = Record<string, { code?: number; report?: object }>;

    /** @param answers of `npm ARGUMENTS`; those left out end well, and tests among them with one that passed */
    function runAll(answers: Answers, checkCode = 0) {
      const folder = temporaryFolder();
      for (const name of [".ci", "scripts", "dist", "bin"]) mkdirSync(join(folder, name));
      for (const name of [".ci/run", "scripts/failed-tests.mjs"]) cpSync(join(ROOT, name), join(folder, name));
      writeFileSync(join(folder, "dist", "cli.js"), `process.exitCode = ${checkCode};`);
      const npm = `#!${process.execPath}
const asked = process.argv.slice(2).join(" ");
const { code = 0, report = ${JSON.stringify(report(passing))} } = ${JSON.stringify(answers)}[asked] ?? {};
const path = process.env.DRAFTPLAN_TEST_REPORT;
if (/test/.test(asked) && report !== null) require("node:fs").writeFileSync(path, JSON.stringify(report));
process.exitCode = code;`;
      writeFileSync(join(folder, "bin", "npm"), npm);
      chmodSync(join(folder, "bin", "npm"), 0o755);
      const PATH = [join(folder, "bin"), dirname(process.execPath), process.env.PATH].join(delimiter);
      const { stdout, status } = spawnSync("bash", [join(folder, ".ci", "run")], {
        ...{ cwd: folder, encoding: "utf8", env: { ...process.env, PATH } },
      });
      return { status, lines: stdout.trim().split("\n") };
    }

    test.skipIf(LONG)("ends well where all did, and counts tests and commands", () =>
      expect(runAll({})).toEqual({ status: 0, lines: ["5 passed, 0 failed"] }),
    );

    const ends: [string, Answers, number, string[], string][] = [
      [
        "a failed test",
        { "run test:long": { code: 1, report: report(passing, failing) } },
        0,
        ["failed:", "  long: planted.test.ts > group one", "    Error: planted"],
        "5 passed, 1 failed",
      ],
      [
        "tests that never ran, as their packages are not there",
        { ci: { code: 1 } },
        0,
        ["failed:", "  unit: exit code 1", "    it wrote no report"],
        "4 passed, 1 failed",
      ],
      [
        "an error outside all tests",
        { "run test:acceptance": { code: 1 } },
        0,
        ["failed:", "  acceptance: exit code 1", "    no test failed; see its output above"],
        "5 passed, 1 failed",
      ],
      [
        "a main job that fails",
        { start: { code: 4 } },
        0,
        ["failed:", "  npm start: exit code 4"],
        "4 passed, 1 failed",
      ],
      ["committed plans with a finding", {}, 1, ["failed:", "  check plans: exit code 1"], "4 passed, 1 failed"],
    ];
    test.each(LONG ? ends.slice(1) : ends.slice(0, 1))(
      "ends with %s above its last line, and not well",
      (_what, answers, checkCode, said, last) =>
        expect(runAll(answers, checkCode)).toEqual({ status: 1, lines: [...said, last] }),
    );
  });

  describe.skipIf(LONG)("the end of its log (scripts/failed-tests.mjs)", () => {
    const folder = temporaryFolder();
    const report = join(folder, "report.json");
    const failedTest = (fullName: string, message: string) => ({
      status: "failed",
      fullName,
      failureMessages: [message],
    });
    const endOf = (...args: string[]) =>
      spawnSync(process.execPath, [join(ROOT, "scripts", "failed-tests.mjs"), ...args], {
        cwd: ROOT,
        encoding: "utf8",
      }).stdout;

    test("names every failed test and file with its error's first line", () => {
      const testResults = [
        { name: join(ROOT, "test", "a.test.ts"), status: "passed", assertionResults: [{ status: "passed" }] },
        {
          name: join(ROOT, "test", "b.test.ts"),
          status: "failed",
          assertionResults: [
            { status: "passed", fullName: "holds" },
            failedTest("group one", "\u001b[31mAssertionError: 1 is not 2\u001b[39m\n    at b.test.ts:1:1"),
            failedTest("group two", `\n\n  Error: ${"x".repeat(500)}\nmore`),
          ],
        },
        {
          name: join(ROOT, "test", "c.test.ts"),
          status: "failed",
          message: "Cannot find module 'd'",
          assertionResults: [],
        },
      ];
      writeFileSync(report, JSON.stringify({ testResults }));
      expect(endOf("unit", "1", report).split("\n")).toEqual([
        "failed:",
        `  unit: ${join("test", "b.test.ts")} > group one`,
        "    AssertionError: 1 is not 2",
        `  unit: ${join("test", "b.test.ts")} > group two`,
        `    Error: ${"x".repeat(292)}…`,
        `  unit: ${join("test", "c.test.ts")}`,
        "    Cannot find module 'd'",
        "",
      ]);
    });

    test("names a run that failed without a failed test, and says nothing where all passed", () => {
      writeFileSync(report, JSON.stringify({ testResults: [] }));
      expect(endOf("unit", "0", report, "npm start", "0", "-")).toBe("");
      expect(endOf("unit", "1", report, "long", "127", join(folder, "none.json"), "npm start", "3", "-")).toBe(
        [
          ...["failed:", "  unit: exit code 1", "    no test failed; see its output above"],
          ...["  long: exit code 127", "    it wrote no report", "  npm start: exit code 3", ""],
        ].join("\n"),
      );
    });

    test("stands right before the last line", () => {
      const lines = read(".ci/run").trim().split("\n");
      expect(lines.at(-3)).toMatch(/^node scripts\/failed-tests\.mjs /);
      expect(lines.at(-2)).toBe('echo "$passed passed, $failed failed"');
    });
  });

  test.skipIf(LONG)("other actions are pinned to a major version", () => {
    const foreign = [...all, ...steps].flatMap(({ uses }) =>
      uses === undefined || uses.startsWith("./") ? [] : [uses],
    );
    expect(foreign.length).toBeGreaterThan(3);
    expect(foreign.filter((name) => !/^actions\/[\w-]+@v\d+$/.test(name))).toEqual([]);
  });
});
