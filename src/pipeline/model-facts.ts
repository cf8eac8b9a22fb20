/** What a model is, from its files: nothing is converted or loaded. */

import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { architectureSha256 } from "../model/digest.js";
import { dequantisedText } from "../model/formats/own-codes.js";
import { EMBEDDED, hubHint } from "../model/hub/reference.js";
import { variationsOf } from "../model/layers.js";
import { openCheckpoint, openConfigOnly } from "../model/open.js";
import { activeParametersOf, parametersOf } from "../model/parameters.js";
import type { Checkpoint, ModelSpec } from "../model/spec.js";
import { type NeedsFacts, type NeedsRequest, needsFacts } from "./needs.js";

/**
 * @param wanted where and how it is to run, for what it will need there
 * @returns null where the path is not a model's: it may be a document's
 * @throws what opening a checkpoint or a config.json throws
 */
export async function modelFactsAt(path: string, wanted: NeedsRequest): Promise<ModelFacts | null> {
  if (basename(path) === "config.json") return configFacts(path, wanted);
  if (!isModel(path)) return null;
  const checkpoint = await openCheckpoint(path);
  checkpoint.close();
  return { ...checkpointFacts(checkpoint), needs: await needsFacts(checkpoint.spec, wanted) };
}

/** Folders, and files that begin as a model's do or are named like one; everything else is read as a document. */
function isModel(path: string): boolean {
  if (path === EMBEDDED || /\.(gguf|safetensors|onnx|bin|ckpt|pth?)$/i.test(path)) return true;
  try {
    return statSync(path).isDirectory() || beginsWith(path, "GGUF");
  } catch {
    return hubHint(path) !== null; // opening it says so; else reading it as a document says what is wrong
  }
}

function beginsWith(path: string, magic: string): boolean {
  const bytes = Buffer.alloc(magic.length);
  if (!statSync(path).isFile()) return false;
  const descriptor = openSync(path, "r");
  try {
    readSync(descriptor, bytes, 0, bytes.length, 0);
  } finally {
    closeSync(descriptor);
  }
  return bytes.toString("latin1") === magic;
}

/** JSON keys; null where a config.json alone cannot know */
export interface ModelFacts {
  name: string;
  layers: number;
  architecture_sha256: string;
  weights_sha256: string | null;
  /** the hub's commit; absent where the model lies in no Hugging Face cache */
  revision?: string;
  architecture: string;
  format: string | null;
  parameters: number;
  stored_types: Record<string, number> | null;
  /** tensors that another tool quantised, which are read as the numbers that they stand for; absent: none */
  dequantised?: string;
  /** the class around the text model, and how many of its tensors are left out; absent: there is none */
  wrapper?: { class: string; left_out: number };
  context_limit: number;
  hidden_size: number;
  intermediate_size: number;
  heads: number;
  kv_heads: number;
  head_dim: number;
  vocab_size: number;
  tied_embeddings: boolean;
  /** of every layer; null: none, or as `layer_windows` says */
  sliding_window: number | null;
  /** [layers] tokens a query sees, null: all; absent where layers do not differ */
  layer_windows?: (number | null)[];
  /** every MLP is a mixture; absent: none is */
  experts?: {
    count: number;
    per_token: number;
    /** that a token goes through: all but those of the experts that are not chosen for it */
    active_parameters: number;
  };
  /** what the model computes that llama does not, by the names of docs/models.md; absent: nothing */
  variations?: string[];
  rope: ModelSpec["rope"];
  bos_token_id: number | null;
  eos_token_ids: number[];
  cache_bytes_per_token: number;
  needs: NeedsFacts;
}

const BYTES_PER_VALUE = 4; // the cache is fp32

function specFacts(spec: ModelSpec) {
  const parameters = parametersOf(spec);
  const { experts } = spec;
  return {
    architecture: spec.architecture,
    parameters,
    context_limit: spec.contextLimit,
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    heads: spec.heads,
    kv_heads: spec.kvHeads,
    head_dim: spec.headDim,
    vocab_size: spec.vocabSize,
    tied_embeddings: spec.tiedEmbeddings,
    sliding_window: spec.slidingWindow,
    ...(spec.layerWindows === undefined ? {} : { layer_windows: spec.layerWindows }),
    ...(experts === undefined
      ? {}
      : {
          experts: {
            count: experts.count,
            per_token: experts.perToken,
            active_parameters: activeParametersOf(spec),
          },
        }),
    ...(variationsOf(spec).length === 0 ? {} : { variations: variationsOf(spec) }),
    rope: spec.rope,
    bos_token_id: spec.bosTokenId,
    eos_token_ids: spec.eosTokenIds,
    cache_bytes_per_token: 2 * spec.layers * spec.kvHeads * spec.headDim * BYTES_PER_VALUE,
  };
}

function checkpointFacts(checkpoint: Checkpoint): Omit<ModelFacts, "needs"> {
  const { spec, wrapper } = checkpoint;
  const dequantised = dequantisedText(checkpoint.storedTypes);
  return {
    name: spec.name,
    layers: spec.layers,
    architecture_sha256: checkpoint.architectureSha256,
    weights_sha256: checkpoint.weightsSha256,
    ...(checkpoint.revision === undefined ? {} : { revision: checkpoint.revision }),
    format: checkpoint.format,
    stored_types: checkpoint.storedTypes,
    ...(dequantised === null ? {} : { dequantised }),
    ...(wrapper === undefined ? {} : { wrapper: { class: wrapper.className, left_out: wrapper.leftOut } }),
    ...specFacts(spec),
  };
}

async function configFacts(path: string, wanted: NeedsRequest): Promise<ModelFacts> {
  const spec = openConfigOnly(path);
  return {
    name: spec.name,
    layers: spec.layers,
    architecture_sha256: architectureSha256(spec),
    weights_sha256: null,
    format: null,
    stored_types: null,
    ...specFacts(spec),
    needs: await needsFacts(spec, wanted),
  };
}
