/** Which sessions run on the pool's threads, and what happens where the environment has none. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { describe, expect, test } from "vitest";
import { DraftplanError } from "../../../src/core/errors.js";
import { passThreads } from "../../../src/runtime/heads/bound-graph.js";
import type { NativeArgument, OrtApi } from "../../../src/runtime/ort-api.js";
import { onThreads, openEnvironment, sharesThreads } from "../../../src/runtime/threads/pool.js";

let libraries = 0;

/** A library that writes down what it is asked. Without a pool it refuses sessions that ask for one, as ONNX Runtime does. */
function fakeLibrary({ foreignEnvironment = false } = {}) {
  const calls: [string, ...NativeArgument[]][] = [];
  const api = {
    libraryPath: `fake library ${libraries++}`,
    check: (name: string, ...args: NativeArgument[]) => void calls.push([name, ...args]),
    create: (name: string, ...args: NativeArgument[]) => {
      calls.push([name, ...args]);
      return { name };
    },
    release: (name: string) => void calls.push([name]),
  } as unknown as OrtApi;
  const own = <T>(_release: string, handle: T): T => handle;
  const session = (threads: number): string => {
    openEnvironment(api, own, threads);
    return onThreads(api, threads, (setThreads) => {
      const from = calls.length;
      setThreads({} as never);
      const set = calls.slice(from).map(([name]) => name);
      const shared = set.includes("DisablePerSessionThreads");
      if (shared && foreignEnvironment)
        throw failed("the env must be created with the CreateEnvWithGlobalThreadPools API.");
      return set.join();
    });
  };
  const named = (name: string) => calls.filter(([called]) => called === name);
  return { api, session, named };
}

const failed = (what: string) => new DraftplanError({ code: "RUNTIME_FAILED", at: "session", what, remedy: "none" });
const [SHARED, OWN] = ["DisablePerSessionThreads", "SetIntraOpNumThreads,SetInterOpNumThreads"];

describe("the pool of a process", () => {
  test("has the first session's threads, and sessions of as many run on it", () => {
    const { api, session, named } = fakeLibrary();
    expect(sharesThreads(api, 2)).toBe(false); // nothing is known yet
    expect([2, 2, 1, 3, 2].map(session)).toEqual([SHARED, SHARED, OWN, OWN, SHARED]);
    expect(named("SetGlobalIntraOpNumThreads").map(([, , threads]) => threads)).toEqual([2, 2, 2, 2, 2]);
    expect(named("SetIntraOpNumThreads").map(([, , threads]) => threads)).toEqual([1, 3]);
    expect([1, 2, 3].map((threads) => sharesThreads(api, threads))).toEqual([false, true, false]);
    expect(named("DisableTelemetryEvents")).toHaveLength(5);
    expect(named("ReleaseThreadingOptions")).toHaveLength(5);
  });

  test("is each library's own", () => {
    const [one, other] = [fakeLibrary(), fakeLibrary()];
    expect([one.session(2), other.session(4), one.session(4), other.session(4)]).toEqual([SHARED, SHARED, OWN, SHARED]);
  });

  test("is done without where the environment is somebody else's, from the first session on", () => {
    const { api, session, named } = fakeLibrary({ foreignEnvironment: true });
    expect([2, 2].map(session)).toEqual([OWN, OWN]);
    expect(named(SHARED)).toHaveLength(1); // it is not asked again
    expect(named("CreateEnv")).toHaveLength(1);
    expect(sharesThreads(api, 2)).toBe(false);
  });

  test("other failures of a session are the session's", () => {
    const { api, session } = fakeLibrary();
    session(2);
    let asked = 0;
    const make = () => {
      asked++;
      throw failed("the model is invalid");
    };
    expect(() => onThreads(api, 2, make)).toThrow("the model is invalid");
    expect(asked).toBe(1);
    expect(sharesThreads(api, 2)).toBe(true);
  });
});

test("a short pass beside the model's takes one thread where more would be of its own", () => {
  const [short, long] = [2 << 20, 9 << 20];
  expect([short, long].map((bytes) => passThreads(bytes, 4, true))).toEqual([4, 4]);
  expect([short, long].map((bytes) => passThreads(bytes, 4, false))).toEqual([1, 4]);
});

/** In a process of its own: who makes the environment there, and how many threads each session may have. */
const PROGRAM = `
const [dist, fixtures, environment, ...sessions] = process.argv.slice(1);
const library = (file) => import(dist + file);
const { loadOrt } = await library("runtime/ort-api.js");
const { loadModel } = await library("runtime/load.js");
const { openHeads } = await library("runtime/heads-engine.js");
const { sharesThreads } = await library("runtime/threads/pool.js");
const { targetChoices } = await library("schema/choice.js");
const api = loadOrt();
if (environment === "foreign") api.create("CreateEnv", 4, "somebody else");
const { check } = api;
let own = []; // threads of sessions that have their own
api.check = (name, ...args) => {
  if (name === "SetIntraOpNumThreads") own.push(args[1]);
  check(name, ...args);
};
const found = [];
const models = [];
for (const threads of sessions.map(Number)) {
  own = [];
  const model = await loadModel(fixtures + "model", { provider: "cpu", threads });
  const { engine, spec } = model;
  const heads = await openHeads(fixtures + "hydra", model, { provider: "cpu", threads });
  const pass = { position: 0, input: [3, 17, 5], choices: targetChoices(spec.layers), logitRows: 3 };
  const { logits, hidden } = engine.run(pass);
  const guesses = heads.guess(hidden.slice(-spec.hiddenSize), 0, [5]);
  found.push({ shared: sharesThreads(api, threads), own, logits: Array.from(logits), guesses: Array.from(guesses) });
  models.push({ close: () => (heads.close(), model.close()) });
  if (environment === "one after the other") models.pop().close();
}
for (const { close } of models) close();
console.log(JSON.stringify(found));
`;

test("ONNX Runtime runs sessions alike on the pool, beside it, behind one another, and in somebody else's environment", async () => {
  const [dist, fixtures] = ["../../../dist/", "../../fixtures/heads/"].map((path) => new URL(path, import.meta.url));
  const run = async (environment: string, ...threads: number[]) => {
    const program = ["--input-type=module", "--eval", PROGRAM, dist.href, fileURLToPath(fixtures), environment];
    const { stdout } = await promisify(execFile)(process.execPath, [...program, ...threads.map(String)]);
    return JSON.parse(stdout) as { shared: boolean; own: number[]; logits: number[]; guesses: number[] }[];
  };
  const [pooled, behind, foreign] = [
    await run("ours", 2, 2, 1),
    await run("one after the other", 2, 1, 2),
    await run("foreign", 2, 2),
  ];
  expect(pooled.map(({ shared }) => shared)).toEqual([true, true, false]);
  expect(behind.map(({ shared }) => shared)).toEqual([true, false, true]);
  expect(foreign.map(({ shared }) => shared)).toEqual([false, false]);
  // a model's threads and its heads': those of the pool, their own where it has none or another number
  expect(pooled.map(({ own }) => own)).toEqual([[], [], [1, 1]]);
  expect(foreign.map(({ own }) => own)).toEqual([
    [2, 1],
    [2, 1],
  ]);
  for (const { logits, guesses } of [...pooled, ...behind, ...foreign])
    expect({ logits, guesses }).toEqual({ logits: pooled[0].logits, guesses: pooled[0].guesses });
  expect(new Set(pooled[0].logits).size).toBeGreaterThan(1);
}, 120_000);
