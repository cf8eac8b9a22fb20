/** MODEL on the command line -> ExportModel: its files as they lie, or a GGUF's content as a Hugging Face folder has it. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { DraftplanError } from "../core/errors.js";
import { readSlab } from "../model/conversion/slab.js";
import { openFolderTensors } from "../model/formats/folder.js";
import { readJsonFile } from "../model/formats/json-file.js";
import type { QuantisedTensor } from "../model/formats/quantised/form.js";
import { expectedTensors, product, type StoredTensor } from "../model/formats/tensors.js";
import { wrapperText } from "../model/formats/wrappers.js";
import { EMBEDDED } from "../model/hub/reference.js";
import { locateModel, openCheckpoint } from "../model/open.js";
import type { Checkpoint } from "../model/spec.js";
import { configFromSpec } from "./checkpoint/gguf-config.js";
import { ggufTokenizerFiles } from "./checkpoint/gguf-tokenizer-files.js";
import type { ExportModel, ModelTensor } from "./model.js";

/**
 * The caller closes it.
 * @param asItLies a format whose files are written as they are: no tokenizer files are made from a GGUF's metadata then
 * @throws what openCheckpoint throws; TOKENIZER_INVALID
 */
export async function openExportModel(source: string, asItLies?: Checkpoint["format"]): Promise<ExportModel> {
  const checkpoint = await openCheckpoint(source);
  try {
    requireTextModel(checkpoint);
    const { path } = locateModel(source);
    return checkpoint.format === "gguf"
      ? fromGguf(checkpoint, path, asItLies === "gguf")
      : fromFolder(checkpoint, path);
  } catch (cause) {
    checkpoint.close();
    throw cause;
  }
}

const shared = (checkpoint: Checkpoint, path: string) => ({
  source: checkpoint.source === EMBEDDED ? path : checkpoint.source,
  path,
  format: checkpoint.format,
  spec: checkpoint.spec,
  tensor: checkpoint.tensor.bind(checkpoint),
  ...(checkpoint.origin === undefined ? {} : { origin: checkpoint.origin.bind(checkpoint) }),
  ...(checkpoint.scales === undefined ? {} : { scales: checkpoint.scales.bind(checkpoint) }),
  ref: {
    name: checkpoint.spec.name,
    layers: checkpoint.spec.layers,
    architecture_sha256: checkpoint.architectureSha256,
    weights_sha256: checkpoint.weightsSha256,
  },
});

