/**
 * One graph that holds every choice of every block.
 *
 * Each block is an `If` on whether its first kernel runs, the target's; else one on whether it runs at all, around one `If`
 * per further kernel. What runs most often has the fewest around it: an `If` takes about 2 µs on a CPU. The weights are initializers of the
 * innermost branch: as outer-scope initializers they would not be pre-packed, and a quantised step of SmolLM2-135M
 * took 130 to 190 ms instead of 8 (2 cores, AVX-512; docs/negative-results.md). A skipped attention passes its keys and values
 * through; the runtime binds past and present to one buffer, so that nothing is copied.
 *
 * Its numbers are fp32 or fp16, as the dialect says (dialect.ts): weights, hidden states between blocks, keys and values.
 * Tokens' hidden states come in as fp32, and they and the logits go out as fp32 whatever is between.
 *
 * Inputs:  use_hidden bool[]; input_ids int64[1, q]; hidden_in float[1, q, H]; logits_from int64[1], the first position with logits;
 *          seqlens_k int32[1] = n + q - 1; total_sequence_length int32[1] = n + q, with spans of each layer its own
 *          (seqlens_k.<layer>), and positions int64[1, q] of the rows;
 *          tree bool[], tree_positions int64[1, rows] and tree_bias T[1, 1, rows, total] of a pass over a tree, and of one whose
 *          heads are folded (folded bool[], folded.ts);
 *          run.<block>, <block>.<kernel>, head.<kernel> (every kernel but the last) bool[]; past.<layer>.key|value T[1, kvHeads, capacity, storedHeadDim]
 * Outputs: logits float[1, rows, V]; hidden_out float[1, q, H]; present.<layer>.key|value
 */
import { BLOCK_KINDS, type BlockKind, type Kernel } from "../../schema/choice.js";
import { distinctWindows, ropeTablesOf } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import { attention, cacheDims, lengthNames, mlp, POSITIONS, TREE, treeBias } from "./blocks.js";
import { Branch, type Context, elementOf, type WeightFile } from "./branch.js";
import { choiceInputNames, innerFlags } from "./choice-inputs.js";
import { CPU_DIALECT, type GraphDialect } from "./dialect.js";
import { changesLogits, embeddedRows, finalLogits, headMatrix } from "./ends.js";
import { FOLDED, foldsHeads } from "./folded.js";
import { keepOnHost } from "./host-inputs.js";
import { BOOL, constant, FLOAT, type Graph, INT32, INT64, subgraph, type ValueInfo, value } from "./onnx.js";

/** Nested `If`s over the kernels: the first whose flag is set, the last one without a flag. */
function kernelChain(
  context: Context,
  prefix: string,
  flag: (kernel: Kernel) => string,
  kernels: readonly Kernel[],
  body: (branch: Branch, kernel: Kernel) => ValueInfo[],
): Graph {
  const [kernel, ...rest] = kernels;
  const branch = new Branch(`${prefix}/${kernel}`, context);
  const outputs = body(branch, kernel);
  const graph = branch.graph(outputs);
  if (rest.length === 0) return graph;
  const others = kernelChain(context, prefix, flag, rest, body);
  return either(context, `${prefix}/${kernel}?`, flag(kernel), graph, others);
}

function passThrough(context: Context, spec: ModelSpec, layer: number, kind: BlockKind, hidden: string): Graph {
  const branch = new Branch(`${layer}.${kind}/skip`, context);
  const element = elementOf(context);
  const outputs = [value(branch.node("Identity", [hidden], "out"), element, [1, "q", spec.hiddenSize])];
  if (kind === "attn") {
    for (const part of ["key", "value"]) {
      outputs.push(value(branch.node("Identity", [`past.${layer}.${part}`], part), element, cacheDims(spec, layer)));
    }
  }
  return branch.graph(outputs);
}

/** Adds a block's `If` and returns the name of its hidden states. */
function block(
  main: Branch,
  context: Context,
  spec: ModelSpec,
  kernels: readonly Kernel[],
  layer: number,
  kind: BlockKind,
  hidden: string,
): string {
  const name = `${layer}.${kind}`;
  const body = kind === "attn" ? attention : mlp;
  const [first, ...rest] = kernels;
  const chain = (of: readonly Kernel[]) =>
    kernelChain(
      context,
      name,
      (k) => `${name}.${k}`,
      of,
      (b, k) => body(b, spec, layer, k, hidden),
    );
  const skipped = passThrough(context, spec, layer, kind, hidden);
  const isLast = layer === spec.layers - 1 && kind === "mlp";
  const outputs = [isLast && elementOf(context) === FLOAT ? "=hidden_out" : `${name}.out`];
  if (kind === "attn") outputs.push(`=present.${layer}.key`, `=present.${layer}.value`);
  const run = `run.${name}`;
  if (rest.length === 0)
    return main.node("If", [run], outputs, [subgraph("then_branch", chain(kernels)), subgraph("else_branch", skipped)]);
  return main.node("If", [`${name}.${first}`], outputs, [
    subgraph("then_branch", chain([first])),
    subgraph("else_branch", either(context, `${name}/run?`, run, chain(rest), skipped)),
  ]);
}

