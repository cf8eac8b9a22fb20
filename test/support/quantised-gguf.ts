/** Tiny GGUF models whose matrices are blocks of random codes: what no quantiser would have written, and a file may hold. */
import type { GgufTensor } from "./gguf-bytes.js";
import { toF16, uniform } from "./numbers.js";
import { ggufName, type TinyModel, tinyTensors, writeTinyGguf } from "./tiny-checkpoint.js";

const BLOCKS = { Q4_0: { id: 2, bytes: 18 }, Q8_0: { id: 8, bytes: 34 } } as const;
export type CodedType = keyof typeof BLOCKS;

/** @param typeOf of a matrix, by its canonical name; null: as it is, in fp32 */
export function writeCodedGguf(path: string, model: TinyModel, typeOf: (name: string) => CodedType | null): string {
  const tensors: Record<string, GgufTensor> = {};
  for (const [i, [name, { shape }]] of [...tinyTensors(model)].entries()) {
    const type = shape.length === 2 ? typeOf(name) : null;
    if (type === null) continue;
    const { id, bytes } = BLOCKS[type];
    tensors[ggufName(name)] = { type: id, shape, bytes: randomBlocks((shape[0] * shape[1]) / 32, bytes, 1000 + i) };
  }
  return writeTinyGguf(path, { ...model, tensors });
}

/** Scales of either sign, 0 too; codes of all kinds but often small, so that the greatest of a block is rarely the greatest there is. */
function randomBlocks(blocks: number, bytes: number, seed: number): Uint8Array {
  const random = uniform(seed);
  const out = new Uint8Array(blocks * bytes);
  const view = new DataView(out.buffer);
  for (let block = 0; block < blocks; block++) {
    const at = block * bytes;
    const scale = random() < 0.05 ? 0 : (random() - 0.5) * 0.02;
    view.setUint16(at, toF16(scale), true);
    const narrow = random() < 0.7;
    for (let i = 2; i < bytes; i++) {
      const code = Math.floor(random() * 256);
      // both halves of a byte between 4 and 11, or a byte between -32 and 31
      out[at + i] = !narrow ? code : bytes === 18 ? 0x44 + (code & 0x77) : ((code % 64) - 32) & 0xff;
    }
  }
  return out;
}
