import { blockQuantised } from "./block-quantised.js";

/** Not every provider multiplies codes of 2 bits, nor every version of the library (runtime/providers.ts). */
export const int2 = blockQuantised("int2", 2);
