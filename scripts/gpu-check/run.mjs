/**
 * What draftplan does on this machine's GPU: one line of JSON for each result, the most important first, in at most 8
 * minutes and without a network. Every section is a process of its own with a limit of its own, so that one that fails,
 * hangs or crashes takes no other with it. In an archive (build.mjs) `./gpu-check` calls this; in a checkout:
 *
 *     node scripts/gpu-check/run.mjs [--provider cuda] [--ort-library PATH] [--seconds 480] [--sections a,b] [--model PATH]
 *                                    [--shapes 1b,8b] [--sweep-seconds 25] [--tokens 500]
 *                                    [--python python3] [--out DIR]
 *
 * `--model`: a checkpoint more to `run` (SmolLM2, say). `--shapes tiny` and `--provider cpu` try this program where there
 * is no GPU. Lines: {section, ok, …}; times are medians in ms. The exit code is 0 where every section was ok, else 1.
 */
import { spawn, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { configOf, contextsOf, floorGbPerSecond } from "./shapes.mjs";
import { twoSweeps } from "./two-sweeps.mjs";

const HERE = dirname(fileURLToPath(import.meta.url));
const ROOT = join(HERE, "..", "..");
const { values: options } = parseArgs({
  options: {
    provider: { type: "string", default: "cuda" },
    "ort-library": { type: "string" },
    seconds: { type: "string", default: "480" },
    sections: { type: "string" },
    shapes: { type: "string", default: "1b,8b" },
    model: { type: "string" },
    python: { type: "string", default: "python3" },
    out: { type: "string", default: "gpu-check-out" },
    tokens: { type: "string", default: "500" },
    "sweep-seconds": { type: "string", default: "25" },
    section: { type: "string" },
    deadline: { type: "string" },
  },
});
const { provider } = options;
const ortLibrary = options["ort-library"] ?? process.env.DRAFTPLAN_ORT_LIBRARY;
const threads = Math.min(16, availableParallelism());
const dist = (path) => import(new URL(`../../dist/${path}`, import.meta.url));
const emit = (result) => console.log(JSON.stringify(result));
const round = (value) => Number(value.toPrecision(4));
const median = (list) => [...list].sort((a, b) => a - b)[Math.floor(list.length / 2)];
const shapes = options.shapes.split(",");

/** Most important first: what is still to come when time is up is left out, and said to be. */
const SECTIONS = [
  { name: "library", limit: 30, work: library },
  { name: "tokens", limit: 60, work: tokens },
  { name: "torch-tokens", limit: 45, work: torchTokens },
  ...shapes.map((shape, i) => ({ name: `speed-${shape}`, limit: i === 0 ? 120 : 170, work: () => speed(shape) })),
  ...shapes.map((shape) => ({ name: `torch-${shape}`, limit: 45, work: () => torchSpeed(shape) })),
  { name: "run-embedded", limit: 90, work: () => runModel("embedded") },
  ...(options.model === undefined ? [] : [{ name: "run-model", limit: 200, work: () => runModel(options.model) }]),
];

async function runAll() {
  const began = performance.now();
  const left = () => Number(options.seconds) - (performance.now() - began) / 1000;
  const wanted = options.sections?.split(",") ?? SECTIONS.map(({ name }) => name);
  mkdirSync(options.out, { recursive: true });
  for (const { name, limit } of SECTIONS.filter((one) => wanted.includes(one.name))) {
    const seconds = Math.min(limit, left() - 2);
    if (seconds < 5) {
      emit({ section: name, ok: false, what: "left out: time is up" });
      process.exitCode = 1;
      continue;
    }
    if (!(await runSection(name, seconds))) process.exitCode = 1;
  }
}

/** @returns whether it ended well within its time */
function runSection(name, seconds) {
  const args = [...process.argv.slice(1), "--section", name, "--deadline", String(Date.now() + 1000 * seconds)];
  return new Promise((resolve) => {
    const from = performance.now();
    // a group of its own: what it started goes with it
    const child = spawn(process.execPath, args, { stdio: ["ignore", "inherit", "pipe"], detached: true });
    let last = "";
    child.stderr.on("data", (chunk) => {
      last = (last + chunk).slice(-2000);
    });
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      try {
        process.kill(-child.pid, "SIGKILL");
      } catch {
        // it ended in this moment
      }
    }, 1000 * seconds);
    child.on("close", (code, signal) => {
      clearTimeout(timer);
      const took = round((performance.now() - from) / 1000);
      if (late) emit({ section: name, ok: false, seconds: took, what: `not done within ${round(seconds)} s` });
      else if (code !== 0 && code !== 3)
        emit({ section: name, ok: false, seconds: took, what: `ended with ${signal ?? code}`, stderr: last });
      resolve(!late && code === 0);
    });
  });
}

