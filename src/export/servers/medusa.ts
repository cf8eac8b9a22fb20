/**
 * Medusa heads as vLLM reads them (vllm/model_executor/models/medusa.py): a folder with `blocks.{head}.layers.{block}` and one
 * LM head for all. Heads that use the model's own are given a copy of it, since vLLM reads none from the target.
 */
import { DraftplanError } from "../../core/errors.js";
import { openHeadsCheckpoint } from "../../model/heads/open.js";
import type { HeadsCheckpoint } from "../../model/heads/spec.js";
import type { HeadsDrafterRef } from "../../schema/drafter.js";
import { writeSafetensors } from "../checkpoint/safetensors.js";
import type { Exporter, ExportJob, PlannedDraft } from "../exporter.js";
import type { ExportModel, ModelTensor } from "../model.js";
import { unsupported } from "../unsupported.js";

/** Every node but the last has one child, and each is the likeliest token of its head. */
export const isLikeliestChain = ({ tree }: HeadsDrafterRef): boolean =>
  tree.every((path, i) => path.length === i + 1 && path.every((rank) => rank === 0));

/** @throws DIGEST_MISMATCH, EXPORT_UNSUPPORTED, what opening the heads throws, FILE_UNWRITABLE */
export async function writeMedusa(
  { name }: Pick<Exporter, "name">,
  { model, draft, folder, progress }: ExportJob,
  drafter: HeadsDrafterRef,
): Promise<void> {
  const heads = await openHeadsCheckpoint(drafter.path);
  try {
    requireHeads(name, heads, draft, drafter);
    const { spec } = heads;
    const vocabulary = model.spec.vocabSize;
    folder.json("config.json", {
      ...{ model_type: "medusa", architectures: ["MedusaModel"], hidden_size: spec.hiddenSize, vocab_size: vocabulary },
      ...{ num_heads: spec.heads, num_hidden_layers: spec.blocks, medusa_fc_bias: spec.blockBias },
      ...{ original_lm_head: true, truncated_vocab_size: vocabulary },
    });
    await writeSafetensors(folder, tensorsOf(heads, model), { progress });
  } finally {
    heads.close();
  }
}

function requireHeads(
  engine: string,
  { spec, sha256 }: HeadsCheckpoint,
  draft: PlannedDraft,
  drafter: HeadsDrafterRef,
): void {
  if (sha256 !== drafter.sha256)
    throw new DraftplanError({
      code: "DIGEST_MISMATCH",
      at: drafter.path,
      what: "these are not the heads that the plan was made with",
      remedy: "Give back the folder as it was, or plan again: draftplan solve",
    });
  const refuse = (what: string) => unsupported(engine, draft, "drafter", what);
  if (spec.kind !== "medusa") throw refuse(`${spec.kind} heads draft here, and ${engine} reads Medusa's alone`);
  if (spec.lmHead === "each" || spec.tokenMap !== null)
    throw refuse(
      `these heads have LM heads of their own, and draftplan writes those of one LM head; ${engine} reads the folder ${drafter.path} as it is`,
    );
}

function tensorsOf(heads: HeadsCheckpoint, model: ExportModel): Map<string, ModelTensor> {
  const { spec } = heads;
  const tensors = new Map<string, ModelTensor>();
  for (let head = 0; head < spec.heads; head++)
    for (let block = 0; block < spec.blocks; block++)
      for (const part of spec.blockBias ? ["weight", "bias"] : ["weight"]) {
        const shape = part === "weight" ? [spec.hiddenSize, spec.hiddenSize] : [spec.hiddenSize];
        const own = floats(shape, () => heads.tensor(`block.${head}.${block}.${part}`, shape));
        tensors.set(`blocks.${head}.layers.${block}.${part}`, own);
      }
  const rows = [spec.lmHeadRows ?? model.spec.vocabSize, spec.hiddenSize];
  const ofModel = model.tensors.get("lm_head.weight") ?? model.tensors.get("model.embed_tokens.weight");
  if (spec.lmHead === "one")
    tensors.set(
      "lm_head.weight",
      floats(rows, () => heads.tensor("lm_head.weight", rows)),
    );
  else if (ofModel !== undefined) tensors.set("lm_head.weight", ofModel);
  return tensors;
}

const floats = (shape: readonly number[], read: () => Float32Array): ModelTensor => ({
  dtype: "F32",
  shape,
  bytes: 4 * shape.reduce((product, n) => product * n, 1),
  *chunks() {
    const values = read();
    yield new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  },
});
