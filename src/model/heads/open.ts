/** A folder of heads -> HeadsCheckpoint: everything that can be wrong with it alone is found here. */
import { existsSync, readdirSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { errnoOf } from "../../core/blocking.js";
import { DraftplanError } from "../../core/errors.js";
import { countTypes } from "../checkpoint.js";
import { weightsSha256 } from "../digest.js";
import { configInvalid, corrupt } from "../failures.js";
import { messageOf, notFound, unreadable } from "../formats/byte-file.js";
import { readJsonFile } from "../formats/json-file.js";
import { openSafetensorsFiles, type SafetensorsFiles } from "../formats/safetensors.js";
import { readableType, readTensor, type StoredTensor } from "../formats/tensors.js";
import { locateModel } from "../open.js";
import { headsUnsupported } from "./failures.js";
import { HeadsConfig, type Layout, layoutOf } from "./layouts.js";
import { type HeadsCheckpoint, type HeadsSpec, headTensors } from "./spec.js";

/** A folder of heads in a model's own folder travels with the model. */
const BESIDE = "heads";

/** @returns the folder of heads that lies in a model's folder; null where there is none, or the model is a single file */
export function headsBeside(model: string): string | null {
  const { kind, path } = locateModel(model);
  const folder = join(path, BESIDE);
  return kind === "directory" && existsSync(join(folder, "config.json")) ? folder : null;
}

/**
 * Whether a folder says that it holds heads. Nothing is judged yet: a broken one says so as well.
 * @returns false where there is no such folder, or it has no config.json that can be read
 */
export function looksLikeHeads(path: string): boolean {
  const file = join(path, "config.json");
  try {
    if (!statSync(path).isDirectory() || !existsSync(file)) return false;
    const config = readJsonFile(file, HeadsConfig);
    return (
      config.model_type === "medusa" ||
      [config.medusa_num_heads, config.hydra_num_heads, config.hydra_head_arch, config.speculators_model_type].some(
        (key) => key != null,
      )
    );
  } catch {
    return false; // reading it as a model says what is wrong
  }
}

/**
 * Opens a folder of heads; reads no matrix yet. Whether they fit a model is fit.ts's to say.
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, CONFIG_INVALID, CHECKPOINT_CORRUPT, TENSOR_MISSING, TENSOR_SHAPE,
 *   TENSOR_TYPE_UNSUPPORTED; HEADS_UNSUPPORTED for other kinds of drafters, and for weights in Python's pickle
 */
export async function openHeadsCheckpoint(folder: string): Promise<HeadsCheckpoint> {
  const names = list(folder);
  const configPath = join(folder, "config.json");
  if (!names.includes("config.json")) throw noConfig(folder);
  const config = readJsonFile(configPath, HeadsConfig);
  // By the configuration alone first: a folder of another kind is refused as such, not for what it lacks.
  const weights = names.filter((name) => name.endsWith(".safetensors")).sort();
  if (weights.length === 0) {
    layoutOf(config, [], configPath);
    throw noWeights(folder, names);
  }
  const opened = openSafetensorsFiles(weights.map((name) => join(folder, name)));
  try {
    const layout = layoutOf(config, [...opened.tensors.keys()], configPath);
    return await makeCheckpoint(folder, config, layout, opened);
  } catch (cause) {
    for (const file of opened.files) file.close();
    throw cause;
  }
}

function list(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT") throw notFound(folder);
    if (errnoOf(cause) === "ENOTDIR")
      throw headsUnsupported(folder, "it is a file", "Give the folder that holds the heads' config.json and weights.");
    throw unreadable(folder, messageOf(cause), cause);
  }
}

const noConfig = (folder: string) =>
  headsUnsupported(
    folder,
    "the folder has no config.json",
    "Give the folder that holds the heads' config.json and their .safetensors file.",
  );

function noWeights(folder: string, names: readonly string[]): DraftplanError {
  const pickled = names.find((name) => /\.(pt|pth|bin)$/.test(name));
  if (pickled === undefined)
    return new DraftplanError({
      code: "FILE_NOT_FOUND",
      at: folder,
      what: "holds a config.json of heads but no .safetensors file",
      remedy: "Download the weights as well.",
    });
  const target = `${basename(pickled).replace(/\.\w+$/, "")}.safetensors`;
  // clone(): the modules of several blocks are one and the same in the reference, and safetensors refuses shared memory
  const convert = `python -c "import torch, safetensors.torch as s; s.save_file({k: v.clone().contiguous() for k, v in torch.load('${pickled}', map_location='cpu', weights_only=True).items()}, '${target}')"`;
  return headsUnsupported(
    join(folder, pickled),
    "the weights are in Python's pickle, which can run any program as it is read",
    `Convert them once, in that folder: ${convert}`,
  );
}

async function makeCheckpoint(
  folder: string,
  config: HeadsConfig,
  layout: Layout,
  { files, tensors: stored }: SafetensorsFiles,
): Promise<HeadsCheckpoint> {
  const at = join(folder, "config.json");
  const tensors = translated(stored, layout);
  const spec = specOf(config, layout, tensors, at);
  const find = (name: string, shape: readonly number[]) => {
    const tensor = findTensor(tensors, name, shape, folder);
    readableType(tensor);
    return tensor;
  };
  const expected = headTensors(spec);
  for (const [name, shape] of expected) find(name, shape);
  for (const [name, tensor] of tensors) {
    // beyond the configuration's number of heads, which vLLM leaves alone too
    const [, head] = /^(?:block|lm_head)\.(\d+)\./.exec(name) ?? [];
    const isOfUse = expected.has(name) || name === "token_map" || name.startsWith("prefix.");
    if (!isOfUse && !(Number(head) >= spec.heads)) throw ofNoUse(tensor);
  }
  return {
    source: folder,
    spec,
    sha256: await weightsSha256(files),
    storedTypes: countTypes(tensors.values()),
    check: (name, shape) => void find(name, shape),
    tensor(name, shape) {
      const tensor = find(name, shape);
      const values = readTensor(tensor);
      const bad = values.findIndex((value) => !Number.isFinite(value));
      if (bad === -1) return values;
      throw corrupt(tensor.file.path, `tensor ${tensor.storedName}`, `number ${bad} of it is ${values[bad]}`);
    },
    close() {
      for (const file of files) file.close();
    },
  };
}

