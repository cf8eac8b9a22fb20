import { emitFloatProduct, storedFloats } from "../../../src/model/kernels/floats.js";
import { FLOAT_BYTES, type KernelDefinition } from "../../../src/model/kernels/kernel.js";

/** Nearest numbers whose last 16 bits are nought, even ones on a tie. */
function roundToBf16(values: Float32Array): Float32Array {
  const rounded = Float32Array.from(values);
  const bits = new Uint32Array(rounded.buffer);
  for (let i = 0; i < bits.length; i++) bits[i] = (bits[i] + 0x7fff + ((bits[i] >>> 16) & 1)) & 0xffff0000;
  return rounded;
}

export const bf16: KernelDefinition<"bf16"> = {
  name: "bf16",
  bits: 16,
  weights: ({ label, out, inner, read }, { float }) => [
    storedFloats(float, label, [out, inner], () => roundToBf16(read())),
  ],
  emit: emitFloatProduct,
  bytes: (out, inner, { float }) => out * inner * FLOAT_BYTES[float],
  numerics: ({ float }) => `${float}, weights rounded to bf16`,
};