/** Beside the weights, as `save_pretrained` writes them; what else lies there (a README, other weights) is not the model's. */
const FILES = [
  ...["tokenizer.json", "tokenizer.model", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"],
  ...["vocab.json", "merges.txt", "chat_template.jinja", "generation_config.json"],
];

function fromFolder(checkpoint: Checkpoint, path: string): ExportModel {
  const { spec } = checkpoint;
  const { files, tensors } = openFolderTensors(path);
  const dequantised = [...tensors.values()].some((tensor) => "form" in tensor);
  const wanted = expectedTensors(spec);
  const byFile = new Map<string, string[]>(files.map((file) => [file.path, []]));
  for (const [name, { file }] of tensors) byFile.get(file.path)?.push(name);
  return {
    ...shared(checkpoint, path),
    config: configOf(path),
    tensors: new Map([...wanted].map(([name, shape]) => [name, asStored(checkpoint, name, shape, tensors.get(name))])),
    files: FILES.filter((name) => existsSync(join(path, name))).map((name) => ({ name, path: join(path, name) })),
    weightFiles: dequantised ? [] : [...byFile].map(([file, names]) => ({ path: file, tensors: names })),
    notes: [
      ...(dequantised ? [DEQUANTISED] : []),
      ...(TOKENIZERS.some((name) => existsSync(join(path, name))) ? [] : [NO_TOKENIZER]),
    ],
    close: () => {
      checkpoint.close();
      for (const file of files) file.close();
    },
  };
}

const TOKENIZERS = ["tokenizer.json", "tokenizer.model", "vocab.json"];
const NO_TOKENIZER =
  "MODEL has no tokenizer (tokenizer.json), so there is none here: put its files into MODEL and export again, or give the engine token ids.";

const DEQUANTISED =
  "The model's weights are quantised: they were dequantised to fp32, which is what draftplan computes with; an engine that computes with the folder's own codes rounds otherwise.";

/** What is exported is not quantised, whatever the folder is. */
function configOf(path: string): Record<string, unknown> {
  const config = readJsonFile(join(path, "config.json"), z.looseObject({}));
  const { quantization_config: _theirs, quantization: _mlx, ...kept } = config;
  return kept;
}

/** An engine that loads the folder gets the whole model, and what is drafted for is the text model in it. */
function requireTextModel({ source, wrapper }: Checkpoint): void {
  if (wrapper === undefined) return;
  throw new DraftplanError({
    code: "EXPORT_UNSUPPORTED",
    at: source,
    what: `is ${wrapperText(wrapper)}, and engines load the whole of it`,
    remedy:
      "save the text model by itself and plan for that: in transformers, put model.language_model and model.lm_head into the text model's own class and call save_pretrained()",
  });
}

const CHUNK_BYTES = 4 << 20;
const BYTES = { F32: 4, F16: 2, BF16: 2 } as const;
const isKept = (type: string): type is keyof typeof BYTES => Object.hasOwn(BYTES, type);

/** As it lies where safetensors has a type for it, else as fp32. */
function asStored(
  checkpoint: Checkpoint,
  name: string,
  shape: readonly number[],
  tensor: StoredTensor | QuantisedTensor | undefined,
): ModelTensor {
  if (tensor === undefined || "form" in tensor || !isKept(tensor.type)) return asFloats(checkpoint, name, shape);
  const { file, offset, byteLength, storedName } = tensor;
  return {
    dtype: tensor.type,
    shape,
    bytes: byteLength,
    *chunks() {
      for (let done = 0; done < byteLength; done += CHUNK_BYTES) {
        const chunk = new Uint8Array(Math.min(CHUNK_BYTES, byteLength - done));
        file.readInto(chunk, offset + done, `tensor ${storedName}`);
        yield chunk;
      }
    },
  };
}

function asFloats(checkpoint: Checkpoint, name: string, shape: readonly number[]): ModelTensor {
  return {
    dtype: "F32",
    shape,
    bytes: BYTES.F32 * product(shape),
    *chunks() {
      for (const { buffer, byteOffset, byteLength } of floatsOf(checkpoint, name, shape))
        for (let done = 0; done < byteLength; done += CHUNK_BYTES)
          yield new Uint8Array(buffer, byteOffset + done, Math.min(CHUNK_BYTES, byteLength - done));
    },
  };
}

/** Some rows of a matrix at a time where it can be read so, which leaves room for a signal between them; else all at once. */
function* floatsOf(checkpoint: Checkpoint, name: string, shape: readonly number[]): Generator<Float32Array> {
  const [rows, inner] = shape;
  const origin = shape.length === 2 ? (checkpoint.origin?.(name, [rows, inner]) ?? null) : null;
  if (origin === null) return yield checkpoint.tensor(name, shape);
  const head = origin.kind === "stored" ? (origin.interleavedHeadDim ?? 1) : 1; // rows change places within heads
  const slab = head * Math.max(1, Math.floor(CHUNK_BYTES / (BYTES.F32 * inner * head)));
  for (let row = 0; row < rows; row += slab) yield readSlab(origin, row, Math.min(slab, rows - row), inner);
}

function fromGguf(checkpoint: Checkpoint, path: string, asItLies: boolean): ExportModel {
  const { spec } = checkpoint;
  const { files, notes } = asItLies ? { files: [], notes: [] } : ggufTokenizerFiles(path, spec);
  return {
    ...shared(checkpoint, path),
    // made where it is asked for: not every model has one that says it all, and not every export writes one
    get config() {
      return configFromSpec(spec, path);
    },
    tensors: new Map([...expectedTensors(spec)].map(([name, shape]) => [name, asFloats(checkpoint, name, shape)])),
    files,
    weightFiles: [],
    notes: asItLies
      ? []
      : [
          "The model is a GGUF file: its weights were dequantised to fp32, which is what draftplan computes with; an engine that computes with the file's own blocks rounds otherwise.",
          ...notes,
        ],
    close: () => checkpoint.close(),
  };
}
