// What the in-place runtime promises, measured. Run after `npm run build`, on a machine that does nothing else:
//   node bench/fast-path.mjs [MODEL] [--threads N] [--rounds 30] [--dist dist]
// Prints JSON. Everything that is compared runs in one process, interleaved; figures are medians of milliseconds. Where
// two engines are compared, a second engine like the first is as well: what these two differ by is allowed, and `met`
// is null where the bootstrap intervals do not decide.
//   skip_step     a step with every block skipped costs at most 0.5 ms more than embedding and head alone
//   capacity      a step at one context costs the same however large the cache is
//   kernels       a target and an int8 step cost the same where int4 is loaded beside them
//   second_start  a converted model is loaded within 3 s (of SmolLM2-135M; any model is measured)
import { execFileSync } from "node:child_process";
import { closeSync, mkdtempSync, openSync, rmSync, writeFileSync, writeSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { interleave, ratio } from "./pass-times.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    rounds: { type: "string", default: "30" },
    dist: { type: "string", default: "dist" },
  },
});
const model = positionals[0] ?? "embedded";
const threads = Number(values.threads);
const rounds = Number(values.rounds);
const library = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { openCheckpoint } = await import(library("model/open.js"));
const { convertModel } = await import(library("model/convert.js"));
const { CPU_DIALECT } = await import(library("model/graph/dialect.js"));
const onnx = await import(library("model/graph/onnx.js"));
const { openOrtEngine } = await import(library("runtime/ort-engine.js"));
const { targetChoices, uniformChoices } = await import(library("schema/choice.js"));
const { describeDevice } = await import(library("runtime/device.js"));

const STEPS = 8;
const WARM_UP = 3;

const round = (ms) => Math.round(1000 * ms) / 1000;
const percentOf = (ratio) => Math.round(1000 * (ratio - 1)) / 10;

/** How much slower a is than b, as percent above 1. */
function slowdown(a, b) {
  const { ratio: middle, low, high } = ratio(a, b);
  return { percent: percentOf(middle), low: percentOf(low), high: percentOf(high) };
}

/**
 * A step may be so much slower, percent: 3, or what two engines of one file differ by where that is more. Beyond 10 the
 * machine is too restless for any verdict.
 */
const LIMIT_PERCENT = { least: 3, most: 10 };

/**
 * @param extra how much slower the engine in question is
 * @param same  how much slower another engine of the first kind is
 * @returns met: true where all of the interval is below the limit, false where all of it is above; else null, and more
 *   --rounds or a quieter machine would tell
 */
function judge(extra, same) {
  const limit = Math.max(LIMIT_PERCENT.least, same.high, -same.low);
  const met = limit > LIMIT_PERCENT.most ? null : extra.high <= limit ? true : extra.low > limit ? false : null;
  return { extra_percent: extra, same_engine_percent: same, limit_percent: limit, met };
}

/** @returns {name: {median_ms, min_ms}}, medians of paired differences in ms, and slowdowns */
function compare(subjects) {
  const times = interleave(subjects, { rounds, warmUp: WARM_UP, passes: STEPS });
  const figures = Object.fromEntries(
    Object.entries(times).map(([name, ms]) => [name, { median_ms: round(median(ms)), min_ms: round(Math.min(...ms)) }]),
  );
  const difference = (a, b) => round(median(times[a].map((ms, i) => ms - times[b][i])));
  return { figures, difference, slower: (a, b) => slowdown(times[a], times[b]) };
}

