/**
 * Target and draft as two ONNX decoders. Of one checkpoint both are over one file of weights: what both read lies there once.
 */
import { writeFile } from "node:fs/promises";
import { type Progress, silentProgress } from "../core/progress.js";
import { blockIndex, type Choice, type ChoiceSet, type Kernel, kernelsFor, targetChoices } from "../schema/choice.js";
import { ticking } from "./convert.js";
import type { WeightFile } from "./graph/branch.js";
import { decoderGraph, type LogitRows, portable } from "./graph/decoder.js";
import type { GraphDialect } from "./graph/dialect.js";
import { encodeModel } from "./graph/onnx.js";
import { type KernelsOf, weightParts } from "./graph/weights.js";
import type { WeightSource } from "./spec.js";
import { fileBytes, writeWeights } from "./weight-file.js";

/** Names of the files, for whoever writes the configuration beside them. */
export const DECODER_FILES = {
  target: "model.onnx",
  draft: "draft.onnx",
  weights: "model.onnx.data",
  draftWeights: "draft.onnx.data",
} as const;

/** What drafts: the target's own blocks, or another checkpoint, whose weights lie in a file of their own. */
export interface DecoderDraft {
  choices: ChoiceSet;
  weights?: WeightSource;
}

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
export const decoderWeightBytes = (weights: WeightSource, draft: ChoiceSet | null, dialect: GraphDialect): number =>
  fileBytes(partsOf(weights, draft, dialect));

/**
 * Writes both.
 * @param place where a file of this name is to lie; none is there
 * @param draft null: the target alone
 * @throws what the file system says, and what the weights throw
 */
export async function writeDecoders(
  place: (name: string) => string,
  target: WeightSource,
  draft: DecoderDraft | null,
  providerDialect: GraphDialect,
  progress: Progress = silentProgress,
): Promise<void> {
  const dialect = portable(providerDialect);
  const { target: file, draft: draftFile, weights, draftWeights } = DECODER_FILES;
  const store = async (name: string, source: WeightSource, choices: ChoiceSet | null): Promise<WeightFile> => {
    const parts = () => partsOf(source, choices, dialect);
    return {
      file: name,
      places: await writeWeights(place(name), {
        parts,
        written: ticking("write", source, progress),
        origin: source.origin?.bind(source),
      }),
    };
  };
  const write = (name: string, { spec }: WeightSource, choices: ChoiceSet, stored: WeightFile, rows: LogitRows) => {
    const model = encodeModel(decoderGraph(spec, choices, stored, dialect, rows), FORM, dialect.opset);
    return writeFile(place(name), model, { flag: "wx", flush: true });
  };
  const other = draft?.weights;
  const stored = await store(weights, target, other === undefined ? (draft?.choices ?? null) : null);
  await write(file, target, targetChoices(target.spec.layers), stored, "every");
  if (draft === null) return;
  if (other === undefined) await write(draftFile, target, draft.choices, stored, "last");
  else await write(draftFile, other, draft.choices, await store(draftWeights, other, draft.choices), "last");
}
