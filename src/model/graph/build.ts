/**
 * One graph that holds every choice of every block.
 *
 * Each block is an `If` on whether it runs, around one `If` per further kernel. The weights are initializers of the
 * innermost branch: as outer-scope initializers they would not be pre-packed, and a quantised step of SmolLM2-135M
 * took 130 to 190 ms instead of 8 (2 cores, AVX-512; docs/negative-results.md). A skipped attention passes its keys and values
 * through; the runtime binds past and present to one buffer, so that nothing is copied.
 *
 * Its numbers are fp32 or fp16, as the flavour says (flavour.ts): weights, hidden states between blocks, keys and values.
 * Tokens' hidden states come in as fp32, and they and the logits go out as fp32 whatever is between.
 *
 * Inputs:  use_hidden bool[]; input_ids int64[1, q]; hidden_in float[1, q, H]; logits_from int64[1], the first position with logits;
 *          seqlens_k int32[1] = n + q - 1; total_sequence_length int32[1] = n + q;
 *          run.<block>, <block>.<kernel>, head.<kernel> (every kernel but the last) bool[]; past.<layer>.key|value T[1, kvHeads, capacity, storedHeadDim]
 * Outputs: logits float[1, rows, V]; hidden_out float[1, q, H]; present.<layer>.key|value
 */
import { BLOCK_KINDS, type BlockKind, KERNELS, type Kernel } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { accuracyLevel, CPU_FLAVOUR, type Flavour } from "./flavour.js";
import { storedHeadDim } from "./heads.js";
import {
  BOOL,
  constant,
  external,
  FLOAT,
  FLOAT16,
  float,
  type Graph,
  INT32,
  INT64,
  int,
  type Node,
  optional,
  subgraph,
  type Tensor,
  UINT8,
  type ValueInfo,
  value,
} from "./onnx.js";
import { embeddingName, kernelName, QUANT_BLOCK, type StoredType } from "./weights.js";

/** Where a tensor lies in the weight file. */
export interface Place {
  dims: number[];
  type: StoredType;
  offset: number;
  length: number;
}

export interface WeightFile {
  file: string;
  places: ReadonlyMap<string, Place>;
}

/** What every part of the graph is written for. */
interface Context extends WeightFile {
  flavour: Flavour;
}

const ELEMENT = { float32: FLOAT, float16: FLOAT16, uint8: UINT8 } as const;
/** element type of weights, hidden states, keys and values */
const elementOf = ({ flavour }: Context): number => (flavour.float === "fp16" ? FLOAT16 : FLOAT);

