/** What a block computes, at one kernel's numerics. */
import type { Kernel } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { type Branch, elementOf } from "./branch.js";
import { storedHeadDim } from "./heads.js";
import { float, int, type ValueInfo, value } from "./onnx.js";

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
export function attention(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
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
export function mlp(branch: Branch, spec: ModelSpec, layer: number, kernel: Kernel, hidden: string): ValueInfo[] {
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
