// Does a straight line win? Passes by the graph with choices beside the same passes by programs, on the CPU. Run after
// `npm run build`, on a machine that does nothing else:
//   node bench/programs.mjs [MODEL] [--threads N] [--rounds 20] [--contexts 30,1000] [--kinds target,int8,mixed]
//     [--rows 1,4,8] [--forms packed-programs,programs] [--dist dist]
// Prints JSON. All that is compared runs in one process, interleaved: a round times each pass a few times and keeps the
// median; ratios are of passes of one round, with the 95 % bootstrap interval of their median over rounds.
//   choices          one graph with every kernel behind `If`s, the CPU's own; a second engine of it gives the noise
//                    that every ratio is read against (same_graph)
//   packed-programs  straight lines whose weights are constants: packed as the graph with choices packs them, and shared
//   programs         straight lines whose weights are inputs, a GPU's form: not packed on a CPU, so quantised kinds take long
//   round            of packed-programs: Engine.greedyRound of 4 drafts beside the same passes one by one
// `made` says what a program costs beside the first one: the time until its first pass is over, and the memory it takes.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { interleave as interleaveOf, ratio as ratioOf } from "./pass-times.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    rounds: { type: "string", default: "20" },
    contexts: { type: "string", default: "30,1000" },
    kinds: { type: "string", default: "target,int8,mixed" },
    rows: { type: "string", default: "1,4,8" },
    forms: { type: "string", default: "packed-programs,programs" },
    dist: { type: "string", default: "dist" },
  },
});
const model = positionals[0] ?? "embedded";
const [threads, rounds] = [Number(values.threads), Number(values.rounds)];
const numbers = (text) => text.split(",").map(Number);
const library = (path) => import(pathToFileURL(resolve(values.dist, path)).href);
const { loadModel } = await library("runtime/load.js");
const { uniformChoices } = await library("schema/choice.js");
const { describeDevice } = await library("runtime/device.js");

const CAPACITY = 4096;
const PIECE = 512;
const DRAFT_TOKENS = 4;

const us = (ms) => Math.round(1000 * ms);
const digits = (x) => Math.round(10000 * x) / 10000;
const ratio = (a, b) => Object.fromEntries(Object.entries(ratioOf(a, b)).map(([key, x]) => [key, digits(x)]));
const interleave = (subjects) => interleaveOf(subjects, { rounds, warmUp: 1, passes: 5 });
const medians = (times) => ({ median_us: us(median(times)), min_us: us(Math.min(...times)) });

/** What blocks do in passes of a kind. */
function choicesOf(kind, layers) {
  if (kind !== "mixed") return uniformChoices(layers, kind);
  const cycle = ["target", "int8", "skip", "int8"];
  return { blocks: Array.from({ length: 2 * layers }, (_, i) => cycle[i % cycle.length]), head: "int8" };
}

const kinds = values.kinds.split(",");
const opened = [];
const open = async (graph) => {
  const options = { provider: "cpu", threads, capacity: CAPACITY, kernels: ["target", "int8", "int4"], graph };
  const loaded = await loadModel(model, options);
  opened.push(loaded);
  return loaded.engine;
};

/** Of a kind's first pass: how long it takes until a program is there, and by how much the process has grown. */
function making(engine, choices) {
  const before = process.memoryUsage.rss();
  const start = performance.now();
  engine.run({ position: 0, input: [1], choices, logitRows: 1 });
  return {
    first_pass_ms: digits(performance.now() - start),
    grown_mb: digits((process.memoryUsage.rss() - before) / 1e6),
  };
}

try {
  const forms = values.forms.split(",");
  const engines = { choices: await open("choices"), again: await open("choices") };
  for (const form of forms) engines[form] = await open(form);
  const { spec } = engines.choices;
  const target = uniformChoices(spec.layers, "target");
  const result = { model: spec.name, device: describeDevice("cpu", threads), rounds, made: {}, passes: [], round: [] };
  for (const form of forms) {
    result.made[form] = {};
    for (const kind of kinds) result.made[form][kind] = making(engines[form], choicesOf(kind, spec.layers));
  }
  for (const context of numbers(values.contexts)) {
    const token = (i) => (i * 7 + 3) % spec.vocabSize;
    for (const engine of Object.values(engines)) {
      for (let from = 0; from < context; from += PIECE) {
        const input = Array.from({ length: Math.min(PIECE, context - from) }, (_, i) => token(from + i));
        engine.run({ position: from, input, choices: target, logitRows: 0 });
      }
    }
    for (const kind of kinds) {
      const choices = choicesOf(kind, spec.layers);
      for (const q of numbers(values.rows)) {
        const pass = { position: context, input: Array.from({ length: q }, (_, i) => token(i)), choices, logitRows: q };
        const times = interleave(
          Object.fromEntries(Object.entries(engines).map(([name, engine]) => [name, () => engine.run(pass)])),
        );
        const row = { context_tokens: context, kind, rows: q, choices: medians(times.choices) };
        for (const form of forms)
          row[form] = { ...medians(times[form]), over_choices: ratio(times[form], times.choices) };
        result.passes.push({ ...row, same_graph: ratio(times.again, times.choices) });
      }
    }
    if (!forms.includes("packed-programs")) continue;
    const engine = engines["packed-programs"];
    const draft = choicesOf("int8", spec.layers);
    const whole = () =>
      engine.greedyRound({ position: context, pending: 1, draft, draftTokens: DRAFT_TOKENS, verifier: target });
    const apart = (of) => () => {
      const input = Array.from({ length: DRAFT_TOKENS + 1 }, (_, i) => token(i));
      for (let i = 0; i < DRAFT_TOKENS; i += 1)
        of.run({ position: context + i, input: [input[i]], choices: draft, logitRows: 1 });
      of.run({ position: context, input, choices: target, logitRows: input.length });
    };
    const times = interleave({ whole, passes: apart(engine), choices: apart(engines.choices) });
    result.round.push({
      context_tokens: context,
      draft_tokens: DRAFT_TOKENS,
      whole: medians(times.whole),
      passes: medians(times.passes),
      choices: medians(times.choices),
      whole_over_passes: ratio(times.whole, times.passes),
      whole_over_choices: ratio(times.whole, times.choices),
    });
  }
  console.log(JSON.stringify(result, null, 2));
} finally {
  for (const loaded of opened) loaded.close();
}