/** Nodes and weights of one branch under construction; names are unique by the branch's prefix. */
class Branch {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];

  constructor(
    private readonly prefix: string,
    readonly context: Context,
  ) {}

  name(local: string): string {
    return `${this.prefix}/${local}`;
  }

  /** a stored weight, declared in this branch */
  weight(name: string): string {
    const place = this.context.places.get(name);
    if (place === undefined) throw new Error(`the weight file has no ${name}`);
    const local = this.name(name);
    const { file } = this.context;
    this.initializers.push(external(local, place.dims, ELEMENT[place.type], { file, ...place }));
    return local;
  }

  /** a small constant of this branch */
  constant(local: string, data: BigInt64Array): string {
    this.initializers.push(constant(this.name(local), [data.length], data));
    return this.name(local);
  }

  node(
    opType: string,
    input: string[],
    output: string | string[],
    attribute: Node["attribute"] = [],
    domain = "",
  ): string {
    const outputs = (typeof output === "string" ? [output] : output).map((o) =>
      o.startsWith("=") ? o.slice(1) : this.name(o),
    );
    this.nodes.push({ opType, input, output: outputs, name: `${outputs[0]}:${opType}`, attribute, domain });
    return outputs[0];
  }

  contrib(opType: string, input: string[], output: string | string[], attribute: Node["attribute"] = []): string {
    return this.node(opType, input, output, attribute, "com.microsoft");
  }

  rmsNorm(input: string, weight: string, output: string, eps: number): string {
    return this.node("SimplifiedLayerNormalization", [input, this.weight(weight)], output, [
      float("epsilon", eps),
      int("axis", -1),
    ]);
  }

  /** input [.., in] times a stored matrix [out, in], with the kernel's numerics */
  linear(input: string, matrix: string, kernel: Kernel, output: string, bias: boolean): string {
    if (kernel === "target") return this.product(input, matrix, output, bias);
    const label = kernelName(matrix, kernel);
    const codes = this.weight(`${label}.codes`);
    const inputs = [input, codes, this.weight(`${label}.scales`)];
    if (bias) inputs.push("", "", this.weight(`${matrix}.bias`));
    const [out, blocks] = (this.context.places.get(`${label}.codes`) as Place).dims;
    const inner = (this.context.places.get(kernelName(matrix, "target")) as Place).dims[1];
    if (blocks !== Math.ceil(inner / QUANT_BLOCK)) throw new Error(`${label}: ${blocks} blocks for ${inner} inputs`);
    return this.contrib("MatMulNBits", inputs, output, [
      int("K", inner),
      int("N", out),
      int("bits", KERNELS[kernel].bits as number),
      int("block_size", QUANT_BLOCK),
      int("accuracy_level", accuracyLevel(this.context.flavour)),
    ]);
  }

  /** input [1, q, in] times a matrix [out, in] as it is */
  private product(input: string, matrix: string, output: string, bias: boolean): string {
    const weight = this.weight(kernelName(matrix, "target"));
    if (this.context.flavour.product === "Gemm") return this.gemm(input, weight, matrix, output, bias);
    const product = bias ? `${output}.product` : output;
    this.contrib("FusedMatMul", [input, weight], product, [int("transB", 1)]);
    return bias ? this.node("Add", [this.name(product), this.weight(`${matrix}.bias`)], output) : this.name(output);
  }

  private gemm(input: string, weight: string, matrix: string, output: string, bias: boolean): string {
    const [out, inner] = (this.context.places.get(kernelName(matrix, "target")) as Place).dims.map(BigInt);
    const flat = this.constant(`${output}.flat`, BigInt64Array.of(-1n, inner));
    const full = this.constant(`${output}.full`, BigInt64Array.of(1n, -1n, out));
    const rows = this.node("Reshape", [input, flat], `${output}.rows`);
    const inputs = [rows, weight, ...(bias ? [this.weight(`${matrix}.bias`)] : [])];
    const product = this.node("Gemm", inputs, `${output}.product`, [int("transB", 1)]);
    return this.node("Reshape", [product, full], output);
  }

  /** its numbers in another type; as they are where they have it */
  cast(input: string, from: number, to: number, output: string): string {
    return this.node(from === to ? "Identity" : "Cast", [input], output, from === to ? [] : [int("to", to)]);
  }

  graph(outputs: ValueInfo[], input: ValueInfo[] = []): Graph {
    return { name: this.prefix, node: this.nodes, initializer: this.initializers, input, output: outputs };
  }
}

const cacheDims = (spec: ModelSpec) => [1, spec.kvHeads, "capacity", storedHeadDim(spec)];

/** RMS norm over each head: [1, q, heads · storedHeadDim] seen as [1, q, heads, storedHeadDim]. */
function headNorm(
  branch: Branch,
  input: string,
  heads: number,
  spec: ModelSpec,
  weight: string,
  output: string,
): string {
  const stored = storedHeadDim(spec);
  const apart = branch.constant(`${output}.split`, BigInt64Array.of(0n, 0n, BigInt(heads), BigInt(stored)));
  const joined = branch.constant(`${output}.join`, BigInt64Array.of(0n, 0n, BigInt(heads * stored)));
  const split = branch.node("Reshape", [input, apart], `${output}.heads`);
  const normed = branch.rmsNorm(split, weight, `${output}.normed`, (spec.rmsEps * spec.headDim) / stored);
  return branch.node("Reshape", [normed, joined], output);
}

/**
 * Attention at one kernel's numerics: norm, projections, cache, projection, residual.
 *
 * What GroupQueryAttention asks on CUDA as on the CPU (group_query_attention_helper.h, CheckInputs):
 * with more than one token over a past, a batch of 1; a head size that is a multiple of 8, with rotation of 16; tables of
 * at least the total length, of the projections' type; seqlens_k = total length - 1 "for historical reasons"; positions
 * follow from it, and need no input of their own. Past and present are one buffer where their addresses are equal
 * (contrib_ops/cuda/bert/group_query_attention.cc); only then does its flash decoding append in place. On CUDA
 * total_sequence_length is wanted on the CPU and seqlens_k on the device.
 */