/** Tensors by their names here. */
function translated(stored: ReadonlyMap<string, StoredTensor>, layout: Layout): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of stored) {
    const canonical = layout.translate(name);
    if (canonical === null) continue;
    if (canonical === undefined) throw ofNoUse(tensor);
    const other = tensors.get(canonical);
    if (other !== undefined)
      throw corrupt(
        tensor.file.path,
        `tensor ${name.slice(0, 100)}`,
        `means the same as ${other.storedName.slice(0, 100)}`,
      );
    tensors.set(canonical, tensor);
  }
  return tensors;
}

const ofNoUse = (tensor: StoredTensor) =>
  headsUnsupported(
    `${tensor.file.path}: tensor ${tensor.storedName.slice(0, 100)}`,
    "heads of this configuration do not use it, so they may compute something else",
    "Check that config.json and the weights belong together; docs/heads.md lists the tensors of each layout.",
  );

function specOf(
  config: HeadsConfig,
  layout: Layout,
  tensors: ReadonlyMap<string, StoredTensor>,
  at: string,
): HeadsSpec {
  const { kind, blocks, vocabSize } = layout;
  const inFile = headsIn(tensors);
  const heads = layout.heads === null || (layout.fileCounts && inFile > layout.heads) ? inFile : layout.heads;
  if (heads === 0) throw configInvalid(at, "number of heads", "neither the configuration nor the weights have any");
  const first = tensors.get("block.0.0.weight");
  // of a checkpoint without its first block, which is then missed by its name
  const hiddenSize = config.hidden_size ?? (first === undefined ? 1 : first.shape[0]);
  const ownHead = tensors.has("lm_head.weight") ? "one" : tensors.has("lm_head.0.weight") ? "each" : null;
  const lmHead = ownHead ?? (layout.mayLackLmHead ? "model" : layout.sharedLmHead ? "one" : "each");
  const lmHeadTensor = tensors.get(lmHead === "one" ? "lm_head.weight" : "lm_head.0.weight");
  return {
    ...{ kind, layout: layout.layout, heads, blocks, hiddenSize, lmHead, vocabSize, prefix: layout.prefix },
    blockBias: layout.blockBias ?? tensors.has("block.0.0.bias"),
    lmHeadRows: lmHead === "model" ? null : (lmHeadTensor?.shape[0] ?? vocabSize ?? 1),
    lmHeadBias: lmHead === "each" && tensors.has("lm_head.0.bias"),
    tokenMap: layout.draftVocab === null ? null : readTokenMap(tensors, layout.draftVocab, at),
    baseModel: config.base_model_name_or_path ?? null,
  };
}

/** Heads from 0 on that have any block. */
function headsIn(tensors: ReadonlyMap<string, StoredTensor>): number {
  const present = new Set([...tensors.keys()].map((name) => /^block\.(\d+)\./.exec(name)?.[1]));
  let heads = 0;
  while (present.has(String(heads))) heads++;
  return heads;
}

const INTEGER_ARRAYS = { I64: BigInt64Array, I32: Int32Array } as const;

/** @returns [draftVocab] the token that each guess stands for */
function readTokenMap(tensors: ReadonlyMap<string, StoredTensor>, draftVocab: number, at: string): Int32Array {
  const tensor = findTensor(tensors, "token_map", [draftVocab], at);
  const { file, storedName, type, offset, byteLength } = tensor;
  const where = `tensor ${storedName}`;
  if (type !== "I64" && type !== "I32")
    throw corrupt(file.path, where, `is stored as ${type}, and token ids are I64 or I32`);
  const bytes = new Uint8Array(byteLength);
  file.readInto(bytes, offset, where);
  const ids = Int32Array.from(new INTEGER_ARRAYS[type](bytes.buffer), Number);
  const negative = ids.findIndex((id) => id < 0);
  if (negative !== -1) throw corrupt(file.path, where, `entry ${negative} is ${ids[negative]}`);
  if (new Set(ids).size !== ids.length) throw corrupt(file.path, where, "names a token twice");
  return ids;
}

function findTensor(
  tensors: ReadonlyMap<string, StoredTensor>,
  name: string,
  shape: readonly number[],
  at: string,
): StoredTensor {
  const tensor = tensors.get(name);
  if (tensor === undefined)
    throw new DraftplanError({
      code: "TENSOR_MISSING",
      at: `${at}: tensor ${name}`,
      what: "not in the file; the heads' configuration asks for it (by draftplan's name: docs/heads.md has the file's)",
      remedy: "Check that config.json and the weights belong together, and that the download is complete.",
    });
  if (tensor.shape.length === shape.length && tensor.shape.every((n, i) => n === shape[i])) return tensor;
  throw new DraftplanError({
    code: "TENSOR_SHAPE",
    at: `${tensor.file.path}: tensor ${tensor.storedName}`,
    what: `has shape [${tensor.shape.join(", ")}], the other tensors and the configuration ask for [${shape.join(", ")}]`,
    remedy: "Check that config.json and the weights belong together.",
  });
}
