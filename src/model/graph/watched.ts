/**
 * One layer at the target's own numerics, or the final norm, and an output for each of its matrices about what goes into it:
 * second moments, which codes and scales are fitted by (kernels/moments.ts), or the inputs as they are, whose levels a
 * simulated kernel is given (kernels/oasis.ts). A layer at a time, so that a large model's weights and moments are never in
 * memory together.
 *
 * Inputs:  hidden float[1, q, H]; of a layer past.key|value float[1, kvHeads, 0, storedHeadDim], seqlens_k int32[1] = q - 1,
 *          total_sequence_length int32[1] = q
 * Outputs: of a layer out float[1, q, H], present.key|value; and for each matrix, `moments.<matrix>` float[groups, group, group],
 *          summed over the q tokens, or `inputs.<matrix>` float[1, q, inner]
 */
import type { Kernel } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { attentionNodes, mlpNodes } from "./blocks.js";
import { Branch, type StoredMatrix, type WeightFile } from "./branch.js";
import { CPU_DIALECT, type GraphDialect } from "./dialect.js";
import { storedHeadDim } from "./heads.js";
import { FLOAT, type Graph, INT32, type ValueInfo, value } from "./onnx.js";

export const MOMENTS_DIALECT: GraphDialect = { ...CPU_DIALECT, trees: false, spans: false, folds: false };

/** Inputs of a matrix that are looked at together, by how many inputs it has. */
export type GroupOf = (inner: number) => number;

/** What is written beside a product. @returns the output that says it */
export type Tap = (branch: Branch, input: string, matrix: string, inner: number) => ValueInfo;

/** Σ x xᵀ of the inputs, in groups. */
export const momentsTap =
  (groupOf: GroupOf): Tap =>
  (branch, input, matrix, inner) => {
    const group = groupOf(inner);
    const name = `moments.${matrix}`;
    const apart = branch.integers(`${name}.shape`, [-1, inner / group, group]);
    const rows = branch.node("Reshape", [input, apart], `${name}.rows`); // [q, groups, group]
    const turned = branch.node("Transpose", [rows], `${name}.turned`, [ints("perm", [1, 2, 0])]);
    const straight = branch.node("Transpose", [rows], `${name}.straight`, [ints("perm", [1, 0, 2])]);
    branch.node("MatMul", [turned, straight], `=${name}`);
    return value(name, FLOAT, [inner / group, group, group]);
  };

/** The inputs themselves. @param tokens q, which is then fixed */
export const inputsTap =
  (tokens: number): Tap =>
  (branch, input, matrix, inner) => {
    branch.node("Identity", [input], `=inputs.${matrix}`);
    return value(`inputs.${matrix}`, FLOAT, [1, tokens, inner]);
  };

/** A branch that keeps an eye on what its products read. */
class Watched extends Branch {
  readonly outputs: ValueInfo[] = [];

  constructor(
    prefix: string,
    weights: WeightFile,
    private readonly tap: Tap,
  ) {
    super(prefix, { ...weights, dialect: MOMENTS_DIALECT });
  }

  override linear(input: string, matrix: StoredMatrix, role: Kernel, output: string): string {
    this.watch(input, matrix.name, matrix.shape[1]);
    return super.linear(input, matrix, role, output);
  }

  /** An output of the graph cannot lie in a branch: what a flag would leave out is done over no rows. */
  override onlyIf(_flag: string, label: string, yes: (at: Branch) => string): string {
    const at = new Watched(this.name(label), this.context, this.tap);
    const result = yes(at);
    this.take(at);
    this.outputs.push(...at.outputs);
    return result;
  }

  watch(input: string, matrix: string, inner: number): void {
    this.outputs.push(this.tap(this, input, matrix, inner));
  }
}

const ints = (name: string, values: number[]) => ({ name, type: 7, ints: values });

export function watchedLayer(spec: ModelSpec, layer: number, weights: WeightFile, tap: Tap): Graph {
  const main = new Watched("layer", weights, tap);
  const names = {
    past: ["past.key", "past.value"],
    present: ["=present.key", "=present.value"],
    lengths: ["seqlens_k", "total_sequence_length"],
    table: (stored: string) => main.weight(stored),
  } as const;
  const attended = attentionNodes(main, spec, layer, "target", "hidden", names);
  // both blocks call their outputs alike: the MLP is written under another prefix
  const rest = new Watched("mlp", weights, tap);
  const out = mlpNodes(rest, spec, layer, "target", attended);
  rest.node("Identity", [out], "=out");
  main.take(rest);
  const states = ["present.key", "present.value"].map((name) =>
    value(name, FLOAT, [1, spec.kvHeads, "q", storedHeadDim(spec)]),
  );
  return main.graph(
    [value("out", FLOAT, [1, "q", spec.hiddenSize]), ...states, ...main.outputs, ...rest.outputs],
    [
      value("hidden", FLOAT, [1, "q", spec.hiddenSize]),
      ...["past.key", "past.value"].map((name) => value(name, FLOAT, [1, spec.kvHeads, "past", storedHeadDim(spec)])),
      ...["seqlens_k", "total_sequence_length"].map((name) => value(name, INT32, [1])),
    ],
  );
}

/** What the head reads. */
export function watchedHead(spec: ModelSpec, weights: WeightFile, tap: Tap): Graph {
  const main = new Watched("end", weights, tap);
  main.watch(main.rmsNorm("hidden", "norm", "normed", spec.rmsEps), "head", spec.hiddenSize);
  return main.graph(main.outputs, [value("hidden", FLOAT, [1, "q", spec.hiddenSize])]);
}
