/**
 * The target over several texts side by side: a pass gives each of them its next token, and every weight is read once for
 * all. Greedy, in a straight line of nodes, and of its hidden states only those are given at which a token was chosen.
 *
 * Inputs:  input_ids int64[texts, q], seqlens_k int32[texts] = each text's own n + q − 1, total_sequence_length int32[1] =
 *          the greatest n + q; past.<layer>.key|value T[texts, kvHeads, capacity, storedHeadDim]
 * Outputs: states float[texts, 1, H] behind the final norm, of each text's last row, and hidden before it; ids
 *          int64[texts, 1] the likeliest token there, the first one on a tie; present.<layer>.key|value, in place
 *
 * GroupQueryAttention takes more than one text where each has one token, or where no text has a past: prompts are run one
 * at a time over their part of the cache, steps all at once.
 */
import { targetChoices, wholeHead } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { Branch, elementOf, type WeightFile } from "./branch.js";
import type { GraphDialect } from "./dialect.js";
import { changesLogits, embeddedRows, finalLogits, headMatrix } from "./ends.js";
import { storedHeadDim } from "./heads.js";
import { FLOAT, type Graph, INT32, INT64, value } from "./onnx.js";
import { straightBlocks } from "./straight-line.js";

export const SIDE_BY_SIDE = {
  ids: "input_ids",
  lengths: "seqlens_k",
  total: "total_sequence_length",
  states: "states",
  hidden: "hidden",
  likeliest: "ids",
} as const;

/** Past and present of a layer's keys or values. */
export const cacheName = (side: "past" | "present", layer: number, part: "key" | "value"): string =>
  `${side}.${layer}.${part}`;

/** @param dialect of the provider; the target is computed as it says */
export function sideBySideGraph(spec: ModelSpec, weights: WeightFile, dialect: GraphDialect): Graph {
  const main = new Branch("texts", { ...weights, dialect: { ...dialect, trees: false, spans: false } });
  const element = elementOf(main.context);
  const choices = targetChoices(spec.layers);
  const hidden = straightBlocks(main, spec, choices, embeddedRows(main, spec, SIDE_BY_SIDE.ids), (layer) => ({
    past: [cacheName("past", layer, "key"), cacheName("past", layer, "value")],
    present: [`=${cacheName("present", layer, "key")}`, `=${cacheName("present", layer, "value")}`],
    lengths: [SIDE_BY_SIDE.lengths, SIDE_BY_SIDE.total],
    table: (stored) => main.weight(stored),
  }));
  const [from, to, axis] = [-1, 2 ** 31, 1].map((at, i) => main.integers(`last.${i}`, [at]));
  const last = main.node("Slice", [hidden, from, to, axis], "last");
  main.cast(last, element, FLOAT, `=${SIDE_BY_SIDE.hidden}`);
  const normed = main.rmsNorm(last, "norm", "normed", spec.rmsEps);
  main.cast(normed, element, FLOAT, `=${SIDE_BY_SIDE.states}`);
  const product = main.linear(normed, headMatrix(spec), wholeHead(choices), "logits");
  const exact = changesLogits(spec) ? main.cast(product, element, FLOAT, "logits.fp32") : product;
  const logits = finalLogits(main, spec, exact, changesLogits(spec) ? FLOAT : element);
  main.node("ArgMax", [logits], `=${SIDE_BY_SIDE.likeliest}`, { axis: -1, keepdims: 0 });
  const cache = (side: "past" | "present") =>
    Array.from({ length: spec.layers }, (_, layer) => layer).flatMap((layer) =>
      (["key", "value"] as const).map((part) =>
        value(cacheName(side, layer, part), element, ["texts", spec.kvHeads, "capacity", storedHeadDim(spec)]),
      ),
    );
  return main.graph(
    [
      value(SIDE_BY_SIDE.states, FLOAT, ["texts", 1, spec.hiddenSize]),
      value(SIDE_BY_SIDE.hidden, FLOAT, ["texts", 1, spec.hiddenSize]),
      value(SIDE_BY_SIDE.likeliest, INT64, ["texts", 1]),
      ...cache("present"),
    ],
    [
      value(SIDE_BY_SIDE.ids, INT64, ["texts", "q"]),
      value(SIDE_BY_SIDE.lengths, INT32, ["texts"]),
      value(SIDE_BY_SIDE.total, INT32, [1]),
      ...cache("past"),
    ],
  );
}
