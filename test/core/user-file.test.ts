/** What a document names is a regular file of bounded size; what the command line names may be a pipe. */
import { execFileSync, spawn } from "node:child_process";
import { cpSync, existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { readNamedFile, readUserFile } from "../../src/core/user-file.js";
import { inputRef } from "../../src/pipeline/paths.js";
import { CLI, draftplan } from "../support/cli.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const PLAN = "plans/union-10m.plan.yaml";
const onUnix = describe.skipIf(process.platform === "win32");

/** The bundled plan, with a profile of this name. */
function planNaming(path: string): string {
  const plan = join(temporaryFolder(), "plan.yaml");
  const text = readFileSync(PLAN, "utf8");
  const changed = text.replace(/(profile: \{path: )[^,]+/, `$1${path}`);
  expect(changed).not.toBe(text);
  writeFileSync(plan, changed);
  return plan;
}

function fifo(): string {
  const path = join(temporaryFolder(), "pipe");
  execFileSync("mkfifo", [path]);
  return path;
}

onUnix("a file that a document names", () => {
  test.each([
    ["a device without an end", () => "/dev/zero"],
    ["a pipe without a writer", fifo],
    ["a folder", () => temporaryFolder()],
    ["a link to a device", () => linkTo("/dev/zero")],
  ])("is not read where it is %s", async (_, make) => {
    const path = make();
    await expectFailure(() => readNamedFile(path, 1000), "FILE_UNREADABLE", /no regular file|a folder/);
    const plan = planNaming(path);
    const { code, stderr } = await draftplan(["explain", plan]);
    expect(code).toBe(3);
    expect(stderr).toMatch(/no regular file|a folder/);
    expect((await draftplan(["check", plan])).code).toBe(1);
  });

  test("is not read where it is too large", async () => {
    const path = join(temporaryFolder(), "file");
    writeFileSync(path, "x".repeat(1001));
    await expectFailure(() => readNamedFile(path, 1000), "FILE_UNREADABLE", /1001 bytes, more than 1000/);
    expect(readNamedFile(path, 1001)).toHaveLength(1001);
  });
});

onUnix("a file that the command line names", () => {
  test("may be a pipe, and is read to its end", async () => {
    const pipe = fifo();
    const writer = spawn("bash", ["-c", `cat "${PLAN}" > "${pipe}"`]);
    const { code, stdout } = await draftplan(["inspect", pipe, "--json"]);
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "draftplan/plan" });
    writer.kill();
  });

  test("may be stdin, whatever stands behind it", () => {
    const given = readFileSync(PLAN);
    const options = { input: given, encoding: "utf8" } as const;
    const stdout = execFileSync(process.execPath, [CLI, "inspect", "/dev/stdin", "--json"], options);
    expect(JSON.parse(stdout)).toMatchObject({ kind: "draftplan/plan" });
  });

  test.skipIf(!existsSync("/dev/zero"))("is not read past its bound", async () => {
    await expectFailure(() => readUserFile("/dev/zero", 100_000), "FILE_UNREADABLE", /more than 100000 bytes/);
    expect((await draftplan(["inspect", "/dev/zero"])).code).toBe(3);
  });

  test.concurrent.each([
    ["inspect", (pipe: string) => ["inspect", pipe]],
    ["explain", (pipe: string) => ["explain", pipe]],
    ["generate", (pipe: string) => ["generate", "embedded", "--plan", pipe, "--adapt", "--prompt", "x"]],
  ])("may be a pipe that nobody writes to, and a signal ends %s", async (_, args) => {
    const { code, signal } = await draftplan(args(fifo()), {
      during: (child) => setTimeout(() => child.kill("SIGTERM"), 2000),
    });
    expect(signal ?? code).toBeOneOf(["SIGTERM", 143]); // 143: it came before the pipe was opened
  });
});

onUnix("relative paths in a document start where it really lies", () => {
  test("when they are read: a plan by a link in another folder", async () => {
    const folder = temporaryFolder();
    cpSync("plans", join(folder, "plans"), { recursive: true });
    cpSync("profiles", join(folder, "profiles"), { recursive: true });
    // from the link's folder the plan's inputs would not be found
    expect((await draftplan(["explain", linkTo(join(folder, PLAN))])).code).toBe(0);
  });

  test("and when they are written", () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "real/below"), { recursive: true });
    symlinkSync(join(folder, "real/below"), join(folder, "link"));
    writeFileSync(join(folder, "profile.yaml"), "");
    const { path } = inputRef({ path: join(folder, "profile.yaml"), sha256: "" }, join(folder, "link/plan.yaml"));
    expect(path).toBe("../../profile.yaml");
  });
});

function linkTo(target: string): string {
  const link = join(temporaryFolder(), "link");
  symlinkSync(target, link);
  return link;
}
