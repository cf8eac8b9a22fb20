/**
 * Blocks one behind the other, each at one kernel or left out: a graph without an `If`, for one set of choices.
 *
 * What the graph with choices (build.ts) decides in every pass is decided here when it is written: it is what an engine
 * takes that knows of no choices, and what a device runs whose graphs are captured.
 */
import { BLOCK_KINDS, blockIndex, type ChoiceSet, kernelOf } from "../../schema/choice.js";
import type { ModelSpec } from "../spec.js";
import { type AttentionNames, attentionNodes, mlpNodes } from "./blocks.js";
import { Branch } from "./branch.js";

/** Layers whose attention runs, in order: those that keep keys and values. */
export const attendingLayers = ({ blocks }: ChoiceSet): number[] =>
  Array.from({ length: blocks.length / 2 }, (_, layer) => layer).filter(
    (layer) => blocks[blockIndex(layer, "attn")] !== "skip",
  );

/**
 * Writes the blocks that run into the graph of `main`, with their weights.
 * @param hidden name of the hidden states [1, q, hiddenSize] that go in
 * @param names  of the caches and lengths of a layer whose attention runs
 * @returns the name of the hidden states that come out
 */
export function straightBlocks(
  main: Branch,
  spec: ModelSpec,
  { blocks }: ChoiceSet,
  hidden: string,
  names: (layer: number) => AttentionNames,
): string {
  let states = hidden;
  for (let layer = 0; layer < spec.layers; layer++) {
    for (const kind of BLOCK_KINDS) {
      // of a span only what the caches hold differs, and how long they are: whoever names them sees to it
      const kernel = kernelOf(blocks[blockIndex(layer, kind)]);
      if (kernel === null) continue;
      const part = new Branch(`${layer}.${kind}`, main.context);
      states =
        kind === "attn"
          ? attentionNodes(part, spec, layer, kernel, states, names(layer))
          : mlpNodes(part, spec, layer, kernel, states);
      main.take(part);
    }
  }
  return states;
}