/** A section's own process: 0 done, 3 it said itself what failed. */
async function runOne() {
  const { name, work } = SECTIONS.find((one) => one.name === options.section);
  const from = performance.now();
  try {
    const found = await work();
    emit({ section: name, ok: true, ...found, seconds: round((performance.now() - from) / 1000) });
    process.exit(0);
  } catch (error) {
    const { code, at, what, remedy, message, stack } = error;
    const where =
      code === undefined
        ? stack
            ?.split("\n")
            .slice(1, 4)
            .map((line) => line.trim())
        : undefined;
    emit({
      section: name,
      ok: false,
      code,
      at,
      what: what ?? message,
      remedy,
      where,
      seconds: round((performance.now() - from) / 1000),
    });
    process.exit(3);
  }
}

async function library() {
  const { loadOrt } = await dist("runtime/ort-api.js");
  const { libraryFacts } = await dist("runtime/providers.js");
  const { localProbes } = await dist("runtime/probe.js");
  const { readGpu } = await dist("runtime/gpu/nvidia-smi.js");
  const { describeDevice } = await dist("runtime/device.js");
  const { howToGet } = await dist("runtime/gpu/cuda-libraries.js");
  const cuda = await localProbes(ortLibrary).cuda();
  emit({
    section: "library",
    ok: true,
    ...libraryFacts(loadOrt(ortLibrary)),
    device: describeDevice(provider, threads, ortLibrary),
    gpu: readGpu(),
    libraries: cuda.ok ? cuda.value.map(({ name, found, path }) => ({ name, found, path })) : cuda.what,
    missing: cuda.ok
      ? cuda.value.filter(({ found }) => !found).map(({ name }) => `${name}: ${howToGet(name, 13)}`)
      : [],
  });
  // a session of draftplan's own graph, every operator where it belongs, logits as the CPU's
  const answer = await localProbes(ortLibrary).provider(provider);
  if (!answer.ok) throw Object.assign(new Error(answer.what), answer);
  return {
    placement: "nothing of the graph on the CPU but what docs/devices.md names",
    greatest_logit_difference: round(answer.value),
  };
}

/** Of a capture that is refused, or what else an engine says of itself: a line each. */
const warn = (code, what) => emit({ section: options.section, ok: false, code, what });

const PROMPT = [0, 2819, 506, 268];

/** Greedy tokens, a pass each, and by how much each was ahead of the next. */
async function greedy(engine, count) {
  const { argmax } = await dist("runtime/engine.js");
  const { targetChoices } = await dist("schema/choice.js");
  const { layers, vocabSize } = engine.spec;
  const choices = targetChoices(layers);
  const [ids, rows] = [[], []];
  let { logits } = engine.run({ position: 0, input: PROMPT, choices, logitRows: 1 });
  for (;;) {
    const token = argmax(logits, 0, vocabSize);
    if (!Number.isFinite(logits[token])) throw new Error(`logits after ${ids.length} tokens are no finite numbers`);
    ids.push(token);
    rows.push(logits.slice());
    if (ids.length === count) return { ids, rows };
    ({ logits } = engine.run({ position: PROMPT.length + ids.length - 1, input: [token], choices, logitRows: 1 }));
  }
}

/** Emits where two outputs part, and whether that is a tie by the second one's logits. @returns whether they may part so */
function compare(what, ids, reference, margin) {
  const first = ids.findIndex((id, i) => id !== reference.ids[i]);
  if (first < 0) {
    emit({ section: "tokens", ok: true, ...what, tokens: ids.length, equal: true });
    return true;
  }
  const row = reference.rows[first];
  const behind = row[reference.ids[first]] - row[ids[first]];
  const tie = behind <= margin;
  const parts = { tokens: ids.length, equal: false, parts_at: first, behind_by: round(behind), tie };
  emit({ section: "tokens", ok: tie, ...what, ...parts });
  return tie;
}

