/**
 * A model in several GGUF files, as llama.cpp's `llama-gguf-split` and gguf's writer make them: `NAME-00001-of-00003.gguf`
 * and so on, each with tensors of its own and the keys `split.no` (from 0), `split.count` and `split.tensors.count` (of
 * all parts together). The first has the model's metadata.
 */

import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { DraftplanError } from "../../core/errors.js";
import { corrupt } from "../failures.js";
import { type GgufContents, GgufFile, openGgufFile } from "./gguf-file.js";
import { isGgufArray, NotUtf8 } from "./gguf-reader.js";
import type { StoredTensor } from "./tensors.js";

const NUMBER = "split.no";
const COUNT = "split.count";
const TENSORS = "split.tensors.count";
const SPLIT_KEYS: readonly string[] = [NUMBER, COUNT, TENSORS];
/** Every part holds a file descriptor, and a process has often 1,024. */
const MAX_PARTS = 512;
/** Names of missing parts in a message. */
const SHOWN = 3;

const numeral = (n: number): string => String(n).padStart(5, "0");
/** @param part from 1 */
const suffixOf = (part: number, count: number): string => `-${numeral(part)}-of-${numeral(count)}.gguf`;
const ANY_SUFFIX = /-\d{5,}-of-\d{5,}\.gguf$/;

/** `NAME` of `NAME-00001-of-00003.gguf`, other names as they are. */
export const withoutPart = (name: string): string => name.replace(ANY_SUFFIX, "");

/** A whole file, or all parts of a split one by its first. The caller closes it. */
export function openGguf(path: string): GgufFile {
  const first = openGgufFile(path);
  const opened = [first];
  try {
    const names = otherParts(first);
    if (names.length === 0) return first;
    for (const name of names) opened.push(openGgufFile(name));
    return new GgufFile([first.file, ...opened.slice(1).map(({ file }) => file)], joinParts(opened));
  } catch (cause) {
    for (const one of opened) one.close();
    throw cause;
  }
}

/**
 * Paths of the parts behind the first; none of a file that is whole.
 * @throws MODEL_NOT_RECOGNISED for another part than the first and for a first part under another name, FILE_NOT_FOUND
 * where parts are missing, CHECKPOINT_CORRUPT
 */
function otherParts(first: GgufFile): string[] {
  const count = wholeNumber(first, COUNT) ?? 1;
  if (count <= 1) return [];
  const { path } = first.file;
  if (count > MAX_PARTS) throw corrupt(path, `metadata ${COUNT}`, `is ${count}; at most ${MAX_PARTS} parts are read`);
  const number = partNumber(first, count);
  const name = basename(path);
  if (number !== 1) throw notTheFirst(path, number, count);
  if (!name.endsWith(suffixOf(1, count))) throw otherName(path, count);
  const stem = name.slice(0, -suffixOf(1, count).length);
  const names = Array.from({ length: count - 1 }, (_, i) => `${stem}${suffixOf(i + 2, count)}`);
  const missing = names.filter((one) => !existsSync(join(dirname(path), one)));
  if (missing.length > 0) throw partsMissing(path, missing, count);
  return names.map((one) => join(dirname(path), one));
}

/**
 * All parts, in their order, as one: the first one's metadata without what it says of being split, and all tensors.
 * @throws CHECKPOINT_CORRUPT where a part is not what its name says, or does not go with the others
 */
function joinParts(parts: readonly GgufFile[]): GgufContents {
  const [first] = parts;
  const tensors = new Map<string, StoredTensor>();
  for (const [i, part] of parts.entries()) {
    assertBelongs(part, i + 1, parts);
    for (const [name, tensor] of part.tensors) {
      const other = tensors.get(name);
      if (other !== undefined)
        throw corrupt(part.file.path, `tensor ${name}`, `is in ${basename(other.file.path)} too`);
      tensors.set(name, tensor);
    }
  }
  for (const part of parts) assertTensorCount(part, tensors.size);
  const ofModel = <T>(entries: ReadonlyMap<string, T>) =>
    new Map([...entries].filter(([key]) => !SPLIT_KEYS.includes(key)));
  return { metadata: ofModel(first.metadata), spans: ofModel(first.spans), tensors };
}

function assertBelongs(part: GgufFile, place: number, parts: readonly GgufFile[]): void {
  const { path } = part.file;
  const count = wholeNumber(part, COUNT);
  if (count !== parts.length)
    throw corrupt(
      path,
      `metadata ${COUNT}`,
      `is ${count ?? "missing"}; ${basename(parts[0].file.path)} says ${parts.length}`,
    );
  const number = partNumber(part, count);
  if (number !== place)
    throw corrupt(path, `metadata ${NUMBER}`, `says part ${number} of ${count}; the file's name says part ${place}`);
  for (const [key, value] of part.metadata) {
    const said = parts[0].metadata.get(key);
    // how a file is laid out may differ; long values are not compared, an array's place is its own in each file
    if (key.startsWith("split.") || key === "general.alignment" || said === undefined) continue;
    if (isGgufArray(value) || value instanceof NotUtf8 || Object.is(value, said)) continue;
    throw corrupt(
      path,
      `metadata ${key}`,
      `is another value than in ${basename(parts[0].file.path)}: parts of two models`,
    );
  }
}

function assertTensorCount(part: GgufFile, found: number): void {
  const announced = wholeNumber(part, TENSORS);
  if (announced !== undefined && announced !== found)
    throw corrupt(part.file.path, `metadata ${TENSORS}`, `is ${announced}; the parts have ${found} tensors together`);
}

/** From 1. */
function partNumber(file: GgufFile, count: number): number {
  const number = wholeNumber(file, NUMBER);
  if (number !== undefined && number < count) return number + 1;
  throw corrupt(file.file.path, `metadata ${NUMBER}`, `is ${number ?? "missing"} in one of ${count} parts`);
}

function wholeNumber(file: GgufFile, key: string): number | undefined {
  const value = file.number(key);
  if (value === undefined || (Number.isInteger(value) && value >= 0)) return value;
  throw corrupt(file.file.path, `metadata ${key}`, `is ${value}`);
}

function notTheFirst(path: string, number: number, count: number): DraftplanError {
  const name = basename(path);
  const first = ANY_SUFFIX.test(name) ? `, ${withoutPart(name)}${suffixOf(1, count)}` : "";
  return new DraftplanError({
    code: "MODEL_NOT_RECOGNISED",
    at: path,
    what: `part ${number} of ${count} of a model`,
    remedy: `give the first part${first}; the others are found beside it`,
  });
}

function otherName(path: string, count: number): DraftplanError {
  return new DraftplanError({
    code: "MODEL_NOT_RECOGNISED",
    at: path,
    what: `part 1 of ${count} of a model, whose name does not end in ${suffixOf(1, count)}: the others cannot be found by it`,
    remedy:
      "give the parts the names they were published with, or join them with llama.cpp's `llama-gguf-split --merge`",
  });
}

function partsMissing(path: string, missing: readonly string[], count: number): DraftplanError {
  const more = missing.length > SHOWN ? ` and ${missing.length - SHOWN} more` : "";
  return new DraftplanError({
    code: "FILE_NOT_FOUND",
    at: path,
    what: `part 1 of ${count} of a model; not beside it: ${missing.slice(0, SHOWN).join(", ")}${more}`,
    remedy: "download all parts into one folder, under the names they were published with",
  });
}
