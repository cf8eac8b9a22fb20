// What passes take in one build of draftplan and in another, each in a process of its own, by turns: made for one pool of
// threads for all sessions (src/runtime/threads/pool.ts) against the build before it, where each session had its own.
// Run after `npm run build`, on a machine that does nothing else:
//   node bench/shared-threads.mjs --before OTHER/dist [MODEL=embedded] [--turns 250] [--rounds 2] [--threads 2] [--context 100]
// A round is a verification of five tokens and a chain of the heads that lie beside the model, and each turn ends with as many
// plain steps. Short turns: what slows the machine for a while then slows both. Medians and fastest over all turns, in µs, and the ratio of medians and of fastest, as JSON.
import { fork } from "node:child_process";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    before: { type: "string" },
    build: { type: "string" }, // of a child
    turns: { type: "string", default: "250" },
    rounds: { type: "string", default: "2" },
    context: { type: "string", default: "100" },
    threads: { type: "string", default: String(availableParallelism()) },
  },
});
const [turns, rounds, n, threads] = ["turns", "rounds", "context", "threads"].map((name) => Number(values[name]));
const model = positionals[0] ?? "embedded";
const HERE = fileURLToPath(import.meta.url);
if (values.build === undefined) await compare();
else await serve(values.build);

async function compare() {
  if (values.before === undefined) throw new Error("name the other build: --before OTHER/dist");
  const builds = { before: resolve(values.before), after: join(HERE, "..", "..", "dist") };
  const children = Object.entries(builds).map(([name, build]) => {
    const child = fork(HERE, [model, "--build", build, ...process.argv.slice(2).filter((arg) => arg !== model)]);
    const answer = () => new Promise((done) => child.once("message", done));
    child.once("exit", (code) => code && process.exit(code));
    return { name, child, answer, times: {} };
  });
  for (const { answer } of children) await answer(); // loaded
  for (let turn = 0; turn <= turns; turn++)
    for (const { child, answer, times } of turn % 2 === 0 ? children : children.toReversed()) {
      child.send("turn");
      for (const [what, us] of Object.entries(await answer())) {
        times[what] ??= [];
        if (turn > 0) times[what].push(...us); // the first turn warms up
      }
    }
  for (const { child } of children) child.disconnect();
  const [before, after] = children.map(({ times }) => times);
  const fastest = (us) => us.reduce((least, one) => Math.min(least, one), Number.POSITIVE_INFINITY);
  const rows = Object.keys(before).map((what) => {
    const [median_us, fastest_us] = [median, fastest].map((of) => [of(before[what]), of(after[what])].map(Math.round));
    const ratio = ([a, b]) => Number((b / a).toFixed(3));
    return [what, { median_us, ratio: ratio(median_us), fastest_us, fastest_ratio: ratio(fastest_us) }];
  });
  console.log(JSON.stringify({ model, context: n, threads, turns, rounds, ...Object.fromEntries(rows) }, null, 1));
}

async function serve(build) {
  const library = (path) => import(pathToFileURL(join(build, path)).href);
  const { prefill } = await library("decode/loop.js");
  const { headsBeside } = await library("model/heads/open.js");
  const { systemClock } = await library("runtime/device.js");
  const { openHeads } = await library("runtime/heads-engine.js");
  const { loadModel } = await library("runtime/load.js");
  const { targetChoices } = await library("schema/choice.js");
  const loaded = await loadModel(model, { provider: "cpu", threads, capacity: n + 64 });
  const heads = await openHeads(headsBeside(model), loaded, { provider: "cpu", threads });
  const { engine, spec } = loaded;
  const choices = targetChoices(spec.layers);
  const prompt = Array.from({ length: n }, (_, i) => (37 * i + 11) % Math.min(4000, spec.vocabSize));
  await prefill(engine, prompt, choices);
  const timed = (us, work) => {
    const from = systemClock.nowUs();
    const result = work();
    us.push(systemClock.nowUs() - from);
    return result;
  };
  const draft = (state) => {
    if (heads.guessAll) return heads.guessAll(state);
    const path = [7];
    for (let depth = 0; depth < heads.heads; depth++) path.push(heads.guess(state, depth, path)[0]);
    return path;
  };
  process.on("message", () => {
    const times = { verification: [], heads: [], plain_step: [] };
    const run = (count) => engine.run({ position: n, input: new Array(count).fill(7), choices, logitRows: count });
    for (let round = 0; round < rounds; round++) {
      const { hidden } = timed(times.verification, () => run(5));
      const state = hidden.slice(0, spec.hiddenSize);
      timed(times.heads, () => draft(state));
    }
    for (let step = 0; step < rounds; step++) timed(times.plain_step, () => run(1));
    process.send(times);
  });
  process.on("disconnect", () => {
    heads.close();
    loaded.close();
  });
  process.send("loaded");
}
