/**
 * A decoder as ONNX engines take it: ids and a mask in, logits out, keys and values handed over from pass to pass under
 * the names that onnxruntime-genai's own model builder gives them.
 *
 * Inputs:  input_ids int64[1, q]; attention_mask int64[1, n + q], of which only its length and its sum count;
 *          past_key_values.<i>.key|value T[1, kvHeads, n, storedHeadDim]
 * Outputs: logits T[1, q, V], or T[1, 1, V] of the last token; present.<i>.key|value T[1, kvHeads, n + q, storedHeadDim]
 *
 * i counts the layers whose attention runs, from 0: an engine asks for as many caches as the configuration names layers.
 * Past and present may be one buffer of any capacity: GroupQueryAttention then appends in place.
 */
import { type ChoiceSet, wholeHead } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import type { AttentionNames } from "./blocks.js";
import { Branch, elementOf, type WeightFile } from "./branch.js";
import type { GraphDialect } from "./dialect.js";
import { embeddedRows, finalLogits, headMatrix } from "./ends.js";
import { storedHeadDim } from "./heads.js";
import { constant, type Graph, INT32, INT64, type Node, value } from "./onnx.js";
import { attendingLayers, straightBlocks } from "./straight-line.js";

/** Templates of the names, as genai_config.json repeats them. */
export const DECODER_NAMES = {
  ids: "input_ids",
  mask: "attention_mask",
  logits: "logits",
  past: ["past_key_values.%d.key", "past_key_values.%d.value"],
  present: ["present.%d.key", "present.%d.value"],
} as const;

const numbered = ([key, value]: readonly [string, string], i: number): [key: string, value: string] => [
  key.replace("%d", String(i)),
  value.replace("%d", String(i)),
];

/** `every` token's: what a target needs that verifies; `last`: what a draft needs, and a prompt's other rows are not computed. */
export type LogitRows = "every" | "last";

/** The dialect of a provider, for a file that others read: no trees, no spans, and operators that onnx.checker knows. */
export const portable = (dialect: GraphDialect): GraphDialect => ({
  ...dialect,
  opset: 23,
  hostInputs: false,
  trees: false,
  spans: false,
  folds: false,
});

/** @param choices every kernel in them is stored in the weight file for its block */
export function decoderGraph(
  spec: ModelSpec,
  choices: ChoiceSet,
  weights: WeightFile,
  dialect: GraphDialect,
  rows: LogitRows,
): Graph {
  const main = new Branch("decoder", { ...weights, dialect });
  const element = elementOf(main.context);
  const layers = attendingLayers(choices);
  const shared =
    layers.length === 0 ? undefined : { lengths: lengths(main), table: (stored: string) => main.weight(stored) };
  const embedded = embeddedRows(main, spec, DECODER_NAMES.ids);
  const hidden = straightBlocks(main, spec, choices, embedded, (layer): AttentionNames => {
    if (shared === undefined) throw new Error("a layer attends that is not among those that do");
    const i = layers.indexOf(layer);
    const present = numbered(DECODER_NAMES.present, i);
    return { ...shared, past: numbered(DECODER_NAMES.past, i), present: [`=${present[0]}`, `=${present[1]}`] };
  });
  head(main, spec, choices, hidden, rows);

  const cache = (names: readonly [string, string], tokens: string) =>
    layers.flatMap((_, i) =>
      numbered(names, i).map((name) => value(name, element, [1, spec.kvHeads, tokens, storedHeadDim(spec)])),
    );
  return {
    ...main.graph([
      value(DECODER_NAMES.logits, element, [1, rows === "every" ? "q" : 1, spec.vocabSize]),
      ...cache(DECODER_NAMES.present, "total"),
    ]),
    input: [
      value(DECODER_NAMES.ids, INT64, [1, "q"]),
      value(DECODER_NAMES.mask, INT64, [1, "total"]),
      ...cache(DECODER_NAMES.past, "past"),
    ],
  };
}

/** GroupQueryAttention's lengths from the mask: n + q − 1 from its sum, n + q from its shape, which stays on the CPU. */
function lengths(main: Branch): AttentionNames["lengths"] {
  main.initializers.push(constant(main.name("one"), [1], BigInt64Array.of(1n)));
  main.initializers.push(constant(main.name("total.axis"), [], BigInt64Array.of(1n)));
  const sum = main.node("ReduceSum", [DECODER_NAMES.mask, main.name("one")], "mask.sum", { keepdims: 0 });
  const last = main.node("Sub", [sum, main.name("one")], "last");
  const shape = main.node("Shape", [DECODER_NAMES.mask], "mask.shape");
  const total = main.node("Gather", [shape, main.name("total.axis")], "total");
  return [main.cast(last, INT64, INT32, "seqlens_k"), main.cast(total, INT64, INT32, "total_sequence_length")];
}

/** Final norm and head. */
function head(main: Branch, spec: ModelSpec, choices: ChoiceSet, hidden: string, rows: LogitRows): void {
  let states = hidden;
  if (rows === "last") {
    const [from, to, axis] = [-1, 2 ** 31, 1].map((at, i) => main.integers(`last.${i}`, [at]));
    states = main.node("Slice", [hidden, from, to, axis], "last.hidden");
  }
  const normed = main.rmsNorm(states, "norm", "normed", spec.rmsEps);
  finalLogits(main, spec, main.linear(normed, headMatrix(spec), wholeHead(choices), "logits"));
  const last = main.nodes.pop() as Node; // the graph's own output is not under the branch's prefix
  main.nodes.push({ ...last, output: [DECODER_NAMES.logits] });
}
