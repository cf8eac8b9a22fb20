/**
 * The tiny models of fixtures/architectures/architectures.json: their checkpoints, made again from names and shapes, and
 * what transformers computed.
 */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { crc32 } from "node:zlib";
import { type GgufTensor, ggufBytes, type Metadata } from "./gguf-bytes.js";
import { uniform } from "./numbers.js";
import { safetensorsBytes } from "./safetensors-bytes.js";
import { temporaryFolder } from "./tiny-checkpoint.js";

/** Of a GGUF tensor: which of the checkpoint's it is, and what was done to it; or its numbers. */
type GgufSource =
  | { of: string; how: "as it is" | "plus 1" | "interleaved" }
  /** all of them, one behind the other; `*` stands for an expert's number */
  | { of: string; how: "experts" }
  | { values: number[] };

export interface GgufCase {
  metadata: Record<string, Metadata>;
  tensors: Record<string, GgufSource>;
  llama_cpp: { version: string; equal: number } | { refused: string };
}

export interface ArchitectureCase {
  name: string;
  /** what transformers adds to a norm's weight */
  norms_less: number;
  ids: number[];
  /** position -> [vocabulary] */
  logits: Record<string, number[]>;
  greedy: number[];
  /** transformers' own names */
  tensors: Record<string, number[]>;
  config: Record<string, unknown> & { num_attention_heads: number; num_key_value_heads: number };
  gguf: GgufCase;
}

export const CASES = (
  JSON.parse(
    readFileSync(fileURLToPath(new URL("../fixtures/architectures/architectures.json", import.meta.url)), "utf8"),
  ) as { cases: ArchitectureCase[] }
).cases;

/** As make-architectures.py makes them. */
export function tensorValues(name: string, shape: readonly number[], less: number): Float32Array {
  const random = uniform(crc32(name));
  const spread = shape.length === 2 ? Math.sqrt(12 / shape[1]) : 0.4;
  const centre = name.includes("norm") && shape.length === 1 ? 1 - less : 0;
  const size = shape.reduce((product, n) => product * n, 1);
  return Float32Array.from({ length: size }, () => centre + (random() - 0.5) * spread);
}

const bytesOf = (values: Float32Array) => new Uint8Array(values.buffer, values.byteOffset, values.byteLength);

/** @returns a folder as `save_pretrained` writes it */
export function writeFolder({ config, tensors, norms_less: less }: ArchitectureCase): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(config));
  const stored = Object.entries(tensors).map(
    ([name, shape]) => [name, { dtype: "F32", shape, bytes: bytesOf(tensorValues(name, shape, less)) }] as const,
  );
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(new Map(stored)));
  return folder;
}

/** @returns the file as llama.cpp's converter writes it, without its vocabulary */
export function writeGguf({ config, tensors, norms_less: less }: ArchitectureCase, gguf: GgufCase): string {
  const path = join(temporaryFolder(), "tiny.gguf");
  const written = Object.entries(gguf.tensors).map(([name, source]): [string, GgufTensor] => {
    if ("values" in source)
      return [name, { type: 0, shape: [source.values.length], bytes: bytesOf(Float32Array.from(source.values)) }];
    if (source.how === "experts") return [name, stacked(expertsOf(tensors, source.of), less)];
    const shape = tensors[source.of];
    const values = tensorValues(source.of, shape, less);
    const heads = source.of.includes("q_proj") ? config.num_attention_heads : config.num_key_value_heads;
    const done =
      source.how === "plus 1"
        ? values.map((v) => v + 1)
        : source.how === "interleaved"
          ? interleaved(values, shape, heads)
          : values;
    return [name, { type: 0, shape, bytes: bytesOf(done) }];
  });
  const metadata = new Map(
    Object.entries(gguf.metadata).map(([key, value]): [string, Metadata] => [
      key,
      "values" in value ? { ...value, type: "array", of: (value as unknown as { type: "bool" }).type } : value,
    ]),
  );
  writeFileSync(path, ggufBytes({ metadata, tensors: new Map(written) }));
  return path;
}

/** Names of an expert's tensor, for every expert in order. */
const expertsOf = (tensors: ArchitectureCase["tensors"], of: string): [string, number[]][] => {
  const [before, behind] = of.split("*");
  const name = (expert: number) => `${before}${expert}${behind}`;
  const found: [string, number[]][] = [];
  for (let expert = 0; Object.hasOwn(tensors, name(expert)); expert++)
    found.push([name(expert), tensors[name(expert)]]);
  return found;
};

/** Tensors of one shape as one, in fp32. */
export function stacked(tensors: readonly (readonly [string, readonly number[]])[], less: number): GgufTensor {
  const bytes = Buffer.concat(tensors.map(([name, shape]) => bytesOf(tensorValues(name, shape, less))));
  return { type: 0, shape: [tensors.length, ...tensors[0][1]], bytes: new Uint8Array(bytes) };
}

/** Row j · half + i of a head becomes row 2i + j. */
function interleaved(values: Float32Array, [rows, columns = 1]: readonly number[], heads: number): Float32Array {
  const size = rows / heads;
  const out = new Float32Array(values.length);
  for (let row = 0; row < rows; row++) {
    const inHead = row % size;
    const to = row - inHead + 2 * (inHead % (size / 2)) + Math.floor(inHead / (size / 2));
    out.set(values.subarray(row * columns, (row + 1) * columns), to * columns);
  }
  return out;
}
