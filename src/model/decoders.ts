/**
 * Target and draft of one checkpoint as two ONNX decoders over one file of weights: what both read lies there once.
 */
import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { type Progress, silentProgress } from "../core/progress.js";
import { blockIndex, type Choice, type ChoiceSet, type Kernel, kernelsFor, targetChoices } from "../schema/choice.js";
import { decoderGraph, portable } from "./graph/decoder.js";
import type { GraphDialect } from "./graph/dialect.js";
import { encodeModel } from "./graph/onnx.js";
import { type KernelsOf, weightParts } from "./graph/weights.js";
import type { WeightSource } from "./spec.js";
import { writeWeights } from "./weight-file.js";

/** Names of the files, for whoever writes the configuration beside them. */
export const DECODER_FILES = { target: "model.onnx", draft: "draft.onnx", weights: "model.onnx.data" } as const;

/** Kernels that the target and a draft together run of each block and of the head. */
const storedKernels =
  ({ blocks, head }: ChoiceSet): KernelsOf =>
  (part) => {
    if (part === "head") return kernelsFor([head]);
    const [layer, kind] = part.split(".");
    return kernelsFor([blocks[blockIndex(Number(layer), kind as "attn" | "mlp")]].filter(runs));
  };

const runs = (choice: Choice): choice is Kernel => choice !== "skip";

/**
 * Writes both into a folder that is there and has neither.
 * @param draft null: the target alone
 * @returns names of the files written
 * @throws what the file system says, and what the weights throw
 */
export async function writeDecoders(
  folder: string,
  weights: WeightSource,
  draft: ChoiceSet | null,
  providerDialect: GraphDialect,
  progress: Progress = silentProgress,
): Promise<string[]> {
  const { spec } = weights;
  const dialect = portable(providerDialect);
  const target = targetChoices(spec.layers);
  const places = await writeWeights(join(folder, DECODER_FILES.weights), {
    parts: () => weightParts(weights, storedKernels(draft ?? target), dialect),
    async written({ name }) {
      const layer = /^(\d+)\.mlp\.norm$/.exec(name);
      const done = layer === null ? {} : { stage: "write", done: 2 * Number(layer[1]), total: 2 * spec.layers };
      await progress.tick(done);
    },
  });
  const stored = { file: DECODER_FILES.weights, places };
  const write = async (file: string, choices: ChoiceSet, rows: "every" | "last") => {
    const model = encodeModel(decoderGraph(spec, choices, stored, dialect, rows), "1", dialect.opset);
    await writeFile(join(folder, file), model, { flush: true });
    return file;
  };
  const files: string[] = [DECODER_FILES.weights, await write(DECODER_FILES.target, target, "every")];
  if (draft !== null) files.push(await write(DECODER_FILES.draft, draft, "last"));
  return files;
}