function attention(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
  const name = `${layer}.attn`;
  const normed = branch.rmsNorm(hidden, `${name}.norm`, "normed", spec.rmsEps);
  const qkv = branch.linear(normed, `${name}.qkv`, kernel, "qkv", spec.qkvBias);
  let projections = [qkv, "", ""]; // packed: the operator cuts it itself
  if (spec.qkNorm) {
    const widths = [spec.heads, spec.kvHeads, spec.kvHeads].map((h) => BigInt(h * storedHeadDim(spec)));
    branch.node(
      "Split",
      [qkv, branch.constant("widths", BigInt64Array.from(widths))],
      ["q.raw", "k.raw", "v"],
      [int("axis", -1)],
    );
    projections = [
      headNorm(branch, branch.name("q.raw"), spec.heads, spec, `${name}.q_norm`, "q"),
      headNorm(branch, branch.name("k.raw"), spec.kvHeads, spec, `${name}.k_norm`, "k"),
      branch.name("v"),
    ];
  }
  branch.contrib(
    "GroupQueryAttention",
    [
      ...projections,
      `past.${layer}.key`,
      `past.${layer}.value`,
      "seqlens_k",
      "total_sequence_length",
      "main/cos_cache",
      "main/sin_cache",
    ],
    ["attended", "key", "value"],
    [
      int("num_heads", spec.heads),
      int("kv_num_heads", spec.kvHeads),
      int("do_rotary", 1),
      float("scale", 1 / Math.sqrt(spec.headDim)),
      int("local_window_size", spec.slidingWindow ?? -1),
    ],
  );
  const projected = branch.linear(branch.name("attended"), `${name}.out`, kernel, "projected", spec.outputBias);
  const out = branch.node("Add", [hidden, projected], "out");
  const element = elementOf(branch.context);
  return [
    value(out, element, [1, "q", spec.hiddenSize]),
    value(branch.name("key"), element, cacheDims(spec)),
    value(branch.name("value"), element, cacheDims(spec)),
  ];
}

/** Gated MLP at one kernel's numerics: norm, gate and up, SiLU, down, residual. */
function mlp(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
  const name = `${layer}.mlp`;
  const normed = branch.rmsNorm(hidden, `${name}.norm`, "normed", spec.rmsEps);
  branch.linear(normed, `${name}.gate_up`, kernel, "gate_up", spec.mlpBias);
  branch.node("Split", [branch.name("gate_up")], ["gate", "up"], [int("axis", -1), int("num_outputs", 2)]);
  branch.contrib("QuickGelu", [branch.name("gate")], "silu", [float("alpha", 1)]); // x · sigmoid(x)
  const gated = branch.node("Mul", [branch.name("silu"), branch.name("up")], "gated");
  const down = branch.linear(gated, `${name}.down`, kernel, "down_out", spec.mlpBias);
  const out = branch.node("Add", [hidden, down], "out");
  return [value(out, elementOf(branch.context), [1, "q", spec.hiddenSize])];
}

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
  const outer = new Branch(`${prefix}/${kernel}?`, context);
  const names = outputs.map((_, i) => `chosen${i}`);
  outer.node("If", [flag(kernel)], names, [
    subgraph("then_branch", graph),
    subgraph("else_branch", kernelChain(context, prefix, flag, rest, body)),
  ]);
  return outer.graph(outputs.map((o, i) => ({ ...o, name: outer.name(names[i]) })));
}

