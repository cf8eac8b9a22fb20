/**
 * draftplan's decoder beside other engines' on the same model, prompts, tokens and threads, by turns. README.md says how
 * what is measured is measured, and how to run it:
 *
 *     node bench/peers/peers.mjs MODEL [--python FILE] [--context 30,1000,4000] [--prompts 2,1,1] [--tokens 48]
 *         [--sweeps 2] [--minutes 11] [--threads N] [--peers LIST] [--plan FILE] [--int8-plan FILE] [--json FILE]
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, loadavg } from "node:os";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { peersOf } from "./peer-list.mjs";
import { median, rowsOf, tableOf } from "./results.mjs";
import { Worker } from "./worker.mjs";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const library = (path) => import(pathToFileURL(join(ROOT, "dist", path)).href);

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "30,1000,4000" },
    prompts: { type: "string", default: "2,1,1" },
    tokens: { type: "string", default: "48" },
    sweeps: { type: "string", default: "2" },
    minutes: { type: "string", default: "11" },
    threads: { type: "string", default: String(availableParallelism()) },
    peers: { type: "string", default: "draftplan,node-llama-cpp,onnxruntime-genai,transformers" },
    python: { type: "string", default: process.env.DRAFTPLAN_PYTHON ?? "python3" },
    plan: { type: "string" },
    "int8-plan": { type: "string" },
    budget: { type: "string", default: "90" },
    "early-exit": { type: "string", default: "20" },
    folder: { type: "string", default: join(ROOT, "out/peers") },
    json: { type: "string" },
  },
});
/** @throws for anything that is no list of whole numbers from 1 */
function numbers(name, count) {
  const list = values[name].split(",").map(Number);
  const whole = list.every((x) => Number.isInteger(x) && x >= 1);
  if (!whole || (count !== undefined && list.length !== count))
    throw new Error(`--${name} ${values[name]}: give ${count ?? "some"} whole numbers from 1, with commas between`);
  return list;
}
const contexts = numbers("context");
const perSweep = numbers("prompts", contexts.length);
const [[tokens], [sweeps], [minutes], [threads], [budget], [earlyExit]] = [
  ...["tokens", "sweeps", "minutes", "threads", "budget", "early-exit"].map((name) => numbers(name, 1)),
];
if (positionals.length !== 1) throw new Error("give one model: a GGUF file, since node-llama-cpp takes no other");
// a word, such as embedded, or a path, which peers may not take from a folder of their own
const model = existsSync(positionals[0]) ? resolve(positionals[0]) : positionals[0];
const settings = { model, threads, contexts, tokens, budget, earlyExit };
/** the peer that judges where two outputs in fp32 part, and shows how fast the machine is */
const REFERENCE = "draftplan fp32";
const say = (text) => console.error(text);

/** Windows of text that no plan was chosen on, every second one as a chat: [context][prompt] ids. */
async function readPrompts() {
  const { makePrompts } = await library("calibrate/windows.js");
  const { textCodec } = await library("pipeline/text/calibration-text.js");
  const { openTokenizer } = await library("tokenizer/open.js");
  const folder = join(ROOT, "bench/held-back");
  const files = readdirSync(folder).filter((name) => name.endsWith(".txt"));
  // prose first: at long contexts no other text is long enough
  const texts = files.sort((a, b) => (b === "prose.txt") - (a === "prose.txt") || (a < b ? -1 : 1));
  const codec = textCodec(await openTokenizer(model));
  return contexts.map((n, i) => {
    const read = texts.map((name) => readFileSync(join(folder, name), "utf8"));
    const prompts = makePrompts(read, codec, n, perSweep[i] * sweeps);
    if (prompts.length === 0) throw new Error(`no text of bench/held-back has ${n} tokens`);
    return prompts;
  });
}

/** Peers that are there, with their ways of decoding; why others are not. */
async function openAll() {
  const workers = [];
  const absent = [];
  const options = { plan: values.plan, int8Plan: values["int8-plan"], python: values.python, folder: values.folder };
  for (const { name, open } of peersOf({ ...settings, ...options }, values.peers.split(","))) {
    let why;
    try {
      const { command, options: given } = open();
      say(`loading ${name}`);
      const worker = new Worker(name, command, given);
      const ready = await worker.ready();
      if (ready.absent === undefined) workers.push({ name, worker, ...ready });
      else why = ready.absent;
    } catch (error) {
      why = error.message;
    }
    if (why === undefined) continue;
    say(`${name} is left out: ${why}`);
    absent.push({ peer: name, why });
  }
  return { workers, absent };
}

