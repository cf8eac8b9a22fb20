/** What a block computes, at one kernel's numerics. */
import type { Kernel } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { Branch, elementOf } from "./branch.js";
import { storedHeadDim } from "./heads.js";
import { matrixShapes } from "./matrices.js";
import { subgraph, type ValueInfo, value } from "./onnx.js";

export const cacheDims = (spec: ModelSpec) => [1, spec.kvHeads, "capacity", storedHeadDim(spec)];

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
  const apart = branch.integers(`${output}.split`, [0, 0, heads, stored]);
  const joined = branch.integers(`${output}.join`, [0, 0, heads * stored]);
  const split = branch.node("Reshape", [input, apart], `${output}.heads`);
  const normed = branch.rmsNorm(split, weight, `${output}.normed`, (spec.rmsEps * spec.headDim) / stored);
  return branch.node("Reshape", [normed, joined], output);
}

/** What a pass over a tree says of its rows, beside the flag that it is one. */
export const TREE = { flag: "tree", positions: "tree_positions", bias: "tree_bias" } as const;

/**
 * Rows over the cache and over each other: `attended`, `key` and `value` of the branch.
 *
 * A chain's pass is the operator alone, without inputs for positions and bias: with them it would add zeros to every
 * score, and on CUDA lose its fused kernels. So there is an `If` around the operator, in which nothing but its inputs
 * differs: no weight lies in it (docs/method.md). The target's attention alone has it: nothing else verifies.
 */
function attend(branch: Branch, spec: ModelSpec, projections: readonly string[], layer: number, trees: boolean): void {
  const inputs = [
    ...projections,
    `past.${layer}.key`,
    `past.${layer}.value`,
    "seqlens_k",
    "total_sequence_length",
    "main/cos_cache",
    "main/sin_cache",
  ];
  const outputs = ["attended", "key", "value"];
  const attributes = {
    num_heads: spec.heads,
    kv_num_heads: spec.kvHeads,
    do_rotary: 1,
    scale: { float: 1 / Math.sqrt(spec.headDim) },
  };
  const window = { local_window_size: spec.slidingWindow ?? -1 };
  if (!trees) {
    branch.contrib("GroupQueryAttention", inputs, outputs, { ...attributes, ...window });
    return;
  }
  const element = elementOf(branch.context);
  const [chain, tree] = ["chain", "tree"].map((name) => new Branch(branch.name(name), branch.context));
  chain.contrib("GroupQueryAttention", inputs, outputs, { ...attributes, ...window });
  // the window is in the bias: a row's place in the cache is not its position
  tree.contrib("GroupQueryAttention", [...inputs, TREE.positions, TREE.bias], outputs, attributes);
  const graphs = [tree, chain].map((of) =>
    of.graph([
      value(of.name("attended"), element, [1, "q", spec.heads * storedHeadDim(spec)]),
      value(of.name("key"), element, cacheDims(spec)),
      value(of.name("value"), element, cacheDims(spec)),
    ]),
  );
  branch.node("If", [TREE.flag], outputs, [subgraph("then_branch", graphs[0]), subgraph("else_branch", graphs[1])]);
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
export function attention(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
  const name = `${layer}.attn`;
  const normed = branch.rmsNorm(hidden, `${name}.norm`, "normed", spec.rmsEps);
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
  const element = elementOf(branch.context);
  attend(branch, spec, projections, layer, branch.context.dialect.trees && kernel === "target");
  const projected = branch.linear(
    branch.name("attended"),
    { name: `${name}.out`, shape: shapes.out, bias: spec.outputBias },
    kernel,
    "projected",
  );
  const out = branch.node("Add", [hidden, projected], "out");
  return [
    value(out, element, [1, "q", spec.hiddenSize]),
    value(branch.name("key"), element, cacheDims(spec)),
    value(branch.name("value"), element, cacheDims(spec)),
  ];
}

/** Gated MLP at one kernel's numerics: norm, gate and up, SiLU, down, residual. */
export function mlp(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
  const name = `${layer}.mlp`;
  const normed = branch.rmsNorm(hidden, `${name}.norm`, "normed", spec.rmsEps);
  const shapes = matrixShapes(spec).mlp;
  const matrix = (part: keyof typeof shapes) => ({ name: `${name}.${part}`, shape: shapes[part], bias: spec.mlpBias });
  branch.linear(normed, matrix("gate_up"), kernel, "gate_up");
  branch.node("Split", [branch.name("gate_up")], ["gate", "up"], { axis: -1, num_outputs: 2 });
  branch.contrib("QuickGelu", [branch.name("gate")], "silu", { alpha: { float: 1 } }); // x · sigmoid(x)
  const gated = branch.node("Mul", [branch.name("silu"), branch.name("up")], "gated");
  const down = branch.linear(gated, matrix("down"), kernel, "down_out");
  const out = branch.node("Add", [hidden, down], "out");
  return [value(out, elementOf(branch.context), [1, "q", spec.hiddenSize])];
}
