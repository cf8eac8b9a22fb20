/** What a block computes, at one kernel's numerics. */
import type { BlockKind, Kernel } from "../../schema/choice.js";
import { blockNorms, distinctWindows, layerRope, windowOf } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import { Branch, elementOf } from "./branch.js";
import type { GraphDialect } from "./dialect.js";
import { type GatedMlp, mixtureNodes } from "./experts.js";
import { FOLDED, foldedRows, foldsHeads, unfoldedRows } from "./folded.js";
import { storedHeadDim } from "./heads.js";
import { matrixShapes } from "./matrices.js";
import { type Graph, subgraph, type ValueInfo, value } from "./onnx.js";

/** of one layer: caches of spans are smaller than others */
export const cacheDims = (spec: ModelSpec, layer: number) => [
  1,
  spec.kvHeads,
  `capacity.${layer}`,
  storedHeadDim(spec),
];

/**
 * RMS norm of q or k: [1, q, heads · storedHeadDim], or seen as [1, q, heads, storedHeadDim] where it is over each head.
 * The numbers that fill heads up are zeros, and the mean counts them: weight (weights.ts) and epsilon make up for it.
 */
function headNorm(
  branch: Branch,
  input: string,
  heads: number,
  spec: ModelSpec,
  weight: string,
  output: string,
): string {
  const stored = storedHeadDim(spec);
  const eps = (spec.rmsEps * spec.headDim) / stored;
  if (spec.qkNormOver === "projection") return branch.rmsNorm(input, weight, output, eps);
  const apart = branch.integers(`${output}.split`, [0, 0, heads, stored]);
  const joined = branch.integers(`${output}.join`, [0, 0, heads * stored]);
  const split = branch.node("Reshape", [input, apart], `${output}.heads`);
  const normed = branch.rmsNorm(split, weight, `${output}.normed`, eps);
  return branch.node("Reshape", [normed, joined], output);
}

/** What an attention reads and writes beside its hidden states: names in the graph, outputs as `Branch.node` takes them. */
export interface AttentionNames {
  past: readonly [key: string, value: string];
  present: readonly [key: string, value: string];
  /** int32[1] n + q - 1, and int32 n + q */
  lengths: readonly [last: string, total: string];
  /** the graph's name of a table of the rotation (layers.ts) */
  table(stored: string): string;
  /** whether the graph runs trees alone: where each row stands and what it does not see are its inputs (TREE) */
  treesAlone?: boolean;
  /**
   * int64[1, q] the position of each row. Left out: the operator counts them from the lengths, so that the cache must hold
   * every token before them
   */
  positions?: string;
}

/** Positions of a pass's rows, where the graph takes them. */
export const POSITIONS = "positions";

/**
 * Names of n + q - 1 and n + q, n being the tokens of the cache that a layer reads: of each layer its own where a cache may be
 * shorter than the context (spans), else one for all.
 */
export const lengthNames = (layer: number, { spans }: Pick<GraphDialect, "spans">): AttentionNames["lengths"] =>
  spans ? [`seqlens_k.${layer}`, `total_sequence_length.${layer}`] : ["seqlens_k", "total_sequence_length"];

/** Of the graph with choices (build.ts). */
const chosenNames = (layer: number, dialect: GraphDialect): AttentionNames => ({
  past: [`past.${layer}.key`, `past.${layer}.value`],
  present: ["key", "value"],
  lengths: lengthNames(layer, dialect),
  table: (stored) => `main/${stored}`,
  ...(dialect.spans ? { positions: POSITIONS } : {}),
});

/** What a pass over a tree says of its rows, beside the flag that it is one; `bias` is of the first of the model's windows. */
export const TREE = { flag: "tree", positions: "tree_positions", bias: "tree_bias" } as const;

/** Input with what rows see under the i-th of the model's distinct windows (layers.ts). */
export const treeBias = (i: number): string => (i === 0 ? TREE.bias : `${TREE.bias}.${i}`);

