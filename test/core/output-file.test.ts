/** Files leave whole or not at all; what is no regular file is written to and never replaced. */
import { execFile, spawn } from "node:child_process";
import fs from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { makeFolder } from "../../src/core/folders.js";
import { appendText, isKept, writeText } from "../../src/core/output-file.js";
import { CLI, draftplan } from "../support/cli.js";
import { expectFailure } from "../support/failure.js";
import { disk, failing, type Replaced, real, restoredAfterEach, system } from "../support/file-system.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

restoredAfterEach();

const PLAN = "plans/union-10m.plan.yaml";
const TEXT = "é".repeat(5000);
const onUnix = describe.skipIf(process.platform === "win32");

describe.skipIf(LONG)("a regular file", () => {
  test("is written whole where the system takes a little at a time", () => {
    const file = join(temporaryFolder(), "a", "b", "plan.yaml");
    system({ writeSync: disk(7, Number.POSITIVE_INFINITY) });
    writeText(file, TEXT);
    expect(fs.readFileSync(file, "utf8")).toBe(TEXT);
  });

  test.each([
    ["a write comes short and the next one fails", { writeSync: disk(4000, 6000) }],
    ["the system takes nothing, and says nothing", { writeSync: () => 0 }],
    ["bytes that were taken do not come to the disk", { fsyncSync: failing("EIO") }],
    ["the renaming fails", { renameSync: failing("EIO") }],
  ])("keeps its old content, and leaves nothing beside it, where %s", async (_, answers: Replaced) => {
    const folder = temporaryFolder();
    const file = join(folder, "plan.yaml");
    fs.writeFileSync(file, "old");
    system(answers);
    await expectFailure(() => writeText(file, TEXT), "FILE_UNWRITABLE", /could not be written/);
    expect(fs.readFileSync(file, "utf8")).toBe("old");
    expect(fs.readdirSync(folder)).toEqual(["plan.yaml"]);
  });

  test("is not half written where more bytes are claimed than came", async () => {
    const file = join(temporaryFolder(), "plan.yaml");
    const claim = (_fd: number, _bytes: Uint8Array, _from: number, count: number) => count;
    system({ writeSync: claim });
    await expectFailure(() => writeText(file, TEXT), "FILE_UNWRITABLE", /0 of 10000 bytes/);
    expect(fs.existsSync(file)).toBe(false);
  });

  test("that cannot be replaced, as a bind mount, is written in place, and put back where the disk is full", async () => {
    const folder = temporaryFolder();
    const file = join(folder, "plan.yaml");
    fs.writeFileSync(file, "old and longer than what comes");
    const { ino } = fs.statSync(file);
    system({ renameSync: failing("EBUSY") });
    writeText(file, "new");
    expect(fs.readFileSync(file, "utf8")).toBe("new");
    expect(fs.statSync(file).ino).toBe(ino);

    const write = disk(100, TEXT.length * 2 + 50); // the draft beside it, and then no more
    let refused = false;
    const full = (...args: Parameters<typeof write>) => {
      try {
        return refused ? real.writeSync(...args) : write(...args);
      } catch (error) {
        refused = true; // what is there has its room
        throw error;
      }
    };
    system({ writeSync: full });
    await expectFailure(() => writeText(file, TEXT), "FILE_UNWRITABLE", /ENOSPC/);
    expect(fs.readFileSync(file, "utf8")).toBe("new");
    expect(fs.readdirSync(folder)).toEqual(["plan.yaml"]);
  });

  onUnix("on Unix", () => {
    test("keeps its mode, and is written where a link points, even to nothing yet", () => {
      const folder = temporaryFolder();
      const file = join(folder, "plan.yaml");
      fs.writeFileSync(file, "old", { mode: 0o640 });
      writeText(file, "new");
      expect(fs.statSync(file).mode & 0o777).toBe(0o640);
      const link = join(folder, "link");
      fs.symlinkSync("later.yaml", link);
      writeText(link, "text");
      expect(fs.readlinkSync(link)).toBe("later.yaml");
      expect(fs.readFileSync(join(folder, "later.yaml"), "utf8")).toBe("text");
    });

    test("may have a name as long as names may be", () => {
      const file = join(temporaryFolder(), "x".repeat(255));
      writeText(file, "text");
      expect(fs.readFileSync(file, "utf8")).toBe("text");
    });
  });
});