/** What the machine does: its load, and plain decoding of a short prompt now. */
async function lookAtMachine(workers, prompt) {
  const load = loadavg().map((x) => Number(x.toFixed(2)));
  const own = workers.find(({ name }) => name === REFERENCE) ?? workers[0];
  const times = [];
  for (let i = 0; i < 4; i++) {
    const { decodeMs, timedTokens } = await own.worker.ask({ what: "decode", way: "plain", prompt, tokens });
    if (i > 0) times.push(decodeMs / timedTokens); // the first warms up
  }
  return { load_average: load, plain_of: own.name, plain_ms_per_token: Number(median(times).toPrecision(4)) };
}

/** One decoding; a way that fails is left out from then on. */
async function decodeOnce(way, { n, number, prompt }) {
  await sleep(200); // threads of the one before that still wait for work by turning
  try {
    const answer = await way.worker.ask({ what: "decode", way: way.way, prompt, tokens });
    if (answer.ids.length !== tokens) throw new Error(`it gave ${answer.ids.length} tokens`);
    way.runs.push({ n, number, ...answer });
  } catch (error) {
    way.failed = error.message;
    say(`${way.name}, ${way.way}: ${error.message}`);
  }
}

/**
 * Sweeps over all contexts: each prompt is decoded in every way, in one order and in the next sweep, with other prompts, in
 * the reverse. No sweep begins that would not end in time, as long as the slowest before it took.
 */
async function takeTurns(ways, prompts) {
  const start = performance.now();
  let [done, longest] = [0, 0];
  while (done < sweeps) {
    const from = performance.now();
    if (done > 0 && from - start + longest > 60_000 * minutes) {
      say(`${done} of ${sweeps} sweeps: another would end behind --minutes ${minutes}`);
      break;
    }
    for (const [i, n] of contexts.entries())
      for (let k = 0; k < perSweep[i]; k++) {
        const number = (done * perSweep[i] + k) % prompts[i].length;
        const turn = (done + k) % 2 === 0 ? ways : ways.toReversed();
        say(`sweep ${done + 1} of ${sweeps}, context ${n}, prompt ${number + 1}`);
        for (const way of turn)
          if (way.failed === undefined) await decodeOnce(way, { n, number, prompt: prompts[i][number] });
      }
    longest = Math.max(longest, performance.now() - from);
    done++;
  }
  return done;
}

const prompts = await readPrompts();
const { workers, absent } = await openAll();
try {
  if (workers.length === 0) throw new Error("none of the peers is there");
  const ways = workers.flatMap(({ ways: of, ...peer }) => of.map((way) => ({ ...peer, ...way, runs: [] })));
  // everybody once, so that nothing is compiled, read or allocated for the first time in what is timed
  for (const way of ways) await decodeOnce(way, { n: contexts[0], number: 0, prompt: prompts[0][0] });
  for (const way of ways) way.runs.length = 0;
  const before = await lookAtMachine(workers, prompts[0][0]);
  const started = performance.now();
  const done = await takeTurns(ways, prompts);
  const seconds = Math.round((performance.now() - started) / 1000);
  const after = await lookAtMachine(workers, prompts[0][0]);
  const gapOf = async (text, pair) => {
    const judge = workers.find(({ name }) => name === REFERENCE);
    return judge === undefined ? null : (await judge.worker.ask({ what: "gap", text, pair })).gap;
  };
  const rows = await rowsOf(ways, contexts, prompts, gapOf);
  const result = {
    device: { cpu: cpus()[0]?.model ?? null, cores: availableParallelism(), node: process.version },
    ...{ model: positionals[0], threads, tokens, sweeps: done, seconds, before, after, rows, absent },
  };
  const text = `${JSON.stringify(result, null, 1)}\n`;
  if (values.json === undefined) process.stdout.write(text);
  else {
    writeFileSync(values.json, text);
    console.log(tableOf(result));
  }
  if (values.json === undefined) say(tableOf(result));
} finally {
  for (const { worker } of workers) await worker.close();
}