/**
 * Rows over the cache and over each other: `attended`, `key` and `value` of the branch.
 *
 * A chain's pass is the operator alone, without an input for a bias: with it it would add zeros to every score, and on CUDA
 * lose its fused kernels. Positions cost nothing on the CPU. So there is an `If` around the operator, in which nothing but its inputs
 * differs: no weight lies in it (docs/method.md). The target's attention alone has it: nothing else verifies. A pass with
 * folded heads (folded.ts) has a tree's inputs, so that a chain's pass is no `If` further away for it.
 */
function attend(
  branch: Branch,
  spec: ModelSpec,
  layer: number,
  projections: readonly string[],
  { past, present, lengths, table, positions, treesAlone = false }: AttentionNames,
  trees: boolean,
): void {
  const rope = layerRope(spec, layer);
  const tables = rope === null ? ["", ""] : [table(rope.cos), table(rope.sin)];
  const inputs = [...projections, ...past, ...lengths, ...tables];
  const chained = positions === undefined ? inputs : [...inputs, positions];
  const outputs = ["attended", ...present];
  const attributes = {
    num_heads: spec.heads,
    kv_num_heads: spec.kvHeads,
    do_rotary: rope === null ? 0 : 1,
    scale: { float: spec.attentionScale ?? 1 / Math.sqrt(spec.headDim) },
    ...(spec.attentionSoftCap === undefined ? {} : { softcap: { float: spec.attentionSoftCap } }),
  };
  const window = { local_window_size: windowOf(spec, layer) ?? -1 };
  const view = distinctWindows(spec).indexOf(windowOf(spec, layer));
  const overChain = (at: Branch) => at.contrib("GroupQueryAttention", chained, outputs, { ...attributes, ...window });
  // the window is in the bias: a row's place in the cache is not its position
  const seen = [TREE.positions, treeBias(view)];
  const overTree = (at: Branch) => at.contrib("GroupQueryAttention", [...inputs, ...seen], outputs, attributes);
  const overFolded = (at: Branch) => {
    const folded = [...foldedRows(at, spec, projections), ...inputs.slice(projections.length), ...seen];
    const heads = { ...attributes, num_heads: spec.kvHeads };
    unfoldedRows(at, spec, at.contrib("GroupQueryAttention", folded, ["fold.attended", ...present], heads));
  };
  if (treesAlone || !trees) {
    (treesAlone ? overTree : overChain)(branch);
    return;
  }
  const element = elementOf(branch.context);
  const part = (name: string, write: (at: Branch) => void): Graph => {
    const at = new Branch(branch.name(name), branch.context);
    write(at);
    return at.graph([
      value(at.name("attended"), element, [1, "q", spec.heads * storedHeadDim(spec)]),
      value(at.name("key"), element, cacheDims(spec, layer)),
      value(at.name("value"), element, cacheDims(spec, layer)),
    ]);
  };
  const either = (at: Branch, flag: string, yes: Graph, no: Graph) =>
    at.node("If", [flag], outputs, [subgraph("then_branch", yes), subgraph("else_branch", no)]);
  const folds = foldsHeads(spec, branch.context.dialect);
  const rows = part("rows", (at) =>
    folds ? either(at, FOLDED, part("folded", overFolded), part("tree", overTree)) : overTree(at),
  );
  either(branch, TREE.flag, rows, part("chain", overChain));
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
 * @returns the name of its hidden states
 */
export function attentionNodes(
  branch: Branch,
  spec: ModelSpec,
  layer: number,
  kernel: Kernel,
  hidden: string,
  names: AttentionNames,
): string {
  const name = `${layer}.attn`;
  const normed = normedInput(branch, spec, "attn", name, hidden);
  const shapes = matrixShapes(spec).attn;
  const qkv = branch.linear(normed, { name: `${name}.qkv`, shape: shapes.qkv, bias: spec.qkvBias }, kernel, "qkv");
  let projections = [qkv, "", ""]; // packed: the operator cuts it itself
  if (spec.qkNorm) {
    const widths = [spec.heads, spec.kvHeads, spec.kvHeads].map((h) => h * storedHeadDim(spec));
    branch.node("Split", [qkv, branch.integers("widths", widths)], ["q.raw", "k.raw", "v"], { axis: -1 });
    projections = [
      headNorm(branch, branch.name("q.raw"), spec.heads, spec, `${name}.q_norm`, "q"),
      headNorm(branch, branch.name("k.raw"), spec.kvHeads, spec, `${name}.k_norm`, "k"),
      branch.name("v"),
    ];
  }
  attend(branch, spec, layer, projections, names, branch.context.dialect.trees && kernel === "target");
  const projected = branch.linear(
    branch.name("attended"),
    { name: `${name}.out`, shape: shapes.out, bias: spec.outputBias },
    kernel,
    "projected",
  );
  return added(branch, spec, "attn", name, hidden, projected);
}

/** What a block reads: the hidden states, normed where the model norms them there. */
function normedInput(branch: Branch, spec: ModelSpec, kind: BlockKind, name: string, hidden: string): string {
  if (blockNorms(spec, kind).before === null) return hidden;
  return branch.rmsNorm(hidden, `${name}.norm`, "normed", spec.rmsEps);
}

/** The hidden states with what a block adds to them. @returns `out` */
function added(branch: Branch, spec: ModelSpec, kind: BlockKind, name: string, hidden: string, made: string): string {
  const { after } = blockNorms(spec, kind);
  const normed = after === null ? made : branch.rmsNorm(made, `${name}.post_norm`, "post.normed", spec.rmsEps);
  const scaled =
    spec.residualScale === undefined
      ? normed
      : branch.node("Mul", [normed, branch.number("residual_scale", spec.residualScale)], "scaled");
  return branch.node("Add", [hidden, scaled], "out");
}

/** Attention as a branch of the graph with choices: hidden states, keys, values. */
export function attention(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
  const out = attentionNodes(branch, spec, layer, kernel, hidden, chosenNames(layer, branch.context.dialect));
  const element = elementOf(branch.context);
  return [
    value(out, element, [1, "q", spec.hiddenSize]),
    value(branch.name("key"), element, cacheDims(spec, layer)),
    value(branch.name("value"), element, cacheDims(spec, layer)),
  ];
}

/**
 * MLP at one kernel's numerics: norm, the gated MLP or the mixture of them, residual.
 * @returns the name of its hidden states
 */
export function mlpNodes(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): string {
  const name = `${layer}.mlp`;
  const normed = normedInput(branch, spec, "mlp", name, hidden);
  const gated: GatedMlp = (at, rows, of) => gatedMlp(at, spec, kernel, rows, of);
  const { experts } = spec;
  const made =
    experts === undefined
      ? gated(branch, normed, name)
      : mixtureNodes(branch, { ...spec, experts }, name, normed, gated);
  return added(branch, spec, "mlp", name, hidden, made);
}

/** Gate and up, the gate's activation, down; of rows [.., hiddenSize]. */
function gatedMlp(branch: Branch, spec: ModelSpec, kernel: Kernel, rows: string, name: string): string {
  const shapes = matrixShapes(spec).mlp;
  const matrix = (part: keyof typeof shapes) => ({ name: `${name}.${part}`, shape: shapes[part], bias: spec.mlpBias });
  branch.linear(rows, matrix("gate_up"), kernel, "gate_up");
  branch.node("Split", [branch.name("gate_up")], ["gate", "up"], { axis: -1, num_outputs: 2 });
  if (spec.activation === "gelu_tanh")
    branch.contrib("FastGelu", [branch.name("gate")], "activated"); // x/2 · (1 + tanh(√(2/π) · (x + 0.044715 x³)))
  else branch.contrib("QuickGelu", [branch.name("gate")], "activated", { alpha: { float: 1 } }); // x · sigmoid(x)
  const made = branch.node("Mul", [branch.name("activated"), branch.name("up")], "gated");
  return branch.linear(made, matrix("down"), kernel, "down_out");
}

/** The MLP as a branch of the graph with choices. */
export const mlp = (branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] => [
  value(mlpNodes(branch, spec, layer, kernel, hidden), elementOf(branch.context), [1, "q", spec.hiddenSize]),
];
