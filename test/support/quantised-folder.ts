/** The tiny quantised folders of fixtures/quantised, and what transformers computed from them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { tensorValues } from "./architectures.js";
import { type RawTensor, safetensorsBytes } from "./safetensors-bytes.js";
import { temporaryFolder } from "./tiny-checkpoint.js";

export interface QuantisedCase {
  name: string;
  config: Record<string, unknown>;
  ids: number[];
  /** of the last position */
  logits: number[];
  greedy: number[];
  /** tensors that are stored as they are, made from their names */
  plain: Record<string, number[]>;
  stored: Record<string, { dtype: string; shape: number[]; base64: string }>;
  /** name of a matrix -> [place, number] as the tool dequantises it */
  samples: Record<string, [number, number][]>;
}

const FILE = fileURLToPath(new URL("../fixtures/quantised/quantised.json", import.meta.url));

export const QUANTISED_CASES = (JSON.parse(readFileSync(FILE, "utf8")) as { cases: QuantisedCase[] }).cases;

export function quantisedCase(name: string): QuantisedCase {
  const found = QUANTISED_CASES.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no case ${name}`);
  return found;
}

export interface Change {
  /** keys of quantization_config that are replaced */
  quantization?: Record<string, unknown>;
  /** the tensors before they are written */
  tensors?: (tensors: Map<string, RawTensor>) => void;
}

/** @returns a folder as its tool writes it */
export function writeQuantisedFolder({ config, plain, stored }: QuantisedCase, change: Change = {}): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  const quantization = { ...(config.quantization_config as object), ...change.quantization };
  writeFileSync(join(folder, "config.json"), JSON.stringify({ ...config, quantization_config: quantization }));
  const tensors = new Map<string, RawTensor>();
  for (const [name, shape] of Object.entries(plain)) {
    const { buffer } = tensorValues(name, shape, 0);
    tensors.set(name, { dtype: "F32", shape, bytes: new Uint8Array(buffer) });
  }
  for (const [name, { dtype, shape, base64 }] of Object.entries(stored))
    tensors.set(name, { dtype, shape, bytes: Buffer.from(base64, "base64") });
  change.tensors?.(tensors);
  writeFileSync(join(folder, "model.safetensors"), safetensorsBytes(tensors));
  return folder;
}
