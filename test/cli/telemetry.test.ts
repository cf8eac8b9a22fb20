/** ONNX Runtime reports home unless it is told not to: a device id, a store of events, a log file, uploads. */
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, test } from "vitest";
import { CLI } from "../support/cli.js";
import { LONG } from "../support/long.js";
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
  const program: [string, () => string[]] = ["the program", () => GENERATE];
  const probes: [string, () => string[]] = ["doctor's probes", () => [CLI, "doctor", "--json"]];
  test.each<[string, (folder: string) => string[]]>([
    ...(LONG ? [probes, program] : []),
    ["the library", (folder: string) => [library(folder, DECODE)]],
  ])("%s", (_, command) => expectNothingLeft(command));

  test.runIf(LONG)("the library in a worker thread, whose process.env is a copy", () =>
    expectNothingLeft((folder) => [
      library(
        folder,
        `import { Worker, isMainThread } from "node:worker_threads";
           if (isMainThread) new Worker(new URL(import.meta.url));
           else {${DECODE}}`,
      ),
    ]),
  );

  function expectNothingLeft(command: (folder: string) => string[]): void {
    const { folder, env, left } = emptyPlaces();
    execFileSync(process.execPath, command(folder), { env, stdio: "pipe" });
    expect(left()).toEqual([]);
  }
});

/** Counts calls of socket() and connect() of a whole process tree: by strace, else by a library loaded before all others. */
interface SocketCounter {
  /** @returns lines that name such a call */
  calls(command: readonly string[], env: NodeJS.ProcessEnv): string[];
}

function byStrace(folder: string): SocketCounter | null {
  if (spawnSync("strace", ["-f", "true"]).status !== 0) return null; // missing, or it may not trace
  const log = join(folder, "calls");
  return {
    calls(command, env) {
      execFileSync("strace", ["-f", "-e", "trace=socket,connect", "-o", log, ...command], { env, stdio: "pipe" });
      return readFileSync(log, "utf8").match(/\b(socket|connect)\(.*/g) ?? [];
    },
  };
}

function byPreload(folder: string): SocketCounter | null {
  const [source, object, log] = ["count.c", "count.so", "calls"].map((name) => join(folder, name));
  writeFileSync(
    source,
    `#define _GNU_SOURCE
     #include <dlfcn.h>
     #include <stdio.h>
     #include <stdlib.h>
     #include <sys/socket.h>
     static void told(const char *name) {
       FILE *log = fopen(getenv("SOCKETS_LOG"), "a");
       if (log) { fprintf(log, "%s\\n", name); fclose(log); }
     }
     int socket(int domain, int type, int protocol) {
       told("socket");
       return ((int (*)(int, int, int))dlsym(RTLD_NEXT, "socket"))(domain, type, protocol);
     }
     int connect(int fd, const struct sockaddr *to, socklen_t size) {
       told("connect");
       return ((int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "connect"))(fd, to, size);
     }`,
  );
  if (spawnSync("cc", ["-shared", "-fPIC", "-o", object, source, "-ldl"]).status !== 0) return null;
  return {
    calls([program, ...args], env) {
      writeFileSync(log, "");
      execFileSync(program, args, { env: { ...env, LD_PRELOAD: object, SOCKETS_LOG: log }, stdio: "pipe" });
      return readFileSync(log, "utf8").split("\n").filter(Boolean);
    },
  };
}

describe.runIf(LONG && process.platform === "linux")("no socket is opened", () => {
  const { folder, env } = emptyPlaces();
  // not looked for in vain: what is skipped is read, too
  const [traced, preloaded] = LONG ? [byStrace(folder), byPreload(folder)] : [null, null];
  const counters: [string, SocketCounter | null][] = [
    ["strace", traced],
    ["a preloaded library", preloaded],
  ];
  const opens = library(folder, `import net from "node:net"; net.connect(9, "127.0.0.1").on("error", () => {});`);
  test.each(counters)("as %s sees it, which sees one that is opened", (name, counter) => {
    if (counter === null)
      return expect(
        counters.some(([, other]) => other !== null),
        `${name} is missing`,
      ).toBe(true);
    expect(counter.calls([process.execPath, opens], env).join()).toMatch(/socket.*connect/s);
    expect(counter.calls([process.execPath, ...GENERATE], env)).toEqual([]);
  });

  test("by doctor, whose probes load every provider there is", ({ skip }) => {
    const counter = counters.find(([, one]) => one !== null)?.[1];
    if (counter === undefined || counter === null) return skip("neither strace nor a C compiler is here");
    expect(counter.calls([process.execPath, CLI, "doctor", "--json"], env)).toEqual([]);
  });
});
