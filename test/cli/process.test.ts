/** The command line as a process: signals, closed pipes, what is loaded. */
import { execFile, spawn } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { readDocument } from "../../src/schema/document.js";
import { CLI, draftplan, whenModelRuns } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const GENERATE = ["generate", "embedded", "--prompt", "Fellow citizens", "--max-tokens", "2000", "--threads", "1"];

describe.skipIf(process.platform === "win32")("a signal (Windows has none)", () => {
  test.each([LONG ? (["SIGTERM", 143] as const) : (["SIGINT", 130] as const)])(
    "%s while text streams: the line is ended, exit code %i",
    async (signal, expected) => {
      const { code, stdout, stderr } = await draftplan(GENERATE, {
        during: (child) => child.stdout?.once("data", () => child.kill(signal)),
      });
      expect({ code, stderr }).toEqual({ code: expected, stderr: "interrupted\n" });
      expect(stdout.endsWith("\n")).toBe(true);
    },
  );

  test.runIf(LONG)("SIGINT with --json leaves stdout empty", async () => {
    const cache = process.env.DRAFTPLAN_CACHE_DIR ?? "";
    await draftplan(["generate", "embedded", "--prompt", "x", "--max-tokens", "1"]); // so that nothing is converted below
    expect(existsSync(cache)).toBe(true);
    const { code, stdout } = await draftplan([...GENERATE, "--json"], {
      during: (child) => whenModelRuns(child, () => child.kill("SIGINT")),
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
  });

  test.runIf(LONG)("SIGINT in the middle of run leaves whole documents only, and none that came later", async () => {
    const folder = temporaryFolder();
    const { code, stdout, stderr } = await draftplan(["run", "--out", folder, "--threads", "1"], {
      during(child) {
        // the profile is there, and kept in the journal: calibration is under way, however slow the machine is
        const due = ["profile.yaml", "plan.yaml.partial.jsonl"].map((name) => join(folder, name));
        const timer = setInterval(() => {
          if (!due.every((path) => existsSync(path))) return;
          clearInterval(timer);
          setTimeout(() => child.kill("SIGINT"), 300);
        }, 20);
        child.once("exit", () => clearInterval(timer));
      },
    });
    expect({ code, stdout }).toEqual({ code: 130, stdout: "" });
    expect(stderr).toMatch(
      /profile is kept in .*plan\.yaml\.partial\.jsonl; the same command goes on .*\ninterrupted\n$/,
    );
    expect(readdirSync(folder).sort()).toEqual(["plan.yaml.partial.jsonl", "profile.yaml"]);
    expect(readDocument(join(folder, "profile.yaml")).document.kind).toBe("draftplan/profile");
  });

  test.runIf(LONG)("SIGINT while weights are converted leaves nothing half converted", async () => {
    const cache = temporaryFolder();
    const { code } = await draftplan(GENERATE, {
      env: { DRAFTPLAN_CACHE_DIR: cache },
      during(child) {
        const timer = setInterval(() => {
          if (!readdirSync(cache).some((name) => name.startsWith(".partial"))) return;
          clearInterval(timer);
          child.kill("SIGINT");
        }, 2);
        child.once("exit", () => clearInterval(timer));
      },
    });
    expect(code).toBe(130);
    expect(readdirSync(cache).filter((name) => name.startsWith(".partial"))).toEqual([]);
  });
});

describe("a pipe that is closed early", () => {
  test.runIf(LONG)("ends a long generation quietly", async () => {
    const { code, stderr } = await draftplan(GENERATE, {
      during: (child) => child.stdout?.once("data", () => child.stdout?.destroy()),
    });
    expect({ code, stderr }).toEqual({ code: 141, stderr: "" });
  });

  test.skipIf(process.platform === "win32")("does not spoil a command that has done its work (needs sh)", async () => {
    const { stdout, stderr } = await promisify(execFile)("sh", [
      "-c",
      `"${process.execPath}" "${CLI}" --help | head -n 1`,
    ]);
    expect({ stdout, stderr }).toEqual({ stdout: "Usage: draftplan [options] [command]\n", stderr: "" });
  });
});

describe("a prompt on standard input", () => {
  /** Writes the pieces one after the other, as a program does that takes its time. */
  const piped = (args: string[], pieces: (string | Buffer)[]) =>
    new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
      const child = spawn(process.execPath, [CLI, "generate", "embedded", "--threads", "1", ...args], {
        stdio: "pipe",
      });
      let [stdout, stderr] = ["", ""];
      child.stdout.on("data", (data) => (stdout += data));
      child.stderr.on("data", (data) => (stderr += data));
      child.on("error", reject);
      child.on("close", (code) => resolve({ code, stdout, stderr }));
      child.stdin.on("error", () => {}); // it ended before it read all: its exit code says why
      const write = ([first, ...rest]: (string | Buffer)[]) => {
        if (first === undefined) return void child.stdin.end();
        child.stdin.write(first);
        setTimeout(() => write(rest), 200);
      };
      write(pieces);
    });
  const text = "Fellow citizens, “dear friends”,\nof the Senate";

  test.skipIf(LONG)(
    "comes through a pipe in pieces, cut within a character, and loses the line break that commands put at its end",
    async () => {
      const bytes = Buffer.from(`${text}\n`);
      const within = bytes.indexOf(Buffer.from("“")) + 1;
      const options = ["--max-tokens", "6", "--json"];
      const { code, stdout } = await piped(
        ["--prompt", "-", ...options],
        [bytes.subarray(0, within), bytes.subarray(within)],
      );
      const named = await draftplan(["generate", "embedded", "--prompt", text, ...options]);
      const ids = (of: string) => (JSON.parse(of) as { ids: number[] }).ids;
      expect(code).toBe(0);
      expect(ids(stdout)).toEqual(ids(named.stdout));
    },
  );

  test.runIf(LONG)("that is no text, or that the model has no chat template for, is refused", async () => {
    const [bad, none] = await Promise.all([
      piped(["--prompt", "-"], [Buffer.from([0x61, 0xff, 0x62])]),
      piped(["--chat", "-"], ["x"]),
    ]);
    expect(bad).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/TEXT_NOT_UTF8.*standard input/) });
    expect(none).toMatchObject({ code: 3, stdout: "", stderr: expect.stringMatching(/CHAT_TEMPLATE_MISSING/) });
  });
});

