/** Every kernel there is, a line each. What follows from the list is in registry.ts. */
import { fp16 } from "./fp16.js";
import { fp32 } from "./fp32.js";
import { int2 } from "./int2.js";
import { int4 } from "./int4.js";
import { int8 } from "./int8.js";
import { oasis } from "./oasis.js";
import { quantisedTarget } from "./quantised-target.js";

/**
 * Tie margin where activations are rounded to 8 bits, and passes of one token and of several round apart: four standard
 * deviations of the difference of two logits, had both passes rounded independently (docs/method.md, "The tie margin of a
 * quantised target").
 */
const ROUNDED_APART = 1;

/** What a target may be computed with; the first is what documents mean that name none. */
export const TARGET_KERNELS = [
  fp32,
  fp16,
  quantisedTarget(int8, ROUNDED_APART),
  quantisedTarget(int4, ROUNDED_APART),
] as const;

/** What a draft may choose besides the target's own, in the order of tables and messages. */
export const DRAFT_KERNELS = [int8, int4, int2] as const;

/**
 * Kernels whose numbers can be had and whose speed cannot: nothing that runs here has such a product. `evaluate` says what a
 * draft in one would keep; they are no choices, and no document can name them.
 */
export const SIMULATED_KERNELS = [oasis] as const;
