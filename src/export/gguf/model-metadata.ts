/** A whole model's metadata, from which a draft's is made: of a file as they lie, or made. */
import type { GgufFile } from "../../model/formats/gguf-file.js";
import { isGgufArray } from "../../model/formats/gguf-reader.js";
import { copiedEntry, type MetadataEntry, type MetadataValue, madeEntry } from "./metadata.js";

export interface ModelMetadata {
  /** in their order */
  keys: readonly string[];
  /** @param renamed the key it gets */
  entry(key: string, renamed?: string): MetadataEntry;
  /** the numbers of an array; undefined where the key holds something else */
  numbers(key: string): { type: "i32" | "u32" | "f32"; values: number[] } | undefined;
}

/** The file has to stay open until the entries are written. */
export const fileMetadata = (file: GgufFile): ModelMetadata => ({
  keys: [...file.metadata.keys()],
  entry: (key, renamed) => copiedEntry(file, key, renamed),
  numbers(key) {
    const value = file.metadata.get(key);
    if (!isGgufArray(value) || value.itemType === STRING) return undefined;
    const type = value.itemType === FLOAT ? "f32" : value.itemType === UNSIGNED ? "u32" : "i32";
    return { type, values: file.numbers(key) ?? [] };
  },
});

const UNSIGNED = 4;
const FLOAT = 6;
const STRING = 8;

export const madeMetadata = (values: ReadonlyMap<string, MetadataValue>): ModelMetadata => ({
  keys: [...values.keys()],
  entry(key, renamed = key) {
    const value = values.get(key);
    if (value === undefined) throw new Error(`no metadata entry ${key}`);
    return madeEntry(renamed, value);
  },
  numbers: () => undefined, // what is made here has one number for all layers
});
