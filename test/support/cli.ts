/**
 * Runs the built command line as a user does. `npm test` builds it first.
 *
 * A process takes some 0.5 s to start and to load its modules, and hundreds of tests run a command line. So by itself
 * `draftplan` calls the build's `main` in the test's own process, as `dist/cli.js` does; a process of its own is started
 * where the test is about processes (`process: true`), changes the environment, or looks at the running child.
 */
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { constants } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";

export const CLI = process.env.DRAFTPLAN_CLI ?? fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
if (!existsSync(CLI)) throw new Error(`${CLI} is missing; run: npm run build`);
/** Another build, such as an installed package, is run as it is. */
const ALWAYS_PROCESS = process.env.DRAFTPLAN_CLI !== undefined;

export interface Finished {
  code: number | null;
  signal: NodeJS.Signals | null;
  stdout: string;
  stderr: string;
}

interface RunOptions {
  cwd?: string;
  /** implies a process of its own, but for variables that are looked up each time */
  env?: Record<string, string>;
  /** called with the running process; implies one */
  during?: (child: ChildProcess) => void;
  process?: boolean;
}

/**
 * Calls back once a child has loaded ONNX Runtime and had half a second more: by then it listens for signals, and a model
 * is loaded or runs. Where the system does not say what is loaded, after four seconds.
 */
export function whenModelRuns({ pid }: ChildProcess, then: () => void): void {
  const maps = `/proc/${pid}/maps`;
  if (!existsSync(maps)) {
    setTimeout(then, 4000);
    return;
  }
  const timer = setInterval(() => {
    const alive = existsSync(maps);
    if (alive && !readFileSync(maps, "utf8").includes("onnxruntime")) return;
    clearInterval(timer);
    if (alive) setTimeout(then, 500);
  }, 20);
}

/** Variables that a command line looks up anew: set for as long as it runs. */
const LOOKED_UP = new Set([
  ...["DRAFTPLAN_CACHE_DIR", "HF_HUB_CACHE", "HF_HUB_OFFLINE", "HF_ENDPOINT"],
  ...["GITHUB_STEP_SUMMARY", "GITHUB_OUTPUT", "GITHUB_WORKSPACE"],
]);

/** Two test files run at a time: one thread each, where no committed document says otherwise. */
const ON_ONE_THREAD = ["generate", "evaluate", "calibrate"];

export function draftplan(given: readonly string[], options: RunOptions = {}): Promise<Finished> {
  const { env, during } = options;
  const threads = ON_ONE_THREAD.includes(given[0]) && !given.some((each) => each.startsWith("--threads"));
  // behind the verb: what comes last may be a flag that lacks its value
  const args = threads ? [given[0], "--threads", "1", ...given.slice(1)] : given;
  const isFixed = Object.keys(env ?? {}).some((name) => !LOOKED_UP.has(name));
  return ALWAYS_PROCESS || options.process || isFixed || during !== undefined
    ? inProcessOfItsOwn(args, options)
    : here(args, options.cwd, env);
}

function inProcessOfItsOwn(args: readonly string[], options: RunOptions): Promise<Finished> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [CLI, ...args], {
      stdio: ["ignore", "pipe", "pipe"],
      cwd: options.cwd,
      env: { ...process.env, ...options.env },
    });
    const out: Buffer[] = [];
    const err: Buffer[] = [];
    child.stdout.on("data", (chunk: Buffer) => out.push(chunk));
    child.stderr.on("data", (chunk: Buffer) => err.push(chunk));
    child.on("error", reject);
    child.on("close", (ended, signal) => {
      // as a shell reports it: in the middle of a native call nobody but the system answers a signal
      const code = signal === null ? ended : 128 + constants.signals[signal];
      resolve({ code, signal, stdout: Buffer.concat(out).toString(), stderr: Buffer.concat(err).toString() });
    });
    options.during?.(child);
  });
}

/** Folder and streams belong to the whole process, so command lines take turns. */
let turn: Promise<unknown> = Promise.resolve();

function here(args: readonly string[], cwd = process.cwd(), env: Record<string, string> = {}): Promise<Finished> {
  const run = turn.then(async () => {
    const { main } = (await import(/* @vite-ignore */ pathToFileURL(join(dirname(CLI), "cli/main.js")).href)) as {
      main(argv: readonly string[]): Promise<number>;
    };
    const before = process.cwd();
    const variables = Object.keys(env).map((name) => [name, process.env[name]] as const);
    const streams = [capture(process.stdout), capture(process.stderr)];
    process.chdir(cwd);
    Object.assign(process.env, env);
    try {
      const code = await main(args);
      const [stdout, stderr] = streams.map(({ text }) => text());
      return { code, signal: null, stdout, stderr };
    } finally {
      process.chdir(before);
      for (const [name, value] of variables) {
        if (value === undefined) delete process.env[name];
        else process.env[name] = value;
      }
      for (const stream of streams) stream.restore();
    }
  });
  turn = run.catch(() => {});
  return run;
}

function capture(stream: NodeJS.WriteStream) {
  const { write } = stream;
  const listeners = stream.listeners("error");
  const chunks: Buffer[] = [];
  stream.write = ((chunk: string | Uint8Array, ...rest: unknown[]) => {
    chunks.push(Buffer.from(chunk));
    const done = rest.find((each) => typeof each === "function");
    if (done !== undefined) process.nextTick(done as () => void);
    return true;
  }) as typeof write;
  return {
    text: () => Buffer.concat(chunks).toString(),
    restore() {
      stream.write = write;
      // a process has one command line, so `main` leaves its listeners
      for (const each of stream.listeners("error"))
        if (!listeners.includes(each)) stream.removeListener("error", each as () => void);
    },
  };
}
