/** Ways in which a provider computes one and the same program, by options of its session. */
import type { ProgramForm } from "../../model/graph/program.js";

export interface Variant {
  name: string;
  /** of the provider */
  options: Readonly<Record<string, string>>;
}

export const AS_IT_COMES: Variant = { name: "", options: {} };

/**
 * Flash attention alone. Of several tokens over a past the CUDA provider computes by cuDNN otherwise, which took 9.07 ms
 * instead of 6.38 at 8,192 tokens (Llama-3.1-8B's shape, 8 tokens, H200, ONNX Runtime 1.31.1).
 */
const FLASH: Variant = { name: "flash", options: { sdpa_kernel: "1" } };

/** Of CUDA. Flash takes no bias, so trees stay with what the provider chooses; a step of one token it decodes by Flash anyway. */
export const cudaVariant = ({ tree }: ProgramForm, { q }: { q: number }): Variant =>
  q > 1 && !tree ? FLASH : AS_IT_COMES;
