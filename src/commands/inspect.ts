/** draftplan inspect: what a model or a document is, and whether it is valid. */
import { closeSync, openSync, readSync, statSync } from "node:fs";
import { basename } from "node:path";
import { DraftplanError } from "../core/errors.js";
import { architectureSha256 } from "../model/digest.js";
import { expectedTensors } from "../model/formats/tensors.js";
import { EMBEDDED, openCheckpoint, openConfigOnly } from "../model/open.js";
import type { Checkpoint, ModelSpec } from "../model/spec.js";
import { summariseDocument } from "../output/document-summary.js";
import { formatBytes, formatCount } from "../output/format.js";
import { checkBlocks } from "../schema/blocks.js";
import { type AnyDocument, type Loaded, readDocument } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export async function inspectCommand(path: string, context: CommandContext): Promise<void> {
  if (basename(path) === "config.json") return showModel(configFacts(path), context);
  if (isModel(path)) {
    const checkpoint = await openCheckpoint(path);
    checkpoint.close();
    return showModel(checkpointFacts(checkpoint), context);
  }
  inspectDocument(path, context);
}

/** Folders, and files that begin as a model's do or are named like one; everything else is read as a document. */
function isModel(path: string): boolean {
  if (path === EMBEDDED || /\.(gguf|safetensors)$/i.test(path)) return true;
  try {
    return statSync(path).isDirectory() || beginsWith(path, "GGUF");
  } catch {
    return false; // reading it as a document says what is wrong
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
interface ModelFacts {
  name: string;
  layers: number;
  architecture_sha256: string;
  weights_sha256: string | null;
  architecture: string;
  format: string | null;
  parameters: number;
  stored_types: Record<string, number> | null;
  context_limit: number;
  hidden_size: number;
  intermediate_size: number;
  heads: number;
  kv_heads: number;
  head_dim: number;
  vocab_size: number;
  tied_embeddings: boolean;
  sliding_window: number | null;
  rope: ModelSpec["rope"];
  bos_token_id: number | null;
  eos_token_ids: number[];
  cache_bytes_per_token: number;
}

const BYTES_PER_VALUE = 4; // the cache is fp32

function specFacts(spec: ModelSpec) {
  let parameters = 0;
  for (const shape of expectedTensors(spec).values()) parameters += shape.reduce((product, n) => product * n, 1);
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
    rope: spec.rope,
    bos_token_id: spec.bosTokenId,
    eos_token_ids: spec.eosTokenIds,
    cache_bytes_per_token: 2 * spec.layers * spec.kvHeads * spec.headDim * BYTES_PER_VALUE,
  };
}

function checkpointFacts(checkpoint: Checkpoint): ModelFacts {
  const { spec } = checkpoint;
  return {
    name: spec.name,
    layers: spec.layers,
    architecture_sha256: checkpoint.architectureSha256,
    weights_sha256: checkpoint.weightsSha256,
    format: checkpoint.format,
    stored_types: checkpoint.storedTypes,
    ...specFacts(spec),
  };
}

function configFacts(path: string): ModelFacts {
  const spec = openConfigOnly(path);
  return {
    name: spec.name,
    layers: spec.layers,
    architecture_sha256: architectureSha256(spec),
    weights_sha256: null,
    format: null,
    stored_types: null,
    ...specFacts(spec),
  };
}

function showModel(facts: ModelFacts, context: CommandContext): void {
  if (context.json) {
    context.print(JSON.stringify(facts));
    return;
  }
  const types =
    facts.stored_types === null
      ? "unknown without weights"
      : Object.entries(facts.stored_types)
          .map(([type, n]) => `${type} ${n}`)
          .join(", ");
  const rows: [string, string][] = [
    ["name", facts.name],
    ["architecture", `${facts.architecture}${facts.format === null ? "" : `, from ${facts.format}`}`],
    ["layers", `${facts.layers}, that is ${2 * facts.layers} blocks: 0.attn to ${facts.layers - 1}.mlp`],
    ["parameters", formatCount(facts.parameters)],
    ["tensors", types],
    [
      "sizes",
      `hidden ${facts.hidden_size}, MLP ${facts.intermediate_size}, vocabulary ${facts.vocab_size}${facts.tied_embeddings ? ", head tied to the embedding" : ""}`,
    ],
    [
      "attention",
      `${facts.heads} heads on ${facts.kv_heads} key/value heads of ${facts.head_dim}${facts.sliding_window === null ? "" : `, window ${facts.sliding_window}`}`,
    ],
    ["context limit", `${facts.context_limit} tokens, ${formatBytes(facts.cache_bytes_per_token)} of cache each`],
    ["end tokens", facts.eos_token_ids.join(", ") || "none"],
    ["architecture_sha256", facts.architecture_sha256],
    ["weights_sha256", facts.weights_sha256 ?? "none"],
  ];
  for (const [name, value] of rows) context.print(`${name.padEnd(21)}${value}`);
}

function inspectDocument(path: string, context: CommandContext): void {
  let loaded: Loaded<AnyDocument>;
  try {
    loaded = readDocument(path);
    checkBlocks(loaded.document, path);
  } catch (error) {
    // The verdict is the result here; the error itself still goes to stderr, with its exit code.
    if (context.json && error instanceof DraftplanError) {
      const { code, at, what, remedy } = error;
      context.print(
        JSON.stringify({
          file: path,
          kind: null,
          valid: false,
          sha256: null,
          model: null,
          summary: null,
          error: { code, at, what, remedy },
        }),
      );
    }
    throw error;
  }
  const { document, sha256 } = loaded;
  const summary = summariseDocument(document);
  if (context.json) {
    context.print(
      JSON.stringify({
        file: path,
        kind: document.kind,
        valid: true,
        sha256,
        model: document.model,
        summary,
        error: null,
      }),
    );
    return;
  }
  context.print(`${path}: a valid ${document.kind}, version ${document.version}`);
  context.print(`sha256 ${sha256}`);
  for (const line of summary) context.print(line);
}
