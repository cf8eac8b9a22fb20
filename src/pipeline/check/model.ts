/** What a check needs to know of a model: its digests. Nothing is converted, and no native library is loaded. */
import type { ModelFacts } from "../../check/model.js";
import { DraftplanError } from "../../core/errors.js";
import { openCheckpoint } from "../../model/open.js";
import { openTokenizer } from "../../tokenizer/open.js";

/** @param withTokenizer false where no document records one */
export async function modelFacts(source: string, withTokenizer: boolean): Promise<ModelFacts> {
  const checkpoint = await openCheckpoint(source);
  checkpoint.close();
  return {
    source,
    name: checkpoint.spec.name,
    layers: checkpoint.spec.layers,
    architecture_sha256: checkpoint.architectureSha256,
    weights_sha256: checkpoint.weightsSha256,
    tokenizer_sha256: withTokenizer ? await tokenizerSha256(source) : null,
  };
}

/** A model without a tokenizer is a model still; documents that need one are told apart by their finding. */
async function tokenizerSha256(source: string): Promise<string | null> {
  try {
    return (await openTokenizer(source)).sha256;
  } catch (error) {
    if (error instanceof DraftplanError && error.code === "TOKENIZER_MISSING") return null;
    throw error;
  }
}
