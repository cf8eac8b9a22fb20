/**
 * Target and draft of one checkpoint as two ONNX decoders over one file of weights: what both read lies there once.
 */
import { writeFile } from "node:fs/promises";
import { type Progress, silentProgress } from "../core/progress.js";
import { blockIndex, type Choice, type ChoiceSet, type Kernel, kernelsFor, targetChoices } from "../schema/choice.js";
import { decoderGraph, type LogitRows, portable } from "./graph/decoder.js";
import type { GraphDialect } from "./graph/dialect.js";
import { encodeModel } from "./graph/onnx.js";
import { type KernelsOf, weightParts } from "./graph/weights.js";
import type { WeightSource } from "./spec.js";
import { pagesOf, writeWeights } from "./weight-file.js";

/** Names of the files, for whoever writes the configuration beside them. */
export const DECODER_FILES = { target: "model.onnx", draft: "draft.onnx", weights: "model.onnx.data" } as const;

/** version of the graphs' form, as the files name it */
const FORM = "1";

/** Kernels that the target and a draft together run of each block and of the head. */
const storedKernels =
  ({ blocks, head }: ChoiceSet): KernelsOf =>
  (part) => {
    if (part === "head") return kernelsFor([head]);
    const [layer, kind] = part.split(".");
    return kernelsFor([blocks[blockIndex(Number(layer), kind as "attn" | "mlp")]].filter(runs));
  };

const runs = (choice: Choice): choice is Kernel => choice !== "skip";

const partsOf = (weights: WeightSource, draft: ChoiceSet | null, dialect: GraphDialect) =>
  weightParts(weights, storedKernels(draft ?? targetChoices(weights.spec.layers)), dialect);

/** Bytes of the file of weights, before it is written. */
export function decoderWeightBytes(weights: WeightSource, draft: ChoiceSet | null, dialect: GraphDialect): number {
  let bytes = 0;
  for (const part of partsOf(weights, draft, dialect)) bytes += pagesOf(part);
  return bytes;
}

/**
 * Writes both.
 * @param place where a file of this name is to lie; none is there
 * @param draft null: the target alone
 * @throws what the file system says, and what the weights throw
 */
export async function writeDecoders(
  place: (name: string) => string,
  weights: WeightSource,
  draft: ChoiceSet | null,
  providerDialect: GraphDialect,
  progress: Progress = silentProgress,
): Promise<void> {
  const { spec } = weights;
  const dialect = portable(providerDialect);
  const places = await writeWeights(place(DECODER_FILES.weights), {
    parts: () => partsOf(weights, draft, dialect),
    async written({ name }) {
      const layer = /^(\d+)\.mlp\.norm$/.exec(name);
      const done = layer === null ? {} : { stage: "write", done: 2 * Number(layer[1]), total: 2 * spec.layers };
      await progress.tick(done);
    },
  });
  const stored = { file: DECODER_FILES.weights, places };
  const write = (file: string, choices: ChoiceSet, rows: LogitRows) => {
    const model = encodeModel(decoderGraph(spec, choices, stored, dialect, rows), FORM, dialect.opset);
    return writeFile(place(file), model, { flag: "wx", flush: true });
  };
  await write(DECODER_FILES.target, targetChoices(spec.layers), "every");
  if (draft !== null) await write(DECODER_FILES.draft, draft, "last");
}