/** Embedding, norm and head as three plain nodes, with the inputs that the engine binds: no choice, no block. */
function embeddingAndHead(checkpoint, folder) {
  const { spec } = checkpoint;
  const shape = [spec.vocabSize, spec.hiddenSize];
  const table = checkpoint.tensor("model.embed_tokens.weight", shape);
  const norm = checkpoint.tensor("model.norm.weight", [spec.hiddenSize]);
  const head = spec.tiedEmbeddings ? undefined : checkpoint.tensor("lm_head.weight", shape);
  const file = openSync(join(folder, "weights.bin"), "w");
  let at = 0;
  const store = (name, data, dims) => {
    const place = { file: "weights.bin", offset: at, length: data.byteLength };
    for (let done = 0; done < data.byteLength; )
      done += writeSync(file, data, done, Math.min(data.byteLength - done, 1 << 30), at + done);
    at = Math.ceil((at + data.byteLength) / 4096) * 4096;
    return onnx.external(name, dims, onnx.FLOAT, place);
  };
  const initializer = [
    store("table", new Uint8Array(table.buffer), shape),
    store("norm", new Uint8Array(norm.buffer), [spec.hiddenSize]),
  ];
  if (head !== undefined) initializer.push(store("head", new Uint8Array(head.buffer), shape));
  closeSync(file);
  const node = (opType, input, output, attribute = [], domain = "") => ({
    opType,
    input,
    output: [output],
    name: output,
    attribute,
    domain,
  });
  const hidden = [1, "q", spec.hiddenSize];
  const graph = {
    name: "embedding and head",
    node: [
      node("Gather", ["table", "input_ids"], "hidden_out"),
      node("SimplifiedLayerNormalization", ["hidden_out", "norm"], "normed", [
        onnx.float("epsilon", spec.rmsEps),
        onnx.int("axis", -1),
      ]),
      node(
        "FusedMatMul",
        ["normed", head === undefined ? "table" : "head"],
        "logits",
        [onnx.int("transB", 1)],
        "com.microsoft",
      ),
    ],
    initializer,
    input: [
      onnx.value("use_hidden", onnx.BOOL, []),
      onnx.value("input_ids", onnx.INT64, [1, "q"]),
      onnx.value("hidden_in", onnx.FLOAT, hidden),
      onnx.value("logits_from", onnx.INT64, [1]),
      onnx.value("seqlens_k", onnx.INT32, [1]),
      onnx.value("total_sequence_length", onnx.INT32, [1]),
      onnx.value("head.target", onnx.BOOL, []),
    ],
    output: [onnx.value("logits", onnx.FLOAT, [1, "q", spec.vocabSize]), onnx.value("hidden_out", onnx.FLOAT, hidden)],
  };
  const path = join(folder, "model.onnx");
  writeFileSync(path, onnx.encodeModel(graph, "bench"));
  const dialect = { ...CPU_DIALECT, trees: false }; // it has no attention for a tree to change
  return openOrtEngine(path, { ...spec, layers: 0 }, { provider: "cpu", threads, capacity: 512, dialect });
}

