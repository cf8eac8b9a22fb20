/** ONNX Runtime reports home unless it is told not to: a device id, a store of events, a log file, uploads. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { CLI } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const INDEX = pathToFileURL(join(dirname(CLI), "index.js")).href;
const GENERATE = [CLI, "generate", "embedded", "--prompt", "Fellow", "--max-tokens", "3", "--threads", "1"];

/** A home and a folder for temporary files with nothing in them, and an environment that says nothing of telemetry. */
function emptyPlaces() {
  const folder = temporaryFolder();
  const [home, temporary] = ["home", "tmp"].map((name) => join(folder, name));
  for (const place of [home, temporary]) mkdirSync(place);
  const { ORT_DISABLE_TELEMETRY: _, XDG_CACHE_HOME: __, ...inherited } = process.env;
  const env = { ...inherited, HOME: home, USERPROFILE: home, TMPDIR: temporary, TEMP: temporary, TMP: temporary };
  const left = () => [home, temporary].flatMap((place) => readdirSync(place, { encoding: "utf8", recursive: true }));
  return { folder, env, left };
}

const library = (folder: string, body: string): string => {
  const file = join(folder, "program.mjs");
  writeFileSync(file, body);
  return file;
};

const DECODE = `
  const { decode, loadModel, systemClock } = await import(${JSON.stringify(INDEX)});
  const model = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 64 });
  await decode(model.engine, [1, 2, 3], { maxTokens: 2, endTokens: [], clock: systemClock, policy: null });
  model.close();`;

describe("nothing is left in the user's folders by", () => {
  test.each([
    ["the program", () => GENERATE],
    ["doctor's probes", () => [CLI, "doctor", "--json"]],
    ["the library", (folder: string) => [library(folder, DECODE)]],
    [
      "the library in a worker thread, whose process.env is a copy",
      (folder: string) => [
        library(
          folder,
          `import { Worker, isMainThread } from "node:worker_threads";
           if (isMainThread) new Worker(new URL(import.meta.url));
           else {${DECODE}}`,
        ),
      ],
    ],
  ])("%s", (_, command) => {
    const { folder, env, left } = emptyPlaces();
    execFileSync(process.execPath, command(folder), { env, stdio: "pipe" });
    expect(left()).toEqual([]);
  });
});

test("no socket is opened", ({ skip }) => {
  if (spawnSync("strace", ["-f", "true"]).status !== 0) skip("strace is missing, or may not trace");
  const { folder, env } = emptyPlaces();
  const log = join(folder, "calls");
  execFileSync("strace", ["-f", "-e", "trace=socket,connect", "-o", log, process.execPath, ...GENERATE], {
    env,
    stdio: "pipe",
  });
  expect(readFileSync(log, "utf8")).not.toMatch(/\b(socket|connect)\(/);
});
