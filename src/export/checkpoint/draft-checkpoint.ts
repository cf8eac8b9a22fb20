/** The draft as a Hugging Face folder: config.json, weights, tokenizer files. */
import type { ExportJob, PlannedDraft } from "../exporter.js";
import type { ExportModel } from "../model.js";
import { DECI_CODE, deciConfig } from "./deci.js";
import { fileText, writeModelFiles } from "./files.js";
import { packedConfig, packedLayers, packedTensors } from "./layers.js";
import { writeSafetensors } from "./safetensors.js";

export interface CheckpointOptions {
  /** deci.ts: for drafts in which an attention stays without its MLP, or the other way round */
  deci?: boolean;
  /** over what the target's config.json says */
  config?: Record<string, unknown>;
  /** of the draft alone, over what the target's generation_config.json says */
  generation?: Record<string, unknown>;
}

/** The weights alone, which are nearly all of it. */
export function checkpointBytes({ tensors }: ExportModel, draft: PlannedDraft): number {
  if (draft.choices === null) return 0;
  const kept = packedTensors(tensors, packedLayers(draft.choices));
  return [...kept.values()].reduce((sum, { bytes }) => sum + bytes, 0);
}

/**
 * Writes a draft of the model's own blocks, packed into layers, into the job's folder.
 * @throws FILE_UNWRITABLE, what reading the model throws, what `progress.tick` throws
 */
export async function writeDraftCheckpoint(
  { model, draft, folder, progress }: Pick<ExportJob, "model" | "draft" | "folder" | "progress">,
  { deci = false, config = {}, generation = {} }: CheckpointOptions = {},
): Promise<void> {
  if (draft.choices === null) throw new Error("only drafts of the model's own blocks are checkpoints");
  const layers = packedLayers(draft.choices);
  if (deci) folder.text(DECI_CODE.name, DECI_CODE.text);
  folder.json("config.json", {
    ...packedConfig(model.config, model.spec.layers, layers),
    ...(deci ? deciConfig(model, layers) : {}),
    ...config,
  });
  writeModelFiles(folder, model);
  folder.json("generation_config.json", { ...generationConfig(model), ...generation });
  const tensors = packedTensors(model.tensors, layers);
  const whole = model.weightFiles.filter((file) =>
    file.tensors.every((name) => tensors.has(name) && tensors.get(name) === model.tensors.get(name)),
  );
  await writeSafetensors(folder, tensors, { whole, progress });
}

function generationConfig({ files }: ExportModel): Record<string, unknown> {
  const file = files.find(({ name }) => name === "generation_config.json");
  return file === undefined ? {} : (JSON.parse(fileText(file)) as Record<string, unknown>);
}