function skipStep(checkpoint, modelPath) {
  const { spec } = checkpoint;
  const folder = mkdtempSync(join(tmpdir(), "draftplan-bench-"));
  try {
    const alone = embeddingAndHead(checkpoint, folder);
    const whole = openOrtEngine(modelPath, spec, {
      provider: "cpu",
      threads,
      capacity: Math.min(2048, spec.contextLimit),
    });
    const pass = (choices) => ({ position: 100, input: [7], choices, logitRows: 1 });
    const [none, skip] = [pass(targetChoices(0)), pass(uniformChoices(spec.layers, "skip"))];
    const a = alone.run(none).logits.slice();
    const b = whole.run(skip).logits;
    const logitsDiffer = a.reduce((most, x, i) => Math.max(most, Math.abs(x - b[i])), 0);
    const { figures, difference } = compare({
      embedding_and_head: () => alone.run(none),
      all_skipped: () => whole.run(skip),
    });
    alone.close();
    whole.close();
    const extra = difference("all_skipped", "embedding_and_head");
    // the minima are the cleaner comparison where other work takes the processor
    const extraOfMinima = round(figures.all_skipped.min_ms - figures.embedding_and_head.min_ms);
    return {
      ...figures,
      extra_ms: extra,
      extra_of_minima_ms: extraOfMinima,
      limit_ms: 0.5,
      met: extra <= 0.5,
      largest_logit_difference: logitsDiffer,
    };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

function capacity(spec, modelPath) {
  const context = 400;
  const prompt = Array.from({ length: context }, (_, i) => (i * 7) % spec.vocabSize);
  const cases = { target: targetChoices(spec.layers), int8: uniformChoices(spec.layers, "int8") };
  // the first twice: what two engines of the same capacity differ by, in this run, is no cost of capacity
  const capacities = { at_512: 512, at_512_again: 512, at_2048: 2048, at_8192: 8192 };
  const engines = Object.entries(capacities).map(([name, tokens]) => [
    name,
    openOrtEngine(modelPath, spec, { provider: "cpu", threads, capacity: tokens }),
  ]);
  for (const [, engine] of engines) engine.run({ position: 0, input: prompt, choices: cases.target, logitRows: 0 });
  const result = { context_tokens: context };
  for (const [name, choices] of Object.entries(cases)) {
    const pass = { position: context, input: [7], choices, logitRows: 1 };
    const { figures, difference, slower } = compare(
      Object.fromEntries(engines.map(([of, engine]) => [of, () => engine.run(pass)])),
    );
    result[name] = {
      ...figures,
      extra_8192_over_512_ms: difference("at_8192", "at_512"),
      extra_percent_of_minima: percentOf(figures.at_8192.min_ms / figures.at_512.min_ms),
      ...judge(slower("at_8192", "at_512"), slower("at_512_again", "at_512")),
    };
  }
  for (const [, engine] of engines) engine.close();
  return result;
}

/** Steps of an engine with the usual kernels, of another such, and of one with int4 besides, at one context. */
async function withInt4(checkpoint, modelPath) {
  const { spec } = checkpoint;
  const context = 256;
  const prompt = Array.from({ length: context }, (_, i) => (i * 7) % spec.vocabSize);
  const all = ["target", "int8", "int4"];
  const silent = { tick: async () => {}, warn: () => {} };
  const { modelPath: pathOfAll, weightBytes } = await convertModel(checkpoint, silent, all);
  const options = { provider: "cpu", threads, capacity: 512 };
  const usual = openOrtEngine(modelPath, spec, options);
  const again = openOrtEngine(modelPath, spec, options);
  const more = openOrtEngine(pathOfAll, spec, { ...options, kernels: all });
  for (const engine of [usual, again, more])
    engine.run({ position: 0, input: prompt, choices: targetChoices(spec.layers), logitRows: 0 });
  const step = (engine, choice) => () =>
    engine.run({ position: context, input: [7], choices: uniformChoices(spec.layers, choice), logitRows: 1 });
  const { figures, slower } = compare({
    target: step(usual, "target"),
    target_again: step(again, "target"),
    target_beside_int4: step(more, "target"),
    int8: step(usual, "int8"),
    int8_again: step(again, "int8"),
    int8_beside_int4: step(more, "int8"),
    int4: step(more, "int4"),
  });
  for (const engine of [usual, again, more]) engine.close();
  const judged = Object.fromEntries(
    ["target", "int8"].map((name) => [name, judge(slower(`${name}_beside_int4`, name), slower(`${name}_again`, name))]),
  );
  const verdicts = Object.values(judged).map(({ met }) => met);
  return {
    context_tokens: context,
    weight_bytes: weightBytes,
    ...figures,
    judged,
    met: verdicts.includes(false) ? false : verdicts.includes(null) ? null : true,
  };
}

/** Each in a process of its own, as a second start is. */
function secondStart() {
  const source = `
    const began = performance.now();
    const { loadModel } = await import(${JSON.stringify(library("runtime/load.js"))});
    const imported = performance.now();
    const { engine, close } = await loadModel(${JSON.stringify(model)}, { provider: "cpu", threads: ${threads} });
    const loaded = performance.now();
    engine.run({ position: 0, input: [1], choices: { blocks: new Array(2 * engine.spec.layers).fill("target"), head: "target" }, logitRows: 1 });
    console.log(JSON.stringify([imported - began, loaded - imported, performance.now() - loaded]));
    close();`;
  const runs = Array.from({ length: 5 }, () =>
    JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", source], { encoding: "utf8" })),
  );
  const [imports, load, first] = [0, 1, 2].map((i) => round(median(runs.map((run) => run[i]))));
  const slowest = round(Math.max(...runs.map((run) => run[1])));
  return {
    import_ms: imports,
    load_ms: load,
    slowest_load_ms: slowest,
    first_step_ms: first,
    limit_ms: 3000,
    met: load <= 3000,
  };
}

const checkpoint = await openCheckpoint(model);
const { modelPath, weightBytes } = await convertModel(checkpoint);
const result = {
  model: checkpoint.spec.name,
  device: { ...describeDevice("cpu", threads), cores: cpus().length, node: process.version },
  rounds,
  weight_bytes: weightBytes,
  skip_step: skipStep(checkpoint, modelPath),
  capacity: capacity(checkpoint.spec, modelPath),
  kernels: await withInt4(checkpoint, modelPath),
  second_start: secondStart(),
};
checkpoint.close();
console.log(JSON.stringify(result, null, 2));
