/**
 * One layer at the target's own numerics, or the final norm, with the second moments of what goes into its matrices: what
 * codes and scales are fitted by (kernels/moments.ts). A layer at a time, so that a large model's weights and moments are
 * never in memory together.
 *
 * Inputs:  hidden float[1, q, H]; of a layer past.key|value float[1, kvHeads, 0, storedHeadDim], seqlens_k int32[1] = q - 1,
 *          total_sequence_length int32[1] = q
 * Outputs: of a layer out float[1, q, H], present.key|value; and for each matrix, `moments.<matrix>` float[groups, group, group],
 *          summed over the q tokens
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

/** A branch that keeps an eye on what its products read. */
class Watched extends Branch {
  readonly outputs: ValueInfo[] = [];

  constructor(
    prefix: string,
    weights: WeightFile,
    private readonly groupOf: GroupOf,
  ) {
    super(prefix, { ...weights, dialect: MOMENTS_DIALECT });
  }

  override linear(input: string, matrix: StoredMatrix, role: Kernel, output: string): string {
    this.watch(input, matrix.name, matrix.shape[1]);
    return super.linear(input, matrix, role, output);
  }

  watch(input: string, matrix: string, inner: number): void {
    const group = this.groupOf(inner);
    const name = `moments.${matrix}`;
    const apart = this.integers(`${name}.shape`, [-1, inner / group, group]);
    const rows = this.node("Reshape", [input, apart], `${name}.rows`); // [q, groups, group]
    const turned = this.node("Transpose", [rows], `${name}.turned`, [ints("perm", [1, 2, 0])]);
    const straight = this.node("Transpose", [rows], `${name}.straight`, [ints("perm", [1, 0, 2])]);
    this.node("MatMul", [turned, straight], `=${name}`);
    this.outputs.push(value(name, FLOAT, [inner / group, group, group]));
  }
}

const ints = (name: string, values: number[]) => ({ name, type: 7, ints: values });

export function layerMoments(spec: ModelSpec, layer: number, weights: WeightFile, groupOf: GroupOf): Graph {
  const main = new Watched("layer", weights, groupOf);
  const names = {
    past: ["past.key", "past.value"],
    present: ["=present.key", "=present.value"],
    lengths: ["seqlens_k", "total_sequence_length"],
    table: (stored: string) => main.weight(stored),
  } as const;
  const attended = attentionNodes(main, spec, layer, "target", "hidden", names);
  // both blocks call their outputs alike: the MLP is written under another prefix
  const rest = new Watched("mlp", weights, groupOf);
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
export function headMoments(spec: ModelSpec, weights: WeightFile, groupOf: GroupOf): Graph {
  const main = new Watched("end", weights, groupOf);
  main.watch(main.rmsNorm("hidden", "norm", "normed", spec.rmsEps), "head", spec.hiddenSize);
  return main.graph(main.outputs, [value("hidden", FLOAT, [1, "q", spec.hiddenSize])]);
}
