/**
 * Hydra's prefix layer as a graph: one Llama layer over the states of the whole text, with keys and values of its own, and
 * a norm behind it.
 *
 * Inputs:  hidden float[1, q, H], the target's, before its final norm; seqlens_k, total_sequence_length and past.0.key|value
 *          as the model's graph has them (graph/build.ts)
 * Outputs: prefix float[1, q, H]; present.0.key|value
 */
import { attention, cacheDims, mlp } from "../graph/blocks.js";
import { Branch, type Context, elementOf, type WeightFile } from "../graph/branch.js";
import type { GraphDialect } from "../graph/dialect.js";
import { FLOAT, type Graph, INT32, value } from "../graph/onnx.js";
import { vector, weightParts } from "../graph/weights.js";
import type { WeightPart } from "../kernels/kernel.js";
import { ropeTablesOf } from "../layers.js";
import type { ModelSpec, WeightSource } from "../spec.js";
import { prefixSpec } from "./fit.js";
import type { HeadsCheckpoint } from "./spec.js";

/** The weight file's names of the two norms: of the target, which comes first, and of the layer. */
const NORMS = { target: "norm.target", layer: "norm" } as const;

export function prefixGraph(model: ModelSpec, weights: WeightFile, dialect: GraphDialect): Graph {
  const spec = prefixSpec(model);
  const context: Context = { ...weights, dialect };
  const element = elementOf(context);
  const main = new Branch("main", context);
  for (const { cos, sin } of ropeTablesOf(spec)) for (const table of [cos, sin]) main.weight(table);
  const normed = main.rmsNorm(main.cast("hidden", FLOAT, element, "entered"), NORMS.target, "state", model.rmsEps);
  const blocks = [new Branch("attn", context), new Branch("mlp", context)] as const;
  const [attended, key, values] = attention(blocks[0], spec, 0, "target", normed);
  const [out] = mlp(blocks[1], spec, 0, "target", attended.name);
  const end = new Branch("end", context);
  end.cast(end.rmsNorm(out.name, NORMS.layer, "normed", spec.rmsEps), element, FLOAT, "=prefix");

  const presents = new Map([
    [key.name, "present.0.key"],
    [values.name, "present.0.value"],
  ]);
  const parts = [main, ...blocks, end];
  const node = parts.flatMap(({ nodes }) => nodes);
  const cache = (name: string) => value(name, element, cacheDims(spec, 0));
  return {
    name: "draftplan-prefix",
    // The operator itself has to write what is bound: an Identity behind it would copy the whole cache.
    node: node.map((n) => ({ ...n, output: n.output.map((name) => presents.get(name) ?? name) })),
    initializer: parts.flatMap(({ initializers }) => initializers),
    input: [
      value("hidden", FLOAT, [1, "q", spec.hiddenSize]),
      value("seqlens_k", INT32, [1]),
      value("total_sequence_length", INT32, [1]),
      cache("past.0.key"),
      cache("past.0.value"),
    ],
    output: [value("prefix", FLOAT, [1, "q", spec.hiddenSize]), cache("present.0.key"), cache("present.0.value")],
  };
}

export function* prefixWeights(
  heads: HeadsCheckpoint,
  model: WeightSource,
  dialect: GraphDialect,
): Generator<WeightPart> {
  const { hiddenSize } = model.spec;
  yield vector({ numerics: dialect }, NORMS.target, hiddenSize, () => model.tensor("model.norm.weight", [hiddenSize]));
  const layer: WeightSource = {
    spec: { ...prefixSpec(model.spec), tiedEmbeddings: true },
    tensor: (name, shape) => heads.tensor(`prefix.${name}`, shape),
  };
  // Nothing is read before it is asked for, so what is left out here, the embedding and the head, costs nothing.
  for (const part of weightParts(layer, ["target"], dialect)) if (!part.name.startsWith("head.")) yield part;
}
