/** What weights take in memory: for an engine that has no room for a quantised copy of every block. */
import { z } from "zod";
import { HeadName, KernelName } from "./common.js";

const BytesByKernel = z.partialRecord(KernelName, z.int().positive());

/** Of the matrices of one block, and of the head, short heads among them; every layer has the same shapes. */
export const WeightBytes = z.strictObject({
  attn: BytesByKernel,
  mlp: BytesByKernel,
  head: z.partialRecord(HeadName, z.int().positive()),
});
export type WeightBytes = z.infer<typeof WeightBytes>;
