// Whether what a profile says of the parts of a pass is what ONNX Runtime's own profiler says. Run after `npm run build`:
//   node bench/node-timings.mjs [MODEL] [--contexts 64,512,1024] [--q 1,4] [--budget 60] [--threads N] [--dist dist]
// Prints JSON. While draftplan's own sweep runs, a second engine that records every node decodes in between, at the same
// contexts and query lengths and in the same order (a short round that is not counted, a burst, a verification), with the
// whole target, all int8, nothing, and random masks. An event is described before its end is taken, which is in the node's time:
// that floor is taken off, as nodes that do nothing show it (Identity), with what every further tensor adds (Mul against
// QuickGelu). docs/measurements.md says what came out.

import { availableParallelism, tmpdir } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    contexts: { type: "string", default: "64,512,1024" },
    q: { type: "string", default: "1,4" },
    budget: { type: "string", default: "60" },
    threads: { type: "string", default: String(availableParallelism()) },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { loadModel } = await import(library("runtime/load.js"));
const { argmax } = await import(library("runtime/engine.js"));
const { systemClock, describeDevice } = await import(library("runtime/device.js"));
const { profileModel } = await import(library("profile/profile.js"));
const { fillCache } = await import(library("profile/sweep/before.js"));
const { draftPass } = await import(library("profile/sweep/design.js"));
const { seededRandom } = await import(library("stats/random.js"));
const { resolveGrid, parseAxis } = await import(library("profile/grid.js"));
const { targetChoices, uniformChoices } = await import(library("schema/choice.js"));

