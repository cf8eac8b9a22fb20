// What a pass over a tree costs beside a chain's of as many rows, and what trees in the graph cost plain passes. Run after
// `npm run build`, on a machine that does nothing else:
//   node bench/tree-passes.mjs [MODEL] [--threads N] [--rounds 30] [--contexts 30,1000,4000] [--rows 1,2,4,8,16,32,64]
//     [--part plain|tree] [--before DIST] [--dist dist]
// Prints JSON. All that is compared runs in one process, interleaved: a round times each pass a few times and keeps the
// median; ratios are of passes of one round, with the 95 % bootstrap interval of their median over rounds.
//   plain  passes of q rows through a graph that runs trees, one that does not, and a second engine of the latter:
//          what two engines of one graph differ by is the noise that the first ratio is read against
//          --before DIST: the graph as another build writes it (of any commit without trees), run by this build's engine,
//          in place of the graph without them
//   tree   a tree of q rows (each follows row (i - 1) / 2) beside a chain of q, and keepRows of its longest path
import { mkdtempSync, rmSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { interleave as interleaveOf, ratio as ratioOf } from "./pass-times.mjs";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    rounds: { type: "string", default: "30" },
    contexts: { type: "string", default: "30,1000,4000" },
    rows: { type: "string", default: "1,2,4,8,16,32,64" },
    part: { type: "string" },
    before: { type: "string" },
    dist: { type: "string", default: "dist" },
  },
});
const model = positionals[0] ?? "embedded";
const list = (text) => text.split(",").map(Number);
const [threads, rounds, allRows] = [Number(values.threads), Number(values.rounds), list(values.rows)];
const library = (path, dist = values.dist) => import(pathToFileURL(resolve(dist, path)).href);
const { openCheckpoint } = await library("model/open.js");
const { convertInto } = await library("model/convert.js");
const { convertInto: convertBefore } = await library("model/convert.js", values.before);
const { CPU_DIALECT } = await library("model/graph/dialect.js");
const { openOrtEngine } = await library("runtime/ort-engine.js");
const { targetChoices } = await library("schema/choice.js");
const { describeDevice } = await library("runtime/device.js");

const CAPACITY = 8192;
const PIECE = 512;
const WARM_UP = 1;
const PASSES = 5;

const us = (ms) => Math.round(1000 * ms);
const digits = (x) => Math.round(10000 * x) / 10000;
const ratio = (a, b) => Object.fromEntries(Object.entries(ratioOf(a, b)).map(([key, x]) => [key, digits(x)]));
const interleave = (subjects) => interleaveOf(subjects, { rounds, warmUp: WARM_UP, passes: PASSES });

const medians = (times) => ({ median_us: us(median(times)), min_us: us(Math.min(...times)) });
const token = (i, spec) => (i * 7 + 3) % spec.vocabSize;
const parentsOf = (q) => Array.from({ length: q }, (_, row) => Math.floor((row - 1) / 2));

/** Rows 0, 1, 3, 7, …: each follows the one before it. */
function longestPath(q) {
  const path = [];
  for (let row = 0; row < q; row = 2 * row + 1) path.push(row);
  return path;
}

function fill(engine, target, context) {
  for (let from = 0; from < context; from += PIECE) {
    const input = Array.from({ length: Math.min(PIECE, context - from) }, (_, i) => token(from + i, engine.spec));
    engine.run({ position: from, input, choices: target, logitRows: 0 });
  }
}

const checkpoint = await openCheckpoint(model);
const { spec } = checkpoint;
const target = targetChoices(spec.layers);
const capacity = Math.min(CAPACITY, spec.contextLimit);
const contexts = list(values.contexts).filter((context) => context + Math.max(...allRows) < capacity);
const folder = mkdtempSync(join(tmpdir(), "draftplan-bench-"));
const opened = [];
async function open(trees) {
  const dialect = { ...CPU_DIALECT, trees };
  const convert = trees ? convertInto : convertBefore;
  const { modelPath } = await convert(join(folder, String(trees)), checkpoint, undefined, undefined, dialect);
  return () => {
    const engine = openOrtEngine(modelPath, spec, { provider: "cpu", threads, capacity, dialect });
    opened.push(engine);
    return engine;
  };
}
const result = { model: spec.name, device: describeDevice("cpu", threads), rounds, plain: [], tree: [] };
try {
  const withTrees = (await open(true))();
  const pass = (engine, context, q, parents) => {
    const input = Array.from({ length: q }, (_, i) => token(i, spec));
    const request = { position: context, input, parents, choices: target, logitRows: q };
    return () => engine.run(request);
  };
  if (values.part !== "tree") {
    const openWithout = await open(false);
    const engines = { with_trees: withTrees, without: openWithout(), without_again: openWithout() };
    for (const context of contexts) {
      for (const engine of Object.values(engines)) fill(engine, target, context);
      for (const q of allRows) {
        const times = interleave(
          Object.fromEntries(Object.entries(engines).map(([name, engine]) => [name, pass(engine, context, q)])),
        );
        result.plain.push({
          context_tokens: context,
          rows: q,
          with_trees: medians(times.with_trees),
          without: medians(times.without),
          with_over_without: ratio(times.with_trees, times.without),
          same_graph: ratio(times.without_again, times.without),
        });
      }
    }
  }
  if (values.part !== "plain") {
    for (const context of contexts) {
      fill(withTrees, target, context);
      for (const q of allRows) {
        const times = interleave({
          chain: pass(withTrees, context, q),
          tree: pass(withTrees, context, q, parentsOf(q)),
          keep: () => withTrees.keepRows(context, longestPath(q)),
        });
        result.tree.push({
          context_tokens: context,
          rows: q,
          chain: medians(times.chain),
          tree: medians(times.tree),
          tree_over_chain: ratio(times.tree, times.chain),
          keep_rows: { rows: longestPath(q).length, ...medians(times.keep) },
        });
      }
    }
  }
} finally {
  for (const engine of opened) engine.close();
  checkpoint.close();
  rmSync(folder, { recursive: true, force: true });
}
console.log(JSON.stringify(result, null, 2));
