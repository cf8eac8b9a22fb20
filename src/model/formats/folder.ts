/** The tensors of a Hugging Face folder under canonical names: as they lie, or to be made of what a tool quantised them to. */
import { join } from "node:path";
import { architectureOf } from "../architectures/registry.js";
import type { ModelSpec } from "../spec.js";
import type { ByteFile } from "./byte-file.js";
import { separateExperts } from "./expert-tensors.js";
import { readHfConfig } from "./hf-config.js";
import { assembleTensors } from "./quantised/assemble.js";
import { readQuantisation } from "./quantised/config.js";
import type { QuantisedTensor } from "./quantised/form.js";
import { openSafetensors } from "./safetensors.js";
import { canonicalTensors, separateTensors } from "./tensor-names.js";
import type { StoredTensor } from "./tensors.js";
import { readTextConfig, textTensors } from "./wrappers.js";

export interface FolderTensors {
  files: readonly ByteFile[];
  /** by canonical name */
  tensors: Map<string, StoredTensor | QuantisedTensor>;
  /** what config.json says of how they are quantised; undefined: they are not */
  quantisation: string | undefined;
  /** which class of transformers is around the text model, and how many tensors of it are left out; undefined: none */
  wrapper: { className: string; leftOut: number } | undefined;
  spec: ModelSpec;
}

/** The caller closes the files. @throws what reading config.json and opening the files throw */
export function openFolderTensors(directory: string): FolderTensors {
  const config = join(directory, "config.json");
  const spec = readHfConfig(config);
  const { wrapper: className, saysTied } = readTextConfig(config);
  const quantisation = readQuantisation(config);
  const { files, tensors: stored } = openSafetensors(directory);
  try {
    const { tensorNames, fused } = architectureOf(spec.architecture);
    const text = className === null ? { tensors: stored, leftOut: 0 } : textTensors(stored);
    const whole = quantisation === null ? text.tensors : assembleTensors(text.tensors, quantisation);
    const tensors = separateExperts(separateTensors(canonicalTensors(whole, tensorNames), fused, spec), spec);
    return {
      ...{ files, tensors },
      quantisation: quantisation === null ? undefined : JSON.stringify(quantisation),
      wrapper: className === null ? undefined : { className, leftOut: text.leftOut },
      // classes around a text model disagree about what is meant where nothing is said, and their files do not
      spec: className === null || saysTied ? spec : { ...spec, tiedEmbeddings: !tensors.has("lm_head.weight") },
    };
  } catch (cause) {
    for (const file of files) file.close();
    throw cause;
  }
}
