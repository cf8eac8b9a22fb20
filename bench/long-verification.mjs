// Attention of a verification at long contexts on the CPU: which operators are fastest by context and tokens. Run after
// `npm run build`, on a machine that does nothing else:
//   node bench/long-verification.mjs [--context 1000,4000,8000] [--query 1..9 as 1,2,…] [--layers 30] [--heads 9]
//       [--kv-heads 3] [--head-dim 64] [--bucket 512] [--repeats 9] [--threads 2] [--ort-library PATH]
// Attention alone, all layers one behind the other, each with a cache of its own, by turns (defaults: SmolLM2-135M's shape):
//   gqa                GroupQueryAttention, as the graph has it for chains; appends its keys and values
//   gqa folded         the same operator, told of as many query heads as key heads and of the query heads of each as rows of
//                      their own, with a mask: as the graph has it for verifications at long contexts (model/graph/folded.ts)
//   folded             the query heads of a key/value head as rows of one product: FusedMatMul, mask, Softmax, MatMul over a cache
//                      of whole buckets, which holds the pass's own keys already
//   folded transposed  the same over keys that are stored [headDim, tokens]
//   attention          ONNX's own Attention (opset 23) over the same buckets
//   attention folded   the same with the query heads of a key/value head as rows
// Rotation and appending are left out where the operator does not do them. JSON: median and fastest ms, the median over repeats
// of the ways' times to gqa's, what the rule of runtime/pass/folding.ts takes, processor time in ms (with --threads 1 other work
// on the machine hardly moves it), and the greatest difference from gqa's result, so that a wrong graph is seen.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";

