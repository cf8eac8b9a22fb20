/** A short head -> ONNX model in the cache: the rows of its tokens gathered, as its kernel stores them. */
import { createHash } from "node:crypto";
import type { Progress } from "../../core/progress.js";
import { numericsName } from "../../schema/numerics.js";
import { type ConvertedModel, cachedEntry } from "../entry.js";
import { matrix, vector } from "../graph/weights.js";
import type { WeightPart } from "../kernels/kernel.js";
import type { Checkpoint, WeightSource } from "../spec.js";
import { type ShortForm, shortHeadGraph } from "./graph.js";
import { HeadRows } from "./rows.js";

/** Raise it whenever the graph or its weights change. */
const LAYOUT = 1;

/** @throws FILE_UNWRITABLE; what reading the model throws */
export function convertShortHead(checkpoint: Checkpoint, form: ShortForm, progress: Progress): Promise<ConvertedModel> {
  const { dialect, kernel, tokens } = form;
  const ids = createHash("sha256").update(new Uint8Array(tokens.buffer, tokens.byteOffset, tokens.byteLength));
  const { weightsSha256, architectureSha256, spec } = checkpoint;
  const of = [ids.digest("hex"), numericsName(kernel, dialect), weightsSha256, architectureSha256, dialect];
  const key = createHash("sha256")
    .update(JSON.stringify(["short head", LAYOUT, ...of]))
    .digest("hex");
  return cachedEntry(key.slice(0, 40), () => ({
    parts: () => shortHeadWeights(checkpoint, form),
    written: () => progress.tick(),
    graph: (weights) => shortHeadGraph(spec, form, weights),
    version: String(LAYOUT),
    opset: dialect.opset,
    label: { model: spec.name, kernels: `head of ${tokens.length} tokens, ${kernel}` },
  }));
}

export function* shortHeadWeights(
  source: WeightSource,
  { kernel, tokens, dialect: numerics }: ShortForm,
): Generator<WeightPart> {
  const { hiddenSize } = source.spec;
  const rows = new HeadRows(source);
  yield vector({ numerics }, "norm", hiddenSize, () => source.tensor("model.norm.weight", [hiddenSize]));
  yield* matrix(
    { kernels: [kernel], numerics },
    "head",
    [tokens.length, hiddenSize],
    () => rows.gather(tokens),
    undefined,
    () => rows.stored(tokens),
  );
}
