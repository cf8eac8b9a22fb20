import { join } from "node:path";
import { makeCheckpoint } from "./checkpoint.js";
import { readHfConfig } from "./hf-config.js";
import { openSafetensors } from "./safetensors.js";
import type { Checkpoint } from "./spec.js";

/** A folder as `save_pretrained` writes it. */
export async function openHfDirectory(directory: string, source: string): Promise<Checkpoint> {
  const spec = readHfConfig(join(directory, "config.json"));
  const { files, tensors } = openSafetensors(directory);
  try {
    return await makeCheckpoint({ source, format: "safetensors", spec, tensors, files });
  } catch (cause) {
    for (const file of files) file.close();
    throw cause;
  }
}