const BURST = 8; // as the sweep has it
const MAX_EVENTS = 900_000; // a trace ends at a million
const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
const mean = (numbers) => sum(numbers) / numbers.length;
const median = (numbers) => {
  const sorted = numbers.toSorted((a, b) => a - b);
  return (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;
};
/** Of whole µs rounded down, as if each lay anywhere within its µs. */
function medianOfWhole(numbers) {
  const at = median(numbers.map(Math.floor)) | 0;
  const below = numbers.filter((x) => x < at).length;
  return at + (numbers.length / 2 - below) / numbers.filter((x) => x === at).length;
}
const digits = (x, places = 1) => (x === null ? null : Math.round(10 ** places * x) / 10 ** places);

const threads = Number(values.threads);
const path = positionals[0] ?? "embedded";
const plain = await loadModel(path, { provider: "cpu", threads });
const recorded = await loadModel(path, { provider: "cpu", threads, nodeTimings: { folder: tmpdir() } });
const { spec } = plain;
const grid = resolveGrid(parseAxis("--contexts", values.contexts), parseAxis("--q", values.q), plain.engine.capacity);
const random = seededRandom(4711);
const ids = Array.from({ length: 64 }, () => random.index(spec.vocabSize));
const target = targetChoices(spec.layers);

/** What each recorded pass was for, in order; null: not counted. */
const labels = [];
let label = null;
const recorder = Object.create(recorded.engine, {
  run: {
    value: (pass) => {
      labels.push(label);
      return recorded.engine.run(pass);
    },
  },
});
await fillCache(recorder, grid.contexts.at(-1) + grid.queries.at(-1), ids);

const wholes = []; // {mask, n, q, burst, engine, us}
const argmaxTimes = [];
let bursts = 0;
/** A burst of one mask and a verification, after a short round that is not counted. */
function decode(engine, isRecorded, mask, choices, n, q, hasHead = true) {
  const pass = (of, tokens, counted) => {
    label = counted ? { mask: tokens > 1 ? "target" : mask, n, q: tokens, burst: bursts } : null;
    const rows = hasHead || tokens > 1 ? tokens : 0;
    const from = systemClock.nowUs();
    const { logits } = engine.run({ position: n, input: ids.slice(0, tokens), choices: of, logitRows: rows });
    const chosenFrom = systemClock.nowUs();
    for (let row = 0; row < rows; row += 1) argmax(logits, row, spec.vocabSize);
    if (counted && rows > 0) argmaxTimes.push((systemClock.nowUs() - chosenFrom) / rows);
    if (counted) wholes.push({ ...label, isRecorded, us: systemClock.nowUs() - from });
  };
  pass(choices, 1, false);
  pass(target, q, false);
  for (let step = 0; step < BURST; step += 1) pass(choices, 1, true);
  if (q > 1) pass(target, q, true);
  bursts += 1;
}

const eventsPerPass = 21 * spec.layers + 12; // as blocks of a quantised kernel have them; skipped ones have fewer
let places = [];
let ticks = 0;
/** One place at a time: all kinds of masks, each on both engines by turns. */
function visit() {
  if (places.length === 0)
    places = random.shuffle(
      grid.contexts.flatMap((n) =>
        grid.queries.filter((q) => q > 1 || grid.queries.length === 1).map((q) => ({ n, q })),
      ),
    );
  const { n, q } = places.pop();
  const masks = [
    ["target", target],
    ["int8", uniformChoices(spec.layers, "int8")],
    ["skip", uniformChoices(spec.layers, "skip")],
    ["random", draftPass(random, spec.layers, plain.engine.kernels).choices],
  ];
  for (const [name, choices] of random.shuffle(masks)) {
    const both = [
      () => decode(recorder, true, name, choices, n, q),
      () => decode(plain.engine, false, name, choices, n, q),
    ];
    if (name === "int8") both.push(() => decode(plain.engine, false, "int8 without head", choices, n, q, false));
    for (const run of random.shuffle(both)) run();
  }
}

// Every sixth time only: a burst of the sweep that comes after a visit finds other caches than its round before left it.
const measured = await profileModel({
  engine: plain.engine,
  clock: systemClock,
  ...grid,
  budgetSeconds: Number(values.budget),
  maxRounds: 1000,
  progress: {
    warn: (code, message) => console.error(`${code}: ${message}`),
    async tick(update) {
      if (update?.stage !== "profile" || ticks++ % 6 !== 5) return;
      if ((labels.length + 50) * eventsPerPass < MAX_EVENTS) visit();
    },
  },
});
const passes = recorder.endNodeTimings();
const argmaxUs = median(argmaxTimes);
plain.close();
recorded.close();

const counted = passes.map((pass, i) => ({ ...pass, ...labels[i] })).filter(({ mask }) => mask !== undefined);

/** What an event takes that describes nothing but itself, by what nodes show that have next to nothing to do. */
function eventFloor() {
  const of = (operator) =>
    counted
      .filter(({ q }) => q === 1)
      .flatMap(({ parts }) =>
        [...parts.values()].flatMap(({ nodes }) => nodes.filter((node) => node.operator === operator)),
      );
  const us = (operator) => medianOfWhole(of(operator).map((node) => node.us));
  const tensorUs = Math.max(0, us("Mul") - us("QuickGelu"));
  return {
    nodeUs: us("Identity"),
    tensorUs,
    smallestUs: Object.fromEntries(["Identity", "QuickGelu", "Mul", "Add"].map((o) => [o, digits(us(o))])),
  };
}
const floor = eventFloor();
const trueUs = (nodes) => sum(nodes.map(({ us, tensors }) => us + 0.5 - floor.nodeUs - floor.tensorUs * (tensors - 2)));
const rawUs = (nodes) => sum(nodes.map(({ us }) => us));

/** A burst as the sweep counts it: the first step as it was, the others by their median; plain decoding has no first. */
function burstMean(mask, steps) {
  if (steps.length === 1) return steps[0];
  const following = median(steps.slice(1));
  return mask === "target" ? following : (steps[0] + (steps.length - 1) * following) / steps.length;
}

/** The median over bursts of what `read` makes of their passes. */
function overBursts(from, mask, n, q, read) {
  const groups = new Map();
  for (const pass of from) {
    if (pass.mask !== mask || pass.n !== n || pass.q !== q) continue;
    groups.set(pass.burst, [...(groups.get(pass.burst) ?? []), read(pass)]);
  }
  return groups.size === 0 ? null : median([...groups.values()].map((steps) => burstMean(mask, steps)));
}

const layers = Array.from({ length: spec.layers }, (_, layer) => layer);
const blocksOf = { attn: layers.map((l) => `${l}.attn`), mlp: layers.map((l) => `${l}.mlp`) };
const rows = [];
const heads = [];
for (const { context_tokens: n, query_tokens: q, ...point } of measured.points) {
  for (const kernel of q === 1 ? ["target", "int8"] : ["target"]) {
    for (const kind of ["attn", "mlp"]) {
      const perBlock = (read) =>
        overBursts(counted, kernel, n, q, ({ parts }) => mean(blocksOf[kind].map((b) => read(parts.get(b)))));
      const nodesUs = perBlock(({ nodes }) => trueUs(nodes));
      const masksUs = mean(point[`${kind}_us`][kernel]);
      rows.push({
        ...{ kind, kernel, n, q, masks_us: digits(masksUs), nodes_us: digits(nodesUs) },
        nodes_as_recorded_us: digits(perBlock(({ nodes }) => rawUs(nodes))),
        if_as_recorded_us: digits(perBlock(({ nodes, wholeUs }) => wholeUs - rawUs(nodes))),
        masks_over_nodes: digits(masksUs / nodesUs, 3),
        difference_us: digits(masksUs - nodesUs),
      });
    }
    const nodesUs = overBursts(counted, kernel, n, q, ({ parts }) => trueUs(parts.get("head").nodes));
    const masksUs = point.head_us[kernel];
    heads.push({
      kernel,
      n,
      q,
      masks_us: digits(masksUs),
      nodes_us: digits(nodesUs),
      with_argmax_us: digits(nodesUs + q * argmaxUs),
      masks_over_nodes_and_argmax: digits(masksUs / (nodesUs + q * argmaxUs), 3),
    });
  }
}

/** Random masks: each kernel of each kind, over the blocks that had it. */
const mixed = measured.points
  .filter(({ query_tokens: q }) => q === 1)
  .flatMap(({ context_tokens: n, ...point }) =>
    ["target", "int8"].flatMap((kernel) =>
      ["attn", "mlp"].map((kind) => {
        const costs = counted
          .filter((pass) => pass.mask === "random" && pass.n === n)
          .flatMap(({ parts }) =>
            blocksOf[kind]
              .map((b) => parts.get(b))
              .filter(({ choice }) => choice === kernel)
              .map(({ nodes }) => trueUs(nodes)),
          );
        return {
          kind,
          kernel,
          n,
          blocks: costs.length,
          nodes_us: digits(median(costs)),
          masks_over_nodes: digits(mean(point[`${kind}_us`][kernel]) / median(costs), 3),
        };
      }),
    ),
  );

function correlation(xs, ys) {
  const [mx, my] = [mean(xs), mean(ys)];
  const [sxx, syy] = [sum(xs.map((x) => (x - mx) ** 2)), sum(ys.map((y) => (y - my) ** 2))];
  return sxx < 1e-9 || syy < 1e-9 ? null : sum(xs.map((x, i) => (x - mx) * (ys[i] - my))) / Math.sqrt(sxx * syy);
}
/** Layers against layers at q = 1, each the mean over contexts; null where the sweep found no layer unlike the others. */
const perLayer = ["attn", "mlp"].flatMap((kind) =>
  ["target", "int8"].map((kernel) => {
    const at = measured.points.filter(({ query_tokens: q }) => q === 1);
    const byMasks = layers.map((l) => mean(at.map((point) => point[`${kind}_us`][kernel][l])));
    const byNodes = layers.map((l) =>
      mean(
        at.map((p) =>
          overBursts(counted, kernel, p.context_tokens, 1, ({ parts }) => trueUs(parts.get(blocksOf[kind][l]).nodes)),
        ),
      ),
    );
    const spread = (us) => digits((100 * (Math.max(...us) - Math.min(...us))) / mean(us));
    return {
      kind,
      kernel,
      correlation: digits(correlation(byMasks, byNodes), 2),
      masks_range_percent: spread(byMasks),
      nodes_range_percent: spread(byNodes),
    };
  }),
);

const wholePasses = measured.points.flatMap(({ context_tokens: n, query_tokens: q, fixed_us }) =>
  (q === 1 ? ["target", "int8", "skip"] : ["target"]).map((mask) => {
    const us = (isRecorded) =>
      overBursts(
        wholes.filter((w) => w.isRecorded === isRecorded),
        mask,
        n,
        q,
        (w) => w.us,
      );
    const all = ({ parts, others }) => [...[...parts.values()].flatMap(({ nodes }) => nodes), ...others];
    const nodesUs = overBursts(counted, mask, n, q, (pass) => trueUs(all(pass)));
    const plainUs = us(false);
    return {
      ...{ mask, n, q, plain_us: digits(plainUs), recorded_us: digits(us(true)), nodes_us: digits(nodesUs) },
      nodes_over_plain: digits(nodesUs / plainUs, 3),
      head_nodes_us: digits(overBursts(counted, mask, n, q, ({ parts }) => trueUs(parts.get("head").nodes))),
      // what is no node's: If, executor, the call, the choice of a token
      rest_us: digits(plainUs - nodesUs),
      fixed_by_masks_us: digits(fixed_us),
    };
  }),
);

/** What a quantised step takes less without logits, choice of the token included: the head as whole passes show it. */
const headByPasses = grid.contexts.map((n) => {
  const us = (mask) =>
    overBursts(
      wholes.filter((w) => !w.isRecorded),
      mask,
      n,
      1,
      (w) => w.us,
    );
  return { n, int8_us: digits(us("int8") - us("int8 without head")) };
});

const ratios = (of) => ({
  median: digits(median(of), 3),
  least: Math.min(...of),
  most: Math.max(...of),
  cells: of.length,
});
const byKind = Object.fromEntries(
  ["attn", "mlp"].flatMap((kind) =>
    ["target", "int8"].map((kernel) => {
      const of = rows.filter((row) => row.kind === kind && row.kernel === kernel);
      return [
        `${kind} ${kernel}`,
        {
          ...ratios(of.map((row) => row.masks_over_nodes)),
          difference_us: digits(median(of.map((row) => row.difference_us))),
        },
      ];
    }),
  ),
);
console.log(
  JSON.stringify(
    {
      model: spec.name,
      device: describeDevice("cpu", threads),
      ...{
        budget: Number(values.budget),
        rounds: measured.sampling.rounds,
        recorded_passes: passes.length,
        recorded_bursts: new Set(counted.map(({ burst }) => burst)).size,
      },
      sampling: measured.sampling,
      event_floor: {
        node_us: digits(floor.nodeUs, 2),
        further_tensor_us: digits(floor.tensorUs, 2),
        seen_us: floor.smallestUs,
      },
      argmax_us: digits(argmaxUs),
      masks_over_nodes: byKind,
      heads,
      heads_by_passes: headByPasses,
      whole_passes: wholePasses,
      per_layer: perLayer,
      random_masks: mixed,
      cells: rows,
    },
    null,
    1,
  ),
);
