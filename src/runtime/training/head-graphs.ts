/** The graphs that heads are trained with, run by ONNX Runtime on the CPU: buffers bound once, a step is one native call. */
import { encodeModel, type Graph } from "../../model/graph/onnx.js";
import { blockInputs, type HeadsShape, headParameters } from "../../model/heads/parameters.js";
import { gradientName, parameterName, type TrainingOutput, trainingGraph } from "../../model/heads/training-graph.js";
import { ELEMENT, Handles, hostTensors } from "../bindings.js";
import { loadOrt, type OrtApi, type Pointer } from "../ort-api.js";
import { createSession, openEnvironment } from "../threads/pool.js";

export interface TrainingGraphs {
  /** [rows, numbers that the last head's block takes]: each head takes the first of them */
  readonly inputs: Float32Array;
  /** [rows, heads] token ids; for `differentiate` classes where they were chosen */
  readonly targets: BigInt64Array;
  /** [rows, heads] −log of the probability of the target, after either step */
  readonly losses: Float32Array;
  /** [rows, heads] tokens that are likelier than the target, after `judge` */
  readonly ranks: Float32Array;
  /** of the mean loss summed over heads, as headParameters lies, after `differentiate` */
  readonly gradient: Float32Array;
  /** Puts tokens' rows of the LM head at classes from `from` on, and what is added to their logits. */
  choose(from: number, tokens: Int32Array, offset: number): void;
  differentiate(): void;
  judge(): void;
  close(): void;
}

/** Where such graphs are run: the CPU. */
export interface RunsOn {
  threads: number;
  ortLibrary?: string | undefined;
}

/**
 * @param lmHead  [vocabSize, hiddenSize], frozen
 * @param weights as headParameters lies; whoever changes them in place changes the heads
 * @param rows    of every step
 * @param classes that a step of training tells apart, all of them chosen before the first; null: the vocabulary
 * @throws RUNTIME_FAILED
 */
export function openTrainingGraphs(
  shape: HeadsShape,
  lmHead: Float32Array,
  weights: Float32Array,
  rows: number,
  { threads, ortLibrary }: RunsOn,
  classes: number | null = null,
): TrainingGraphs {
  const api = loadOrt(ortLibrary);
  const handles = new Handles(api);
  try {
    const { heads, hiddenSize } = shape;
    const vocabSize = lmHead.length / hiddenSize;
    const inputs = floats(rows * blockInputs(shape, heads - 1));
    const targets = new BigInt64Array(new ArrayBuffer(Math.max(128, 8 * rows * heads)), 0, rows * heads);
    const [losses, ranks] = [floats(rows * heads), floats(rows * heads)];
    const gradient = floats(weights.length);
    const told = classes === null ? lmHead : floats(classes * hiddenSize);
    const offsets = floats(classes ?? vocabSize);
    const make = hostTensors(api, handles);
    const tensor = (data: Float32Array | BigInt64Array, shape: readonly number[]): Pointer => {
      const type = data instanceof Float32Array ? ELEMENT.float : ELEMENT.int64;
      return make(data, data.byteLength, BigInt64Array.from(shape.map(BigInt)), type);
    };
    const parameters = headParameters(shape);
    const part = (all: Float32Array, { offset, length }: { offset: number; length: number }) =>
      all.subarray(offset, offset + length);
    const open = (output: TrainingOutput) => {
      const head = output === "ranks" ? lmHead : told;
      const graph = trainingGraph(shape, head.length / hiddenSize, rows, output);
      const { session, binding } = openBound(api, handles, graph, threads);
      const input = (name: string, value: Pointer) => api.check("BindInput", binding, name, value);
      const result = (name: string, value: Pointer) => api.check("BindOutput", binding, name, value);
      input("inputs", tensor(inputs, [rows, inputs.length / rows]));
      input("targets", tensor(targets, [rows, heads]));
      input("lm_head", tensor(head, [head.length / hiddenSize, hiddenSize]));
      if (output === "gradients") input("offsets", tensor(offsets, [offsets.length]));
      for (const parameter of parameters)
        input(parameterName(parameter), tensor(part(weights, parameter), parameter.shape));
      result("losses", tensor(losses, [rows, heads]));
      if (output === "ranks") result("ranks", tensor(ranks, [rows, heads]));
      else
        for (const parameter of parameters)
          result(gradientName(parameter), tensor(part(gradient, parameter), parameter.shape));
      return () => api.check("RunWithBinding", session, null, binding);
    };
    const [differentiate, judge] = [open("gradients"), open("ranks")];
    const choose = (from: number, tokens: Int32Array, offset: number) => {
      if (told === lmHead) throw new Error("classes are chosen where the vocabulary is told apart");
      tokens.forEach((token, i) => {
        told.set(lmHead.subarray(token * hiddenSize, (token + 1) * hiddenSize), (from + i) * hiddenSize);
      });
      offsets.fill(offset, from, from + tokens.length);
    };
    return {
      inputs,
      targets,
      losses,
      ranks,
      gradient,
      choose,
      differentiate,
      judge,
      close: () => handles.releaseAll(),
    };
  } catch (error) {
    handles.releaseAll();
    throw error;
  }
}

/** A session of a graph, and its binding. */
export function openBound(
  api: OrtApi,
  handles: Handles,
  graph: Graph,
  threads: number,
): { session: Pointer; binding: Pointer } {
  const model = encodeModel(graph, "1");
  const own = handles.own.bind(handles);
  const env = openEnvironment(api, own, threads);
  const session = createSession(api, own, threads, (settings) => {
    api.check("SetSessionGraphOptimizationLevel", settings, 0);
    return api.create("CreateSessionFromArray", env, model, model.length, settings);
  });
  return { session, binding: handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session)) };
}

/** Memory that never moves: V8 keeps small arrays on its own heap, but not buffers that were made as such. */
export const floats = (length: number): Float32Array<ArrayBuffer> =>
  new Float32Array(new ArrayBuffer(Math.max(128, 4 * length)), 0, length);
