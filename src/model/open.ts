/** MODEL on the command line -> Checkpoint: a Hugging Face folder, a `.gguf` file, or the word `embedded`. */

import { closeSync, existsSync, openSync, readSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { errnoOf } from "../core/blocking.js";
import { DraftplanError } from "../core/errors.js";
import { refuseFirstMistakes } from "../core/first-mistakes.js";
import { architectureOf } from "./architectures/registry.js";
import { makeCheckpoint } from "./checkpoint.js";
import { messageOf, unreadable } from "./formats/byte-file.js";
import { openFolderTensors } from "./formats/folder.js";
import { openGgufCheckpoint } from "./formats/gguf.js";
import { readHfConfig } from "./formats/hf-config.js";
import { EMBEDDED, modelNotFound, snapshotOf } from "./hub/reference.js";
import type { Checkpoint, ModelSpec } from "./spec.js";

/** Two levels up from this file lies the package, in `src` as in `dist`. */
const EMBEDDED_DIRECTORY = fileURLToPath(new URL("../../models/union-10m", import.meta.url));

export type ModelLocation = { kind: "directory" | "gguf"; path: string };

/** Opens a model's weights. Throws a DraftplanError for whatever is wrong with it; reads no tensor yet. */
export async function openCheckpoint(source: string): Promise<Checkpoint> {
  const { kind, path } = locateModel(source);
  return kind === "directory" ? openHfDirectory(path, source) : openGgufCheckpoint(path, source);
}

/** A folder as `save_pretrained` writes it. */
async function openHfDirectory(directory: string, source: string): Promise<Checkpoint> {
  const { files, tensors, quantisation, wrapper, spec } = openFolderTensors(directory);
  try {
    const { normsLessOne } = architectureOf(spec.architecture);
    return await makeCheckpoint({
      source,
      revision: snapshotOf(directory)?.revision,
      format: "safetensors",
      spec,
      tensors,
      files,
      normsLessOne: normsLessOne === true,
      quantisation,
      wrapper,
    });
  } catch (cause) {
    for (const file of files) file.close();
    throw cause;
  }
}

/** A model's architecture from its `config.json` alone: enough to measure latencies, which no weight changes. */
export function openConfigOnly(path: string): ModelSpec {
  return readHfConfig(path);
}

/** Where a model lies, and in which format, judged by what is there and not by its name alone. */
export function locateModel(source: string): ModelLocation {
  const path = source === EMBEDDED ? EMBEDDED_DIRECTORY : source;
  const kind = kindOf(path);
  refuseFirstMistakes(path);
  if (kind === "directory") {
    if (existsSync(join(path, "config.json"))) return { kind, path };
    throw notRecognised(
      source,
      "the folder has no config.json",
      "give the folder that holds config.json and the .safetensors files",
    );
  }
  if (kind === "other")
    throw notRecognised(source, "neither a folder nor a regular file", "give a model folder or a .gguf file");
  if (beginsWithGguf(path)) return { kind: "gguf", path };
  if (path.toLowerCase().endsWith(".gguf"))
    throw notRecognised(
      source,
      "does not begin with GGUF",
      "download the file again; it may be a Git LFS pointer or an error page",
    );
  if (basename(path) === "config.json")
    throw notRecognised(
      source,
      "a configuration without weights",
      "give the folder it lies in, with its .safetensors files",
    );
  throw notRecognised(
    source,
    "not a GGUF file",
    "give a .gguf file, or the folder that holds config.json and the .safetensors files",
  );
}

function kindOf(path: string): "directory" | "file" | "other" {
  try {
    const stat = statSync(path);
    return stat.isDirectory() ? "directory" : stat.isFile() ? "file" : "other";
  } catch (cause) {
    if (errnoOf(cause) === "ENOENT" || errnoOf(cause) === "ENOTDIR") throw modelNotFound(path);
    throw unreadable(path, messageOf(cause), cause);
  }
}

function beginsWithGguf(path: string): boolean {
  const magic = Buffer.alloc(4);
  try {
    const descriptor = openSync(path, "r");
    try {
      readSync(descriptor, magic, 0, 4, 0);
    } finally {
      closeSync(descriptor);
    }
  } catch (cause) {
    throw unreadable(path, messageOf(cause), cause);
  }
  return magic.toString("latin1") === "GGUF";
}

function notRecognised(source: string, what: string, remedy: string): DraftplanError {
  return new DraftplanError({ code: "MODEL_NOT_RECOGNISED", at: source, what, remedy });
}