const { values } = parseArgs({
  options: {
    context: { type: "string", default: "1000,4000,8000" },
    query: { type: "string", default: "1,2,3,4,5,6,7,8,9" },
    layers: { type: "string", default: "30" },
    heads: { type: "string", default: "9" },
    "kv-heads": { type: "string", default: "3" },
    "head-dim": { type: "string", default: "64" },
    bucket: { type: "string", default: "512" },
    repeats: { type: "string", default: "9" },
    threads: { type: "string", default: String(availableParallelism()) },
    "ort-library": { type: "string" },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { constant, encodeModel, FLOAT, float, INT32, int, value } = await library("model/graph/onnx.js");
const { ELEMENT, Handles } = await library("runtime/bindings.js");
const { systemClock } = await library("runtime/device.js");
const { loadOrt } = await library("runtime/ort-api.js");
const { chooseProvider, libraryFacts } = await library("runtime/providers.js");
const { openSession } = await library("runtime/session.js");
const { isFolded } = await library("runtime/pass/folding.js");

const [layers, heads, kvHeads, width, bucket, repeats, threads] = [
  ...["layers", "heads", "kv-heads", "head-dim", "bucket", "repeats", "threads"],
].map((key) => Number(values[key]));
const [contexts, queries] = [values.context, values.query].map((text) => text.split(",").map(Number));
const group = heads / kvHeads;
const scale = 1 / Math.sqrt(width);
const api = loadOrt(values["ort-library"]);
const provider = chooseProvider("cpu", libraryFacts(api));
const every = (of) => Array.from({ length: layers }, (_, layer) => of(layer)).flat();
const node = (opType, input, output, attribute = [], domain = "") => ({
  ...{ opType, input, output, attribute, domain, name: `${output[0]}:${opType}` },
});
const ints = (name, ints) => ({ name, type: 7, ints });
const shape = (name, dims) => constant(name, [dims.length], BigInt64Array.from(dims, BigInt));
const MICROSOFT = "com.microsoft";

const CACHE = { key: [1, kvHeads, "capacity", width], value: [1, kvHeads, "capacity", width] };
/** What GroupQueryAttention takes of a pass, its cache aside. */
const passInputs = (q) => [
  value("query", FLOAT, [1, q, heads * width]),
  ...["new_key", "new_value"].map((name) => value(name, FLOAT, [1, q, kvHeads * width])),
  ...["last", "total"].map((name) => value(name, INT32, [1])),
];

/** Graphs by name; `cache` is the shape of keys and values of one layer. */
const WAYS = {
  gqa: (q) => ({
    opset: 21,
    cache: CACHE,
    inputs: passInputs(q),
    nodes: every((l) =>
      node(
        "GroupQueryAttention",
        ["query", "new_key", "new_value", `key.${l}`, `value.${l}`, "last", "total"],
        [`out.${l}`, `present.key.${l}`, `present.value.${l}`],
        [int("num_heads", heads), int("kv_num_heads", kvHeads), float("scale", scale)],
        MICROSOFT,
      ),
    ),
    constants: [],
    out: [1, q, heads * width],
    appends: true,
  }),
  "gqa folded": (q) => ({
    opset: 21,
    cache: CACHE,
    inputs: [...passInputs(q), value("mask", FLOAT, [1, 1, group * q, "tokens"])],
    nodes: every((l) => [
      node("Reshape", ["query", "apart"], [`q.heads.${l}`]),
      node("Transpose", [`q.heads.${l}`], [`q.members.${l}`], [ints("perm", [0, 3, 1, 2, 4])]),
      node("Reshape", [`q.members.${l}`, "stacked"], [`q.rows.${l}`]),
      ...["key", "value"].map((part) =>
        node("Concat", new Array(group).fill(`new_${part}`), [`new.${part}.${l}`], [int("axis", 1)]),
      ),
      node(
        "GroupQueryAttention",
        [
          ...[`q.rows.${l}`, `new.key.${l}`, `new.value.${l}`, `key.${l}`, `value.${l}`, "last", "total"],
          ...["", "", "", "mask"],
        ],
        [`rows.${l}`, `present.key.${l}`, `present.value.${l}`],
        [int("num_heads", kvHeads), int("kv_num_heads", kvHeads), float("scale", scale)],
        MICROSOFT,
      ),
      node("Reshape", [`rows.${l}`, "unstacked"], [`members.${l}`]),
      node("Transpose", [`members.${l}`], [`heads.${l}`], [ints("perm", [0, 2, 3, 1, 4])]),
      node("Reshape", [`heads.${l}`, "joined"], [`out.${l}`]),
    ]),
    constants: [
      shape("apart", [1, q, kvHeads, group, width]),
      shape("stacked", [1, group * q, kvHeads * width]),
      shape("unstacked", [1, group, q, kvHeads, width]),
      shape("joined", [1, q, heads * width]),
    ],
    out: [1, q, heads * width],
    appends: true,
  }),
  folded: (q) => folded(q, false),
  "folded transposed": (q) => folded(q, true),
  attention: (q) => attention(q, false),
  "attention folded": (q) => attention(q, true),
};

/** @param stacked the query heads of a key/value head as rows of one */
function attention(q, stacked) {
  const rows = stacked ? group * q : q;
  return {
    opset: 23,
    cache: { key: [1, kvHeads, "tokens", width], value: [1, kvHeads, "tokens", width] },
    inputs: [value("query", FLOAT, [1, q, heads * width]), value("mask", FLOAT, [rows, "tokens"])],
    nodes: [
      node("Reshape", ["query", "apart"], ["query.heads"]),
      node("Transpose", ["query.heads"], ["query.by.head"], [ints("perm", [0, 2, 1, 3])]),
      node("Reshape", ["query.by.head", "stacked"], ["query.rows"]),
      ...every((l) => [
        node("Attention", ["query.rows", `key.${l}`, `value.${l}`, "mask"], [`seen.${l}`], [float("scale", scale)]),
        node("Reshape", [`seen.${l}`, "unstacked"], [`by.head.${l}`]),
        node("Transpose", [`by.head.${l}`], [`rows.${l}`], [ints("perm", [0, 2, 1, 3])]),
        node("Reshape", [`rows.${l}`, "joined"], [`out.${l}`]),
      ]),
    ],
    constants: [
      shape("apart", [1, q, heads, width]),
      shape("stacked", [1, stacked ? kvHeads : heads, rows, width]),
      shape("unstacked", [1, heads, q, width]),
      shape("joined", [1, q, heads * width]),
    ],
    out: [1, q, heads * width],
    appends: false,
  };
}

function folded(q, transposed) {
  const keyDims = transposed ? [kvHeads, width, "tokens"] : [kvHeads, "tokens", width];
  return {
    opset: 21,
    cache: { key: keyDims, value: [kvHeads, "tokens", width] },
    inputs: [value("query", FLOAT, [1, q, heads * width]), value("mask", FLOAT, [group * q, "tokens"])],
    nodes: [
      node("Reshape", ["query", "apart"], ["query.heads"]), // [q, kvHeads, group, width]
      node("Transpose", ["query.heads"], ["query.by.head"], [ints("perm", [1, 2, 0, 3])]),
      node("Reshape", ["query.by.head", "stacked"], ["query.rows"]), // [kvHeads, group · q, width]
      ...every((l) => [
        node(
          "FusedMatMul",
          ["query.rows", `key.${l}`],
          [`scores.${l}`],
          [float("alpha", scale), int("transB", transposed ? 0 : 1)],
          MICROSOFT,
        ),
        node("Add", [`scores.${l}`, "mask"], [`masked.${l}`]),
        node("Softmax", [`masked.${l}`], [`weights.${l}`], [int("axis", -1)]),
        node("MatMul", [`weights.${l}`, `value.${l}`], [`rows.${l}`]),
        node("Reshape", [`rows.${l}`, "unstacked"], [`heads.${l}`]),
        node("Transpose", [`heads.${l}`], [`back.${l}`], [ints("perm", [2, 0, 1, 3])]),
        node("Reshape", [`back.${l}`, "joined"], [`out.${l}`]),
      ]),
    ],
    constants: [
      shape("apart", [q, kvHeads, group, width]),
      shape("stacked", [kvHeads, group * q, width]),
      shape("unstacked", [kvHeads, group, q, width]),
      shape("joined", [1, q, heads * width]),
    ],
    out: [1, q, heads * width],
    appends: false,
  };
}

let seed = 1;
const random = () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
  return seed / 2 ** 31 - 1;
};
const filled = (size) => Float32Array.from({ length: size }, random);

/** One way at one context and q, opened, its caches filled with the same keys and values. */
function open(way, n, q, { query, keys, values: stored }) {
  const handles = new Handles(api);
  const form = WAYS[way](q);
  const total = n + q;
  const seen = way === "gqa folded" ? n + group * q : total; // the operator appends for all of its rows
  const room = Math.ceil((n + group * q) / bucket) * bucket;
  const dims = (of) => of.map((d) => (typeof d === "number" ? d : room));
  const cache = (side) =>
    every((l) => ["key", "value"].map((part) => value(`${side}${part}.${l}`, FLOAT, form.cache[part])));
  const graph = {
    name: way,
    node: form.nodes,
    initializer: form.constants,
    input: [...form.inputs, ...cache("")],
    output: [...every((l) => value(`out.${l}`, FLOAT, form.out)), ...(form.appends ? cache("present.") : [])],
  };
  const session = openSession(api, handles, provider, encodeModel(graph, "1", form.opset), { threads });
  const binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
  const info = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
  const kept = []; // V8 must not move or free what tensors look into
  const tensor = (data, shape) => {
    kept.push(data);
    const type = data instanceof Float32Array ? ELEMENT.float : ELEMENT.int32;
    const of = BigInt64Array.from(shape, BigInt);
    return handles.own(
      "ReleaseValue",
      api.create("CreateTensorWithDataAsOrtValue", info, data, data.byteLength, of, of.length, type),
    );
  };
  const bind = (name, data, shape) => api.check("BindInput", binding, name, tensor(data, shape));
  const number = (x) => new Int32Array(new ArrayBuffer(128), 0, 1).fill(x);
  bind("query", query, [1, q, heads * width]);
  if (form.appends) {
    for (const [name, of] of [
      ["new_key", keys],
      ["new_value", stored],
    ]) {
      const rows = new Float32Array(Math.max(32, q * kvHeads * width));
      for (let row = 0; row < q; row++)
        for (let h = 0; h < kvHeads; h++)
          rows.set(
            of.subarray((h * total + n + row) * width, (h * total + n + row + 1) * width),
            (row * kvHeads + h) * width,
          );
      bind(name, rows.subarray(0, q * kvHeads * width), [1, q, kvHeads * width]);
    }
    bind("last", number(seen - 1), [1]);
    bind("total", number(seen), [1]);
  }
  if (way !== "gqa") {
    const rows = way === "attention" ? q : group * q;
    const across = form.appends ? seen : room;
    const mask = new Float32Array(rows * across);
    for (let row = 0; row < rows; row++) mask.fill(-1e30, row * across + n + (row % q) + 1, (row + 1) * across);
    bind("mask", mask, form.appends ? [1, 1, rows, across] : [rows, across]);
  }
  for (let l = 0; l < layers; l++) {
    for (const [part, of] of [
      ["key", keys],
      ["value", stored],
    ]) {
      const across = part === "key" && way === "folded transposed";
      const data = new Float32Array(kvHeads * room * width);
      for (let h = 0; h < kvHeads; h++)
        for (let t = 0; t < total; t++)
          if (!across)
            data.set(of.subarray((h * total + t) * width, (h * total + t + 1) * width), (h * room + t) * width);
          else for (let i = 0; i < width; i++) data[(h * width + i) * room + t] = of[(h * total + t) * width + i];
      const made = tensor(data, dims(form.cache[part]));
      api.check("BindInput", binding, `${part}.${l}`, made);
      if (form.appends) api.check("BindOutput", binding, `present.${part}.${l}`, made);
    }
  }
  const outs = every((l) => {
    const data = new Float32Array(Math.max(32, q * heads * width));
    api.check("BindOutput", binding, `out.${l}`, tensor(data.subarray(0, q * heads * width), form.out));
    return [data.subarray(0, q * heads * width)];
  });
  return {
    run: () => api.check("RunWithBinding", session, null, binding),
    out: outs[layers - 1],
    close: () => handles.releaseAll(),
    kept,
  };
}

const digits = (x) => Number(x.toPrecision(4));
const rows = [];
for (const n of contexts) {
  for (const q of queries) {
    const shared = {
      query: filled(q * heads * width),
      keys: filled(kvHeads * (n + q) * width),
      values: filled(kvHeads * (n + q) * width),
    };
    const opened = Object.keys(WAYS).map((way) => [way, open(way, n, q, shared)]);
    const found = Object.fromEntries(opened.map(([way]) => [way, []]));
    const worked = Object.fromEntries(opened.map(([way]) => [way, []]));
    for (let repeat = -1; repeat < repeats; repeat++) {
      for (const [way, { run }] of repeat % 2 === 0 ? opened : [...opened].reverse()) {
        const [from, before] = [systemClock.nowUs(), process.cpuUsage()];
        run();
        const [us, { user, system }] = [systemClock.nowUs() - from, process.cpuUsage(before)];
        if (repeat < 0) continue; // the first warms up
        found[way].push(us / 1e3);
        worked[way].push((user + system) / 1e3);
      }
    }
    const exact = opened[0][1].out;
    for (const [way, { out }] of opened) {
      const off = out.reduce((most, x, i) => Math.max(most, Math.abs(x - exact[i])), 0);
      rows.push({
        context: n,
        q,
        way,
        median_ms: digits(median(found[way])),
        fastest_ms: digits(Math.min(...found[way])),
        times_gqa: digits(median(found[way].map((ms, i) => ms / found.gqa[i]))),
        processor_ms: digits(median(worked[way])),
        off: digits(off),
        ...(way === "gqa folded"
          ? { taken: isFolded({ heads, kvHeads }, { position: n, q, capacity: n + 512, threads }) }
          : {}),
      });
      console.log(JSON.stringify(rows[rows.length - 1]));
    }
    for (const [, { close }] of opened) close();
  }
}
for (const n of contexts)
  console.log(
    JSON.stringify({
      context: n,
      fastest_by_q: queries.map((q) => {
        const of = rows.filter((row) => row.context === n && row.q === q);
        return [q, of.reduce((a, b) => (b.median_ms < a.median_ms ? b : a)).way];
      }),
    }),
  );