async function tokens() {
  const { loadModel } = await dist("runtime/load.js");
  const { targetChoices } = await dist("schema/choice.js");
  const { TIE_MARGINS } = await dist("schema/verification.js");
  const count = Number(options.tokens);
  const load = (name, extra = {}) =>
    loadModel("embedded", { provider: name, threads, ortLibrary, kernels: ["target"], capacity: 2048, warn, ...extra });
  const onCpu = await load("cpu");
  const reference = await greedy(onCpu.engine, count);
  onCpu.close();
  const results = {};
  for (const graph of ["choices", "programs"]) {
    try {
      const model = await load(provider, { graph });
      const { engine } = model;
      const margin = TIE_MARGINS[engine.numerics.targetPrecision] ?? 0.0625;
      const found = await greedy(engine, count);
      let same = compare({ against: "the CPU", graph }, found.ids, reference, margin);
      if (engine.greedyRound !== undefined) {
        // the same tokens by rounds that stay on the device: captured passes, replayed
        const target = targetChoices(engine.spec.layers);
        engine.run({ position: 0, input: PROMPT, choices: target, logitRows: 1 });
        const ids = [found.ids[0]];
        while (ids.length < count) {
          const position = PROMPT.length + ids.length - 1;
          const draftTokens = Math.min(8, count - ids.length);
          const { drafted } = engine.greedyRound({
            position,
            pending: ids[ids.length - 1],
            draft: target,
            draftTokens,
            verifier: target,
          });
          ids.push(...drafted.slice(0, draftTokens));
        }
        const rounds = { against: "the same passes one by one", graph: `${graph}, rounds on the device` };
        same = compare(rounds, ids.slice(0, count), found, margin) && same;
      }
      results[graph] = same ? "the tokens" : "other tokens";
      model.close();
    } catch (error) {
      results[graph] = error.what ?? error.message;
      emit({ section: "tokens", ok: false, graph, code: error.code, what: results[graph] });
    }
  }
  writeFileSync(join(options.out, "tokens.json"), JSON.stringify({ prompt: PROMPT, ids: reference.ids }));
  const kinds = Object.values(results);
  if (!kinds.includes("the tokens") || kinds.includes("other tokens"))
    throw new Error(`not the CPU's tokens: ${JSON.stringify(results)}`);
  return { graphs: results };
}

/** A pass's bytes: weights and cache, read once. */
const passBytes = (needs, kernel, n) => needs.weightBytes[kernel] + n * needs.cacheBytesPerToken;

async function speed(shape) {
  const { openOrtEngine } = await dist("runtime/ort-engine.js");
  const { dialectFor } = await dist("runtime/providers.js");
  const { openConfigOnly } = await dist("model/open.js");
  const { withWeightFiles } = await dist("model/synthetic/files.js");
  const { syntheticWeights } = await dist("model/synthetic/weights.js");
  const { modelNeeds } = await dist("model/needs.js");
  const { silentProgress } = await dist("core/progress.js");
  const { readGpu } = await dist("runtime/gpu/nvidia-smi.js");
  const { requireMemory } = await dist("runtime/gpu/fits.js");
  const section = `speed-${shape}`;
  const config = join(options.out, `${shape}.json`);
  writeFileSync(config, JSON.stringify(configOf(shape)));
  const spec = openConfigOnly(config);
  const contexts = contextsOf(shape);
  const capacity = contexts[contexts.length - 1] + 64;
  const kernels = ["target", "int4"];
  const dialect = dialectFor(provider);
  const needs = modelNeeds(spec, kernels, dialect);
  requireMemory(config, { spec, kernels, numerics: dialect, capacity }, provider);
  const gbPerSecond = floorGbPerSecond(readGpu()?.name ?? "");
  const floorMs = (kernel, n) => (gbPerSecond === null ? null : round(passBytes(needs, kernel, n) / gbPerSecond / 1e6));
  const from = performance.now();
  return withWeightFiles(
    syntheticWeights(spec),
    needs.diskBytes,
    { progress: silentProgress, kernels, dialect },
    async (file) => {
      emit({
        section,
        ok: true,
        weights_made_and_written_seconds: round((performance.now() - from) / 1000),
        written_gb: round(needs.diskBytes / 1e9),
      });
      const engine = openEngine(openOrtEngine, file, spec, { capacity, kernels });
      emit({ section, ok: true, graph: engine.graph, loaded_after_seconds: round((performance.now() - from) / 1000) });
      for (const n of contexts)
        emit({ section, ok: true, context_tokens: n, ...speedAt(engine.engine, n, floorMs("target", n)) });
      const profiled = await profileHere(engine.engine, spec, contexts, config);
      engine.engine.close();
      return { ...profiled, gpu: readGpu()?.reading ?? null };
    },
  );
}

