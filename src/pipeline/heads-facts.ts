/** What a folder of heads holds, from its files: no matrix is read. */
import { looksLikeHeads, openHeadsCheckpoint } from "../model/heads/open.js";
import { type HeadsSpec, headTensors } from "../model/heads/spec.js";

/** JSON keys */
export interface HeadsFacts {
  heads: number;
  kind: HeadsSpec["kind"];
  layout: HeadsSpec["layout"];
  blocks: number;
  hidden_size: number;
  /** whose LM head they guess by: the model's, one in the file, or each its own */
  lm_head: HeadsSpec["lmHead"];
  /** tokens they guess among; null: all of the model's */
  draft_vocab_size: number | null;
  prefix_layer: boolean;
  /** without the prefix layer's, whose sizes are the model's */
  parameters: number;
  stored_types: Record<string, number>;
  base_model: string | null;
  sha256: string;
}

/**
 * @returns null where the path is not a folder of heads
 * @throws what opening one throws
 */
export async function headsFactsAt(path: string): Promise<HeadsFacts | null> {
  if (!looksLikeHeads(path)) return null;
  const checkpoint = await openHeadsCheckpoint(path);
  checkpoint.close();
  const { spec, sha256, storedTypes } = checkpoint;
  const sizes = [...headTensors(spec).values()].map((shape) => shape.reduce((product, n) => product * n, 1));
  return {
    ...{ heads: spec.heads, kind: spec.kind, layout: spec.layout, blocks: spec.blocks, hidden_size: spec.hiddenSize },
    ...{ lm_head: spec.lmHead, draft_vocab_size: spec.tokenMap?.length ?? null, prefix_layer: spec.prefix },
    parameters: sizes.reduce((sum, size) => sum + size, 0),
    ...{ stored_types: storedTypes, base_model: spec.baseModel, sha256 },
  };
}
