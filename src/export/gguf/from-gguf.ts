/** A GGUF file as the model that drafts are made of: its own blocks and metadata, as they lie. */
import { architectureOf } from "../../model/architectures/registry.js";
import type { GgufFile } from "../../model/formats/gguf-file.js";
import type { ModelSpec } from "../../model/spec.js";
import type { GgufModel } from "./draft.js";
import { fileMetadata } from "./model-metadata.js";
import { storedSource } from "./tensors.js";

/** @param file open until the draft is written */
export function ggufModel(file: GgufFile, spec: ModelSpec): GgufModel {
  return {
    architecture: file.string("general.architecture") ?? spec.architecture,
    spec,
    interleaved: architectureOf(spec.architecture).gguf?.interleavedRotary === true,
    metadata: fileMetadata(file),
    tensors: new Map([...file.tensors].map(([name, stored]) => [name, storedSource(stored)])),
  };
}