/** The provider's own kind of graph, else the other one. */
function openEngine(open, file, spec, { capacity, kernels }) {
  const kinds = process.env.DRAFTPLAN_GRAPH ? [process.env.DRAFTPLAN_GRAPH] : ["programs", "choices"];
  let failure;
  for (const graph of kinds) {
    try {
      return { graph, engine: open(file, spec, { provider, threads, ortLibrary, capacity, kernels, graph, warn }) };
    } catch (error) {
      failure = error;
      emit({ section: options.section, ok: false, graph, code: error.code, what: error.what ?? error.message });
    }
  }
  throw failure;
}

const RUNS = 30;
const WARM_UP = 4;
const ids = (engine, q) => Array.from({ length: q }, (_, i) => (7 + 13 * i) % engine.spec.vocabSize);
const uniform = (engine, kernel) => ({ blocks: new Array(2 * engine.spec.layers).fill(kernel), head: kernel });

/** Median of passes with their logits brought to the host. */
function time(engine, kernel, n, q) {
  const choices = uniform(engine, kernel);
  const times = [];
  for (let i = 0; i < RUNS + WARM_UP; i++) {
    const from = performance.now();
    engine.run({ position: n, input: ids(engine, q), choices, logitRows: q });
    if (i >= WARM_UP) times.push(performance.now() - from);
  }
  return round(median(times));
}

/** Steps, verifications and a round of 8 drafts at one context: queued, their tokens chosen on the device, where that can be. */
function speedAt(engine, n, floor_ms) {
  const fetched = { ar_ms: time(engine, "target", n, 1), int4_step_ms: time(engine, "int4", n, 1) };
  const verifyFetched = Object.fromEntries([4, 8, 16].map((q) => [q, time(engine, "target", n, q)]));
  if (engine.runQueued === undefined)
    return {
      floor_ms,
      ...fetched,
      verify_ms: verifyFetched,
      verify16_over_ar: round(verifyFetched[16] / fetched.ar_ms),
    };
  const [ar, int4] = ["target", "int4"].map((kernel) => timeQueued(engine, uniform(engine, kernel), n, 1));
  const verify = Object.fromEntries([4, 8, 9, 16].map((q) => [q, timeQueued(engine, uniform(engine, "target"), n, q)]));
  const whole = roundOf8(engine, n);
  const sum = 8 * int4 + verify[9];
  return {
    ...{ ar_ms: ar, floor_ms, times_floor: floor_ms === null ? null : round(ar / floor_ms), int4_step_ms: int4 },
    ...{ verify_ms: verify, verify16_over_ar: round(verify[16] / ar), ...spanStep(engine, n) },
    round_of_8: { ms: whole, sum_of_passes_ms: round(sum), over_sum_percent: round(100 * (whole / sum - 1)) },
    logits_fetched: { ...fetched, verify_ms: verifyFetched },
  };
}

/** An int4 step that reads the last 512 tokens of a long context; what a refusal says, where it is one. */
function spanStep(engine, n) {
  if (n < 8192) return {};
  const { blocks, head } = uniform(engine, "int4");
  const choices = { blocks: blocks.map((kernel, i) => (i % 2 === 0 ? `${kernel}@512` : kernel)), head };
  try {
    return { int4_span_512_step_ms: timeQueued(engine, choices, n, 1) };
  } catch (error) {
    return { int4_span_512: error.what ?? error.message };
  }
}

const QUEUED = 10;

/** Median of passes queued back to back, one wait after ten. */
function timeQueued(engine, choices, n, q) {
  const pass = { position: n, input: ids(engine, q), choices, head: true };
  engine.runQueued(pass, WARM_UP);
  const times = [];
  for (let i = 0; i < RUNS / QUEUED + 2; i++) {
    const from = performance.now();
    engine.runQueued(pass, QUEUED);
    times.push((performance.now() - from) / QUEUED);
  }
  return round(median(times));
}

/** Median ms of a round without the host: eight int4 drafts and their verification. */
function roundOf8(engine, n) {
  const [verifier, draft] = ["target", "int4"].map((kernel) => uniform(engine, kernel));
  const times = [];
  for (let i = 0; i < RUNS + WARM_UP; i++) {
    const from = performance.now();
    engine.greedyRound({ position: n, pending: 7, draft, draftTokens: 8, verifier });
    if (i >= WARM_UP) times.push(performance.now() - from);
  }
  return round(median(times));
}