/** A graph of one `If` and nothing else. */
function either(context: Context, prefix: string, flag: string, yes: Graph, no: Graph): Graph {
  const branch = new Branch(prefix, context);
  const names = yes.output.map((_, i) => `chosen${i}`);
  branch.node("If", [flag], names, [subgraph("then_branch", yes), subgraph("else_branch", no)]);
  return branch.graph(yes.output.map((o, i) => ({ ...o, name: branch.name(names[i]) })));
}

/** Embedding rows, or the hidden states that stand in for them. */
function entrance(main: Branch, context: Context, spec: ModelSpec): string {
  const given = new Branch("hidden_in?", context);
  const element = elementOf(context);
  const copied = given.cast("hidden_in", FLOAT, element, "out");
  const table = new Branch("embedding", context);
  const rows = embeddedRows(table, spec, "input_ids");
  return main.node("If", ["use_hidden"], "embedded", [
    subgraph("then_branch", given.graph([value(copied, element, [1, "q", spec.hiddenSize])])),
    subgraph("else_branch", table.graph([value(rows, element, [1, "q", spec.hiddenSize])])),
  ]);
}

/** Final norm and head over the last rows of the last block's hidden states. */
function exit(main: Branch, context: Context, spec: ModelSpec, kernels: readonly Kernel[], hidden: string): void {
  main.initializers.push(
    constant(main.name("far"), [1], BigInt64Array.of(BigInt(2 ** 31))),
    constant(main.name("axis"), [1], BigInt64Array.of(1n)),
  );
  const element = elementOf(context);
  if (element !== FLOAT) main.cast(hidden, element, FLOAT, "=hidden_out");
  main.node("Slice", [hidden, "logits_from", main.name("far"), main.name("axis")], "last");
  const normed = main.rmsNorm(main.name("last"), "norm", "last.normed", spec.rmsEps);
  const head = headMatrix(spec);
  const chain = kernelChain(
    context,
    "head",
    (k) => `head.${k}`,
    kernels,
    (branch, kernel) => [value(branch.linear(normed, head, kernel, "logits"), element, [1, "rows", spec.vocabSize])],
  );
  // the chain's outermost graph, one `If` node or the product of the only kernel, belongs to the main graph
  main.nodes.push(...chain.node.slice(0, -1));
  main.initializers.push(...chain.initializer);
  const choose = chain.node[chain.node.length - 1];
  if (element === FLOAT && !changesLogits(spec)) {
    main.nodes.push({ ...choose, output: ["logits"] });
    return;
  }
  main.nodes.push({ ...choose, output: [main.name("logits")] });
  const exact = main.cast(main.name("logits"), element, FLOAT, "logits.fp32");
  main.node("Identity", [finalLogits(main, spec, exact, FLOAT)], "=logits");
}

/** Names of all of them, each once. */
const lengths = (spec: ModelSpec, dialect: GraphDialect): string[] => [
  ...new Set(Array.from({ length: spec.layers }, (_, layer) => lengthNames(layer, dialect)).flat()),
];

const treeInputs = (context: Context, spec: ModelSpec): ValueInfo[] => [
  value(TREE.flag, BOOL, []),
  value(TREE.positions, INT64, [1, "tree_q"]),
  ...distinctWindows(spec).map((_, i) => value(treeBias(i), elementOf(context), [1, 1, "tree_q", "tree_total"])),
];

/** @param kernels those the graph holds, target first: what runs most often is decided by the outermost `If` */
export function buildGraph(
  spec: ModelSpec,
  kernels: readonly Kernel[],
  weights: WeightFile,
  dialect: GraphDialect = CPU_DIALECT,
): Graph {
  const context = { ...weights, dialect };
  const main = new Branch("main", context);
  if (dialect.hostInputs)
    keepOnHost(main, context, [...innerFlags(spec.layers, kernels), ...(dialect.trees ? [TREE.flag] : [])]);
  for (const { cos, sin } of ropeTablesOf(spec)) for (const table of [cos, sin]) main.weight(table);
  let hidden = entrance(main, context, spec);
  for (let layer = 0; layer < spec.layers; layer++) {
    for (const kind of BLOCK_KINDS) hidden = block(main, context, spec, kernels, layer, kind, hidden);
  }
  exit(main, context, spec, kernels, hidden);

  const cache = (side: string) =>
    Array.from({ length: spec.layers }, (_, layer) =>
      ["key", "value"].map((part) => value(`${side}.${layer}.${part}`, elementOf(context), cacheDims(spec, layer))),
    ).flat();
  const inputs = [
    value("use_hidden", BOOL, []),
    value("input_ids", INT64, [1, "q"]),
    value("hidden_in", FLOAT, [1, "q", spec.hiddenSize]),
    value("logits_from", INT64, [1]),
    ...lengths(spec, dialect).map((name) => value(name, INT32, [1])),
    ...(dialect.spans ? [value(POSITIONS, INT64, [1, "q"])] : []),
    ...(dialect.trees ? treeInputs(context, spec) : []),
    ...(foldsHeads(spec, dialect) ? [value(FOLDED, BOOL, [])] : []),
    ...choiceInputNames(spec.layers, kernels).map((name) => value(name, BOOL, [])),
    ...cache("past"),
  ];
  const outputs = [
    value("logits", FLOAT, [1, "rows", spec.vocabSize]),
    value("hidden_out", FLOAT, [1, "q", spec.hiddenSize]),
  ];
  return {
    name: "draftplan",
    node: main.nodes,
    initializer: main.initializers,
    input: inputs,
    output: [...outputs, ...cache("present")],
  };
}
