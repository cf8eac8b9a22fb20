import { floatKernel } from "./floats.js";

/**
 * Logits of a target in fp16 are fp16 numbers: between 16 and 32, where the greatest logit of a model usually lies, they
 * are 2^-6 apart. Passes of one token and of several may round the maximum's logit and the token's to different
 * neighbours, a spacing each. The states that these are products of were rounded after each of 2L blocks, by 2^-12 of
 * their size on average, differently in both passes: over 60 blocks √(2·60) · 2^-12 = 0.3 % of logits that spread by 3 to
 * 5, about a spacing more for each of the two. Four spacings together.
 */
export const fp16 = floatKernel("fp16", 2 ** -4);