/** Two profiles of the engine that is open, one after the other: how far held-out programs are off, and the two apart. */
async function profileHere(engine, spec, contexts, config) {
  const { makeProfile, profileGrid } = await dist("pipeline/profile/make.js");
  const { silentProgress } = await dist("core/progress.js");
  const { stringifyDocument } = await dist("schema/document.js");
  const { openLatency } = await dist("solve/latency.js");
  const { programDeck } = await dist("profile/sweep/programs.js");
  const { uniformChoices } = await dist("schema/choice.js");
  const left = () => (Number(options.deadline) - Date.now()) / 1000;
  const grid = profileGrid({ context: contexts.join(","), query: "1,4,8" }, spec.contextLimit);
  const ref = { name: spec.name, layers: spec.layers, architecture_sha256: "0".repeat(64), weights_sha256: null };
  const profiles = [];
  for (const seed of [1, 2]) {
    // what is left is for the sweeps that are still to come; a round that is begun is ended
    const share = (left() - 10) / (3 - seed);
    const budgetSeconds = Math.min(Number(options["sweep-seconds"]), share);
    if (share < 5) return { profile: `${profiles.length} of 2 sweeps: time is up` };
    const context = { provider, threads, ortLibrary, progress: silentProgress };
    const profile = await makeProfile(engine, ref, grid, context, { seed, budgetSeconds, minRounds: 2, draws: 0 });
    writeFileSync(config.replace(/\.json$/, `.profile-${seed}.yaml`), stringifyDocument(profile));
    profiles.push(profile);
    const { errors, sampling, gpu = null } = profile;
    emit({ section: options.section, ok: true, sweep: seed, held_out: errors?.held_out ?? null, sampling, gpu });
  }
  return { sweeps_apart: twoSweeps(profiles, { openLatency, programDeck, uniformChoices }, engine) };
}

async function runModel(model) {
  const args = [
    join(ROOT, "dist", "cli.js"),
    "run",
    model,
    "--provider",
    provider,
    "--out",
    join(options.out, model === "embedded" ? "embedded" : "model"),
    "--fresh", // what an earlier check was stopped in is no part of this one
    "--json",
  ];
  const more = ortLibrary === undefined ? [] : ["--ort-library", ortLibrary];
  const { status, stdout, stderr } = spawnSync(process.execPath, [...args, ...more], {
    encoding: "utf8",
    maxBuffer: 64 << 20,
  });
  if (status !== 0) throw new Error(`draftplan run ended with ${status}: ${stderr.trim().slice(-800)}`);
  // warnings of what is slower than it could be, captures that were refused among them
  const warned = stderr.split("\n").filter((line) => /^warning\b/i.test(line.trim()));
  return { run: JSON.parse(stdout), warned };
}

/** PyTorch's results, a line each; where there is no PyTorch with a GPU it says so, and that is no failure. */
function torch(...args) {
  const { status, stdout, stderr, error } = spawnSync(options.python, [join(HERE, "torch_check.py"), ...args], {
    encoding: "utf8",
  });
  if (error !== undefined) return { torch: `${options.python} cannot be started (${error.message})` };
  if (status !== 0) throw new Error(`PyTorch's comparison ended with ${status}: ${stderr.trim().slice(-800)}`);
  const results = stdout
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
  const isOk = ({ equal = true, tie = false }) => equal || tie;
  for (const result of results) emit({ section: options.section, ok: isOk(result), ...result });
  if (!results.every(isOk)) throw new Error("PyTorch gives other tokens");
  return {};
}

const torchDevice = () => (provider === "cpu" ? "cpu" : "cuda");

function torchTokens() {
  const file = join(options.out, "tokens.json");
  if (!existsSync(file)) throw new Error("there are no tokens to compare with: the section tokens did not run");
  return torch("--device", torchDevice(), "--tokens", file, "--model", join(ROOT, "models", "union-10m"));
}

function torchSpeed(shape) {
  const folder = mkdtempSync(join(tmpdir(), "gpu-check-"));
  try {
    const config = join(folder, `${shape}.json`);
    writeFileSync(config, JSON.stringify(configOf(shape)));
    return torch("--device", torchDevice(), "--shape", config, "--contexts", contextsOf(shape).join(","));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

if (options.section === undefined) await runAll();
else await runOne();
