/** Texts through a model a layer at a time, in fp32 on the CPU, with an eye on what goes into every matrix. */
import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Progress, silentProgress } from "../../core/progress.js";
import { storedHeadDim } from "../../model/graph/heads.js";
import { encodeModel, type Graph } from "../../model/graph/onnx.js";
import { MOMENTS_DIALECT, type Tap, watchedHead, watchedLayer } from "../../model/graph/watched.js";
import { weightParts } from "../../model/graph/weights.js";
import type { WeightSource } from "../../model/spec.js";
import { writeWeights } from "../../model/weight-file.js";
import { ELEMENT, Handles } from "../bindings.js";
import { BoundGraph } from "../heads/bound-graph.js";
import { loadOrt, type Pointer } from "../ort-api.js";
import { chooseProvider, libraryFacts } from "../providers.js";
import { openSession } from "../session.js";
import { floats } from "../training/head-graphs.js";

export interface WalkOptions {
  threads: number;
  ortLibrary?: string | undefined;
  progress?: Progress;
}

/** What a tap says of a matrix of the layer that is running. */
export interface Tapped {
  matrix: string;
  dims: readonly number[];
  /** of the last text */
  last: Float32Array;
}

export interface Walk {
  /** what is being done, for progress */
  stage: string;
  tap: Tap;
  /** called for each text of each layer, layers in order */
  read(tapped: readonly Tapped[]): void;
  /** called when all texts have been through a layer */
  layerDone(tapped: readonly Tapped[]): void;
}

/**
 * @param sequences token ids, each a text of its own, all of the same length
 * @param folder    of the caller's, who removes it
 */
export async function walkLayers(
  weights: WeightSource,
  sequences: readonly (readonly number[])[],
  folder: string,
  { stage, tap, read, layerDone }: Walk,
  { threads, ortLibrary, progress = silentProgress }: WalkOptions,
): Promise<void> {
  const { spec } = weights;
  const tokens = sequences[0]?.length ?? 0;
  if (tokens === 0 || sequences.some(({ length }) => length !== tokens))
    throw new RangeError("a model is learned from texts of one length");
  const states = embedded(weights, sequences);
  for (let layer = 0; layer <= spec.layers; layer++) {
    await progress.tick({ stage, done: layer, total: spec.layers });
    const runner = await openLayer(weights, layer, folder, tokens, tap, { threads, ortLibrary });
    try {
      for (const hidden of states) {
        runner.run(hidden);
        read(runner.tapped);
      }
      layerDone(runner.tapped);
    } finally {
      runner.close();
    }
  }
}

/** [tokens · hiddenSize] for each text; the table is read once. */
function embedded(
  { spec, tensor }: WeightSource,
  sequences: readonly (readonly number[])[],
): Float32Array<ArrayBuffer>[] {
  const { hiddenSize, vocabSize, embeddingScale } = spec;
  const table = tensor("model.embed_tokens.weight", [vocabSize, hiddenSize]);
  return sequences.map((ids) => {
    const states = floats(ids.length * hiddenSize);
    ids.forEach((id, at) => {
      states.set(table.subarray(id * hiddenSize, (id + 1) * hiddenSize), at * hiddenSize);
    });
    return embeddingScale === undefined ? states : states.map((value) => value * embeddingScale);
  });
}

/** A layer, or behind the last one the final norm: texts go in, their states go on in place. */
async function openLayer(
  weights: WeightSource,
  layer: number,
  folder: string,
  tokens: number,
  tap: Tap,
  { threads, ortLibrary }: WalkOptions,
) {
  const { spec } = weights;
  const isEnd = layer === spec.layers;
  const isWanted = (name: string) =>
    isEnd
      ? name === "norm"
      : [`${layer}.attn.`, `${layer}.mlp.`, "cos_cache", "sin_cache"].some((one) => name.startsWith(one));
  const [bin, onnx] = ["layer.bin", "layer.onnx"].map((name) => join(folder, name));
  const parts = () => [...weightParts(weights, ["target"], MOMENTS_DIALECT)].filter(({ name }) => isWanted(name));
  rmSync(bin, { force: true });
  const places = await writeWeights(bin, { parts, written: async () => {} });
  const file = { file: "layer.bin", places };
  const graph = isEnd ? watchedHead(spec, file, tap) : watchedLayer(spec, layer, file, tap);
  writeFileSync(onnx, encodeModel(graph, "1", MOMENTS_DIALECT.opset));
  const api = loadOrt(ortLibrary);
  const handles = new Handles(api);
  try {
    const provider = chooseProvider("cpu", libraryFacts(api));
    const session = openSession(api, handles, provider, onnx, { threads });
    return bound(new BoundGraph(api, handles, session, provider), graph, { tokens, spec, isEnd });
  } catch (error) {
    handles.releaseAll();
    throw error;
  }
}

function bound(
  layer: BoundGraph,
  graph: Graph,
  { tokens, spec, isEnd }: { tokens: number; spec: WeightSource["spec"]; isEnd: boolean },
) {
  const buffers: NodeJS.TypedArray[] = []; // the library looks into them by address: they must not be collected before it is done
  const tensor = (data: Float32Array | Int32Array, dims: readonly number[], type: number): Pointer => {
    buffers.push(data);
    const bytes = dims.reduce((product, d) => product * d, data.BYTES_PER_ELEMENT);
    return layer.tensor(data, bytes, BigInt64Array.from(dims.map(BigInt)), type);
  };
  const hidden = floats(tokens * spec.hiddenSize);
  const out = floats(tokens * spec.hiddenSize);
  layer.bindInput("hidden", tensor(hidden, [1, tokens, spec.hiddenSize], ELEMENT.float));
  if (!isEnd) {
    layer.bindOutput("out", tensor(out, [1, tokens, spec.hiddenSize], ELEMENT.float));
    const dims = [1, spec.kvHeads, tokens, storedHeadDim(spec)];
    for (const part of ["key", "value"]) {
      layer.bindInput(`past.${part}`, tensor(floats(32), dims.with(2, 0), ELEMENT.float));
      layer.bindOutput(`present.${part}`, tensor(floats(dims.reduce((a, b) => a * b)), dims, ELEMENT.float));
    }
    const lengths = new Int32Array(new ArrayBuffer(256));
    lengths.set([tokens - 1], 0);
    lengths.set([tokens], 16);
    layer.bindInput("seqlens_k", tensor(lengths.subarray(0, 1), [1], ELEMENT.int32));
    layer.bindInput("total_sequence_length", tensor(lengths.subarray(16, 17), [1], ELEMENT.int32));
  }
  const tapped: Tapped[] = graph.output.flatMap(({ name, type }) => {
    const [kind, ...of] = name.split(".");
    if ((kind !== "moments" && kind !== "inputs") || !("tensorType" in type)) return [];
    const dims = type.tensorType.shape.dim.map((dim) => ("dimValue" in dim ? dim.dimValue : 0));
    const last = floats(dims.reduce((a, b) => a * b));
    layer.bindOutput(name, tensor(last, dims, ELEMENT.float));
    return [{ matrix: of.join("."), dims, last }];
  });
  return {
    tapped,
    /** @param states [tokens, hiddenSize]; those behind the layer take their place */
    run(states: Float32Array): void {
      hidden.set(states);
      layer.run();
      if (!isEnd) states.set(out);
    },
    close() {
      layer.handles.releaseAll();
      buffers.length = 0;
    },
  };
}
