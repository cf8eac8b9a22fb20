/**
 * A draft's blocks as layers of attention and MLP, renumbered. The blocks that are kept are packed in their order: an MLP
 * follows the attention before it even where that was another layer's, since a block only adds to the residual stream. So a
 * draft that leaves out `3.mlp` and `4.attn` is whole layers still.
 */
import { type BlockKind, blockKind, blockLayer, type ChoiceSet, type Kernel, kernelOf } from "../../schema/choice.js";

export interface DraftBlock {
  /** index among the model's blocks */
  block: number;
  /** of the model */
  layer: number;
  kernel: Kernel;
}

export type DraftLayer = Record<BlockKind, DraftBlock | null>;

/** At least one layer, since engines know no model without any. */
export function packLayers({ blocks }: Pick<ChoiceSet, "blocks">): DraftLayer[] {
  const layers: DraftLayer[] = [];
  blocks.forEach((choice, block) => {
    const kernel = kernelOf(choice); // a span is refused before (unsupported.ts)
    if (kernel === null) return;
    const kept = { block, layer: blockLayer(block), kernel };
    const last = layers[layers.length - 1];
    if (blockKind(block) === "attn") layers.push({ attn: kept, mlp: null });
    else if (last !== undefined && last.mlp === null) last.mlp = kept;
    else layers.push({ attn: null, mlp: kept });
  });
  return layers.length === 0 ? [{ attn: null, mlp: null }] : layers;
}

export const areWhole = (layers: readonly DraftLayer[]): boolean =>
  layers.every(({ attn, mlp }) => attn !== null && mlp !== null);