describe("nothing native is loaded", () => {
  /** shared libraries of the process after `code`, and packages required by it */
  const loadedBy = async (code: string): Promise<string[]> => {
    const probe = `
      import { createRequire } from "node:module";
      ${code}
      const { sharedObjects } = process.report.getReport();
      const required = Object.keys(createRequire(import.meta.url).cache);
      process.stdout.write("\\n@" + JSON.stringify([...sharedObjects, ...required].filter((name) => /koffi|onnxruntime/.test(name))));`;
    const { stdout } = await promisify(execFile)(process.execPath, ["--input-type=module", "-e", probe], {
      cwd: dirname(CLI),
    });
    return JSON.parse(stdout.slice(stdout.lastIndexOf("\n@") + 2)) as string[];
  };
  const index = JSON.stringify(join(dirname(CLI), "index.js"));

  test.skipIf(LONG)("by importing the library and solving with it", async () => {
    const groups = JSON.stringify([
      {
        id: "0.attn",
        choices: [
          { id: "target", costUs: 10, loss: 0 },
          { id: "skip", costUs: 0, loss: 1 },
        ],
      },
    ]);
    const code = `const { paretoFrontier, solveMultipleChoice } = await import(${index});
      const { chosen } = solveMultipleChoice(${groups}, 5);
      if (chosen[0] !== "skip" || paretoFrontier(${groups}).length !== 2) throw new Error(chosen);`;
    expect(await loadedBy(code)).toEqual([]);
  });

  test.runIf(LONG)("by --help", async () => {
    const main = JSON.stringify(join(dirname(CLI), "cli", "main.js"));
    expect(await loadedBy(`await (await import(${main})).main(["--help"]);`)).toEqual([]);
  });

  test.runIf(LONG)("and the probe sees it where it is loaded", async () => {
    const loaded = await loadedBy(
      `(await import(${JSON.stringify(join(dirname(CLI), "runtime", "ort-api.js"))})).loadOrt();`,
    );
    expect(loaded.some((name) => /onnxruntime/.test(name))).toBe(true);
  });
});