onUnix("what is no regular file is written to, and stays what it is:", () => {
  test.skipIf(LONG)("a pipe", async () => {
    const pipe = join(temporaryFolder(), "pipe");
    await run("mkfifo", [pipe]);
    const reading = run("cat", [pipe]);
    writeText(pipe, "text");
    expect(await reading).toBe("text");
    expect(fs.statSync(pipe).isFIFO()).toBe(true);
    expect(isKept(pipe)).toBe(false);
  });

  test.skipIf(LONG)("a device", () => {
    writeText("/dev/null", "text");
    appendText("/dev/null", "text");
    expect(fs.statSync("/dev/null").isCharacterDevice()).toBe(true);
    expect(isKept("/dev/null")).toBe(false);
  });

  test.skipIf(LONG || !fs.existsSync("/dev/full"))("a device that is full: an error", async () => {
    await expectFailure(() => writeText("/dev/full", "text"), "FILE_UNWRITABLE", /ENOSPC/);
    expect(fs.statSync("/dev/full").isCharacterDevice()).toBe(true);
  });

  test.concurrent.each(LONG ? ["/dev/fd/1", "/proc/self/fd/1"] : ["/dev/stdout"])(
    "%s, into a file that something stands in",
    async (path) => {
      if (path.startsWith("/proc") && !fs.existsSync(path)) return;
      const file = join(temporaryFolder(), "log");
      fs.writeFileSync(file, "before\n");
      const { code } = await shell(`node "$CLI" report plans/union-10m.plan.yaml -o ${path} >> "$FILE"`, file);
      expect(code).toBe(0);
      const text = fs.readFileSync(file, "utf8");
      expect(text).toMatch(/^before\n<!doctype html>[\s\S]*<\/html>\nWritten to /i);
    },
  );

  test.runIf(LONG)("a shell's >(command)", async () => {
    const file = join(temporaryFolder(), "out");
    const { code } = await shell(`node "$CLI" report plans/union-10m.plan.yaml -o >(cat > "$FILE"); sleep 0.5`, file);
    expect(code).toBe(0);
    expect(fs.readFileSync(file, "utf8")).toMatch(/<\/html>\s*$/);
  });

  test.skipIf(LONG)("check's JUnit and Markdown go the same way", async () => {
    const { code } = await draftplan(["check", PLAN, "--junit", "/dev/null", "--markdown", "/dev/null"]);
    expect(code).toBe(0);
    expect(fs.statSync("/dev/null").isCharacterDevice()).toBe(true);
  });
});

describe.skipIf(!fs.existsSync("/dev/full"))("stdout on a full disk", () => {
  test.concurrent.each(LONG ? [[`report ${PLAN} -o -`], ["check plans"]] : [[`inspect ${PLAN} --json`], ["--help"]])(
    "draftplan %s: one line, and an exit code that is not a failed check's",
    async (args) => {
      const { code, stderr } = await shell(`node "$CLI" ${args} > /dev/full`, "");
      expect(code).toBe(3);
      expect(stderr).toMatch(/^error \[FILE_UNWRITABLE\] stdout: ENOSPC.*\n$/);
    },
  );
});

onUnix("a pipe without a reader", () => {
  test.runIf(LONG)("ends with a signal", async () => {
    const pipe = join(temporaryFolder(), "pipe");
    await run("mkfifo", [pipe]);
    const { code, signal } = await draftplan(["report", "plans/union-10m.plan.yaml", "-o", pipe], {
      during: (child) => setTimeout(() => child.kill("SIGTERM"), 1500),
    });
    expect(signal ?? code).toBeOneOf(["SIGTERM", 143]); // 143: it came before the pipe was opened
  });
});

describe.skipIf(LONG || process.platform === "win32")("a signal while a file is written", () => {
  test("waits until it is whole, and then ends a program that does not listen for it", async () => {
    const folder = temporaryFolder();
    const index = pathToFileURL(join(CLI, "..", "core/output-file.js")).href;
    const program = `
      import fs from "node:fs"; import { syncBuiltinESMExports } from "node:module";
      const { fsyncSync } = fs;
      fs.fsyncSync = (fd) => { process.kill(process.pid, "SIGTERM"); fsyncSync(fd); };
      syncBuiltinESMExports();
      const { writeText } = await import(${JSON.stringify(index)});
      writeText(${JSON.stringify(join(folder, "whole"))}, "text");
      setTimeout(() => {}, 60_000);`;
    const child = spawn(process.execPath, ["--input-type=module", "-e", program]);
    const signal = await new Promise((resolve) => child.once("exit", (_code, by) => resolve(by)));
    expect(signal).toBe("SIGTERM");
    expect(fs.readdirSync(folder)).toEqual(["whole"]);
    expect(fs.readFileSync(join(folder, "whole"), "utf8")).toBe("text");
  });
});

describe.skipIf(LONG)("folders", () => {
  test("are made one in another, and may be there", () => {
    const folder = join(temporaryFolder(), "a", "b", "c");
    makeFolder(folder);
    makeFolder(folder);
    expect(fs.statSync(folder).isDirectory()).toBe(true);
  });

  test("that the system says are not there, though their parent is, are given up", async () => {
    const asked: string[] = [];
    const mkdirSync = (path: string) => {
      asked.push(path);
      return failing("ENOENT")();
    };
    system({ mkdirSync });
    await expectFailure(
      () => writeText(join(temporaryFolder(), "a", "b", "file"), "text"),
      "FILE_UNWRITABLE",
      /ENOENT/,
    );
    expect(asked.length).toBeLessThan(4);
  });

  test.skipIf(process.platform !== "linux")(
    "below /proc are given up by the program, which does not spin",
    async () => {
      const { code, stderr } = await draftplan(["report", "plans/union-10m.plan.yaml", "-o", "/proc/none/of/it.html"], {
        process: true,
      });
      expect({ code, stderr }).toMatchObject({ code: 3, stderr: expect.stringContaining("FILE_UNWRITABLE") });
    },
  );
});

function run(command: string, args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(command, args, (error, stdout) => (error === null ? resolve(stdout) : reject(error)));
  });
}

function shell(line: string, file: string): Promise<{ code: number | null; stderr: string }> {
  return new Promise((resolve) => {
    const child = spawn("bash", ["-c", line], { env: { ...process.env, CLI, FILE: file } });
    let stderr = "";
    child.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    child.once("close", (code) => resolve({ code, stderr }));
  });
}
