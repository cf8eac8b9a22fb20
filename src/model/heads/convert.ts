/** Heads -> ONNX models in the cache: the heads themselves, and Hydra's prefix layer where there is one. */
import { createHash } from "node:crypto";
import type { Progress } from "../../core/progress.js";
import { numericsName } from "../../schema/numerics.js";
import { type Conversion, type ConvertedModel, cachedEntry } from "../entry.js";
import type { Checkpoint, ModelSpec } from "../spec.js";
import { type HeadsForm, headsGraph } from "./graph.js";
import { prefixGraph, prefixWeights } from "./prefix.js";
import type { HeadsCheckpoint } from "./spec.js";
import { headsWeights } from "./weights.js";

/** Raise it whenever a graph or its weights change. */
const LAYOUT = 2;

/** The model that heads belong to. Its weights are opened only where something is to be written. */
export interface HeadsTarget {
  spec: ModelSpec;
  weightsSha256: string;
  architectureSha256: string;
  open(): Promise<Checkpoint>;
}

/** @throws FILE_UNWRITABLE; what reading the heads and the model throws */
export async function convertHeads(
  heads: HeadsCheckpoint,
  target: HeadsTarget,
  form: HeadsForm,
  progress: Progress,
): Promise<{ heads: ConvertedModel; prefix: ConvertedModel | null }> {
  const { dialect, ...own } = form;
  const opened: { checkpoint?: Checkpoint } = {};
  const model = async () => (opened.checkpoint ??= await target.open());
  const entry = (
    name: string,
    details: unknown,
    make: (checkpoint: Checkpoint) => Pick<Conversion, "parts" | "graph">,
  ) => {
    const key = [
      ...[name, LAYOUT, details, heads.sha256, heads.spec, target.weightsSha256, target.architectureSha256],
      ...[dialect, numericsName("target", dialect), numericsName("int8", dialect)],
    ];
    return cachedEntry(createHash("sha256").update(JSON.stringify(key)).digest("hex").slice(0, 40), async () => ({
      ...make(await model()),
      written: () => progress.tick(),
      version: String(LAYOUT),
      opset: dialect.opset,
      label: { model: target.spec.name, kernels: name }, // deleted with the model they draft for
    }));
  };
  try {
    return {
      heads: await entry("heads", own, (checkpoint) => ({
        parts: () => headsWeights(heads, checkpoint, form),
        graph: (weights) => headsGraph(heads.spec, target.spec, form, weights),
      })),
      prefix: heads.spec.prefix
        ? await entry("prefix", null, (checkpoint) => ({
            parts: () => prefixWeights(heads, checkpoint, dialect),
            graph: (weights) => prefixGraph(target.spec, weights, dialect),
          }))
        : null,
    };
  } finally {
    opened.checkpoint?.close();
  }
}