function passThrough(context: Context, spec: ModelSpec, layer: number, kind: BlockKind, hidden: string): Graph {
  const branch = new Branch(`${layer}.${kind}/skip`, context);
  const element = elementOf(context);
  const outputs = [value(branch.node("Identity", [hidden], "out"), element, [1, "q", spec.hiddenSize])];
  if (kind === "attn") {
    for (const part of ["key", "value"]) {
      outputs.push(value(branch.node("Identity", [`past.${layer}.${part}`], part), element, cacheDims(spec)));
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
  const run = kernelChain(
    context,
    name,
    (k) => `${name}.${k}`,
    kernels,
    (b, k) => body(b, spec, layer, k, hidden),
  );
  const isLast = layer === spec.layers - 1 && kind === "mlp";
  const outputs = [isLast && elementOf(context) === FLOAT ? "=hidden_out" : `${name}.out`];
  if (kind === "attn") outputs.push(`=present.${layer}.key`, `=present.${layer}.value`);
  return main.node("If", [`run.${name}`], outputs, [
    subgraph("then_branch", run),
    subgraph("else_branch", passThrough(context, spec, layer, kind, hidden)),
  ]);
}

/** Embedding rows, or the hidden states that stand in for them. */
function entrance(main: Branch, context: Context, spec: ModelSpec): string {
  const given = new Branch("hidden_in?", context);
  const element = elementOf(context);
  const copied = given.cast("hidden_in", FLOAT, element, "out");
  const table = new Branch("embedding", context);
  const rows = table.node("Gather", [table.weight(embeddingName(spec)), "input_ids"], "out");
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
  const chain = kernelChain(
    context,
    "head",
    (k) => `head.${k}`,
    kernels,
    (branch, kernel) => [
      value(branch.linear(normed, "head", kernel, "logits", false), element, [1, "rows", spec.vocabSize]),
    ],
  );
  // the chain's outermost graph, one `If` node or the product of the only kernel, belongs to the main graph
  main.nodes.push(...chain.node.slice(0, -1));
  main.initializers.push(...chain.initializer);
  const choose = chain.node[chain.node.length - 1];
  if (element === FLOAT) main.nodes.push({ ...choose, output: ["logits"] });
  else {
    main.nodes.push({ ...choose, output: [main.name("logits")] });
    main.cast(main.name("logits"), element, FLOAT, "=logits");
  }
}

/** What the names of pins' nodes begin with: they run on the CPU on purpose (runtime/providers.ts). */
export const PIN_PREFIX = "pin/";

/**
 * Keeps inputs on the CPU, where they are wanted.
 *
 * ONNX Runtime puts an input that only branches use on the device of the node that has the branches, and the conditions of
 * inner `If`s and GroupQueryAttention's total length are then fetched back from it in every branch of every pass, each
 * time waiting for all that the device has to do. Where nodes of different providers have branches that use it, it stays
 * on the CPU, and is handed down as it is (allocation_planner.cc, ComputeValueLocation, cases 1 and 2). So there is an
 * `If` with a branch that names them all, never taken; no GPU has one with an `optional` result. Casting each of them to
 * a string on the CPU did the same and took 4 µs each (50 of them, 2 cores).
 */
function pin(main: Branch, context: Context, flags: readonly string[]): void {
  const name = (branch: string) => `${PIN_PREFIX}${branch}`;
  const taken = new Branch(name("taken"), context);
  const named = new Branch(name("named"), context);
  named.node("SequenceConstruct", ["total_sequence_length"], "lengths");
  if (flags.length > 0) named.node("SequenceConstruct", [...flags], "flags");
  const branches = [taken, named].map((branch) => {
    const something = branch.node("Optional", [branch.constant("one", BigInt64Array.of(1n))], "something");
    return branch.graph([optional(something, INT64, [1])]);
  });
  main.initializers.push(constant(name("always"), [], Uint8Array.of(1)));
  main.node("If", [name("always")], `=${name("nothing")}`, [
    subgraph("then_branch", branches[0]),
    subgraph("else_branch", branches[1]),
  ]);
}

/** Inputs that carry the choices, in the order of `choiceFlags`. */
export function choiceInputNames(layers: number, kernels: readonly Kernel[]): string[] {
  const flags = kernels.slice(0, -1);
  const names: string[] = [];
  for (let layer = 0; layer < layers; layer++) {
    for (const kind of BLOCK_KINDS) names.push(`run.${layer}.${kind}`, ...flags.map((k) => `${layer}.${kind}.${k}`));
  }
  return [...names, ...flags.map((k) => `head.${k}`)];
}

/** Those of them that inner `If`s of blocks ask. */
const innerFlags = (layers: number, kernels: readonly Kernel[]): string[] =>
  choiceInputNames(layers, kernels).filter((name) => !name.startsWith("run.") && name !== `head.${kernels[0]}`);

/** @param kernels those the graph holds, target first: what runs most often is decided by the outermost `If` */
export function buildGraph(
  spec: ModelSpec,
  kernels: readonly Kernel[],
  weights: WeightFile,
  flavour: Flavour = CPU_FLAVOUR,
): Graph {
  const context = { ...weights, flavour };
  const main = new Branch("main", context);
  if (flavour.pins) pin(main, context, innerFlags(spec.layers, kernels));
  for (const table of ["cos_cache", "sin_cache"]) main.weight(table);
  let hidden = entrance(main, context, spec);
  for (let layer = 0; layer < spec.layers; layer++) {
    for (const kind of BLOCK_KINDS) hidden = block(main, context, spec, kernels, layer, kind, hidden);
  }
  exit(main, context, spec, kernels, hidden);

  const cache = (side: string) =>
    Array.from({ length: spec.layers }, (_, layer) =>
      ["key", "value"].map((part) => value(`${side}.${layer}.${part}`, elementOf(context), cacheDims(spec))),
    ).flat();
  const inputs = [
    value("use_hidden", BOOL, []),
    value("input_ids", INT64, [1, "q"]),
    value("hidden_in", FLOAT, [1, "q", spec.hiddenSize]),
    value("logits_from", INT64, [1]),
    value("seqlens_k", INT32, [1]),
    value("total_sequence_length", INT32, [1]),
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
