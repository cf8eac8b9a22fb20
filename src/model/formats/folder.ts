/** The tensors of a Hugging Face folder under canonical names: as they lie, or to be made of what a tool quantised them to. */
import { join } from "node:path";
import { architectureOf } from "../architectures/registry.js";
import type { ModelSpec } from "../spec.js";
import type { ByteFile } from "./byte-file.js";
import { assembleTensors } from "./quantised/assemble.js";
import { readQuantisation } from "./quantised/config.js";
import type { QuantisedTensor } from "./quantised/form.js";
import { openSafetensors } from "./safetensors.js";
import { canonicalTensors, separateTensors } from "./tensor-names.js";
import type { StoredTensor } from "./tensors.js";

export interface FolderTensors {
  files: readonly ByteFile[];
  /** by canonical name */
  tensors: Map<string, StoredTensor | QuantisedTensor>;
  /** what config.json says of how they are quantised; undefined: they are not */
  quantisation: string | undefined;
}

/**
 * The caller closes the files.
 * @param spec as config.json of the folder says
 */
export function openFolderTensors(directory: string, spec: ModelSpec): FolderTensors {
  const quantisation = readQuantisation(join(directory, "config.json"));
  const { files, tensors: stored } = openSafetensors(directory);
  try {
    const { tensorNames, fused } = architectureOf(spec.architecture);
    const whole = quantisation === null ? stored : assembleTensors(stored, quantisation);
    const tensors = separateTensors(canonicalTensors(whole, tensorNames), fused, spec);
    return { files, tensors, quantisation: quantisation === null ? undefined : JSON.stringify(quantisation) };
  } catch (cause) {
    for (const file of files) file.close();
    throw cause;
  }
}
