import { existsSync, statSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { refuseFirstMistakes } from "../core/first-mistakes.js";
import { readGgufTokenizerMetadata } from "../model/formats/gguf-tokenizer.js";
import { modelNotFound } from "../model/hub/reference.js";
import type { TokenizerDefinition } from "./definition.js";
import { tokenizerMissing } from "./failures.js";
import { definitionFromGguf } from "./gguf-tokenizer-json.js";
import { readHuggingFace } from "./hugging-face.js";
import { createLibraryTokenizer, type LibraryTokenizerOptions } from "./library.js";
import type { Tokenizer } from "./types.js";

/** from src/tokenizer and dist/tokenizer alike */
const EMBEDDED = fileURLToPath(new URL("../../models/union-10m", import.meta.url));

/**
 * The tokenizer of a model, giving the ids that the model's own tokenizer gives.
 * @param modelPath a Hugging Face folder with tokenizer.json, a `.gguf` file, or `embedded`
 * @throws FILE_NOT_FOUND, MODEL_NOT_RECOGNISED, TOKENIZER_MISSING, TOKENIZER_INVALID; CHECKPOINT_CORRUPT for a damaged GGUF
 */
export async function openTokenizer(
  modelPath: string,
  options: Partial<LibraryTokenizerOptions> = {},
): Promise<Tokenizer> {
  return createLibraryTokenizer(await readDefinition(modelPath), { now: () => new Date(), ...options });
}

/** @throws as openTokenizer */
export async function readDefinition(modelPath: string): Promise<TokenizerDefinition> {
  const path = modelPath === "embedded" ? EMBEDDED : modelPath;
  if (!existsSync(path)) throw modelNotFound(path);
  const isFolder = statSync(path).isDirectory();
  // a folder with a tokenizer may be asked for that alone
  if (!isFolder || !existsSync(join(path, "tokenizer.json"))) refuseFirstMistakes(path);
  if (!isFolder) return readGguf(path);
  const tokenizer = join(path, "tokenizer.json");
  if (existsSync(tokenizer)) {
    refuseFirstMistakes(tokenizer);
    return readHuggingFace(path);
  }
  if (existsSync(join(path, "tokenizer.model"))) {
    const convert = `python -c "import transformers as t; t.AutoTokenizer.from_pretrained('${path}').save_pretrained('${path}')"`;
    throw tokenizerMissing(path, "there is a tokenizer.model, but no tokenizer.json", `make one: ${convert}`);
  }
  throw tokenizerMissing(
    path,
    "the folder has no tokenizer.json",
    `hf download REPOSITORY tokenizer.json tokenizer_config.json --local-dir ${path}`,
  );
}

function readGguf(path: string): TokenizerDefinition {
  if (!path.toLowerCase().endsWith(".gguf")) {
    throw tokenizerMissing(
      path,
      "neither a folder with tokenizer.json nor a .gguf file",
      "name the folder that holds the model",
    );
  }
  const metadata = readGgufTokenizerMetadata(path);
  if (metadata === undefined) {
    throw tokenizerMissing(
      path,
      "the file carries no tokenizer (tokenizer.ggml.*)",
      "convert the model again with its tokenizer beside it",
    );
  }
  return definitionFromGguf(path, metadata);
}
