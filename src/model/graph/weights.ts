/**
 * The weights the graph reads, in the order they are written: one file, every tensor at a page boundary so that the
 * runtime can map it. Linear weights stay [out, in] as checkpoints have them; projections that read the same input
 * are laid one under the other and run as one product.
 */
import { KERNELS, type Kernel, quantisedKernels } from "../../schema/choice.js";
import type { FloatType } from "../../schema/numerics.js";
import { tensorNotHalf } from "../failures.js";
import { firstNotFinite, toHalf } from "../kernels/half.js";
import { quantiseRows } from "../kernels/quantise.js";
import type { ModelSpec, WeightSource } from "../spec.js";
import { fillHeads, storedHeadDim } from "./heads.js";
import { ropeTables } from "./rope.js";

/** A tensor to be written: its name in the graph, shape, type and how to make it. */
export interface WeightPart {
  name: string;
  dims: number[];
  type: StoredType;
  bytes(): Uint8Array;
}

export type StoredType = "float32" | "float16" | "uint8";

export const QUANT_BLOCK = 32;

/** Name of a matrix in the graph, e.g. `3.attn.qkv` at `int8` -> `3.attn.qkv.int8`. */
export const kernelName = (matrix: string, kernel: Kernel): string => `${matrix}.${kernel}`;

const bytesOf = (data: Float32Array | Uint16Array): Uint8Array =>
  new Uint8Array(data.buffer, data.byteOffset, data.byteLength);

/** What weights are made of, for which kernels and in which numbers. */
interface Request {
  checkpoint: WeightSource;
  kernels: readonly Kernel[];
  float: FloatType;
}

/** A tensor of floats. `read` gives fp32. */
function floats(float: FloatType, name: string, dims: number[], read: () => Float32Array): WeightPart {
  if (float === "fp32") return { name, dims, type: "float32", bytes: () => bytesOf(read()) };
  const bytes = () => {
    const values = read();
    const halves = toHalf(values);
    const bad = firstNotFinite(halves);
    if (bad !== undefined) throw tensorNotHalf(name, values[bad]);
    return bytesOf(halves);
  };
  return { name, dims, type: "float16", bytes };
}

const vector = ({ float }: Request, name: string, length: number, read: () => Float32Array): WeightPart =>
  floats(float, name, [length], read);

/** One matrix [out, in] for every kernel: floats, and codes with scales for each quantised one. */
function matrix(
  { kernels, float }: Request,
  name: string,
  out: number,
  inner: number,
  read: () => Float32Array,
): WeightPart[] {
  let cached: Float32Array | undefined; // the parts of one matrix are written one after another
  const quantisations = quantisedKernels(kernels);
  const get = () => (cached ??= read());
  const parts: WeightPart[] = [
    floats(float, kernelName(name, "target"), [out, inner], quantisations.length === 0 ? read : get),
  ];
  const blocks = Math.ceil(inner / QUANT_BLOCK);
  for (const kernel of quantisations) {
    const bits = KERNELS[kernel].bits as number;
    let quantised: ReturnType<typeof quantiseRows> | undefined;
    const both = () => (quantised ??= quantiseRows(get(), out, inner, bits, QUANT_BLOCK, float));
    const blockBytes = (QUANT_BLOCK * bits) / 8;
    const label = kernelName(name, kernel);
    parts.push(
      { name: `${label}.codes`, dims: [out, blocks, blockBytes], type: "uint8", bytes: () => both().codes },
      floats(float, `${label}.scales`, [out, blocks], () => {
        const { scales } = both();
        quantised = undefined;
        if (kernel === quantisations.at(-1)) cached = undefined;
        return scales;
      }),
    );
  }
  return parts;
}

function stack(tensors: Float32Array[]): Float32Array {
  if (tensors.length === 1) return tensors[0];
  const all = new Float32Array(tensors.reduce((sum, t) => sum + t.length, 0));
  let at = 0;
  for (const t of tensors) {
    all.set(t, at);
    at += t.length;
  }
  return all;
}

function attentionParts(request: Request, layer: number): WeightPart[] {
  const { checkpoint } = request;
  const { spec } = checkpoint;
  const { hiddenSize, headDim } = spec;
  const stored = storedHeadDim(spec);
  const queryDim = spec.heads * stored;
  const rowCount = (spec.heads + 2 * spec.kvHeads) * stored;
  const at = `model.layers.${layer}`;
  const name = `${layer}.attn`;
  const rows = [
    ["q_proj", spec.heads * headDim],
    ["k_proj", spec.kvHeads * headDim],
    ["v_proj", spec.kvHeads * headDim],
  ] as const;
  const parts = [
    vector(request, `${name}.norm`, hiddenSize, () => checkpoint.tensor(`${at}.input_layernorm.weight`, [hiddenSize])),
    ...matrix(request, `${name}.qkv`, rowCount, hiddenSize, () =>
      stack(
        rows.map(([p, out]) =>
          fillHeads(checkpoint.tensor(`${at}.self_attn.${p}.weight`, [out, hiddenSize]), spec, hiddenSize),
        ),
      ),
    ),
    ...matrix(request, `${name}.out`, hiddenSize, queryDim, () =>
      fillHeads(checkpoint.tensor(`${at}.self_attn.o_proj.weight`, [hiddenSize, spec.heads * headDim]), spec, 1),
    ),
  ];
  if (spec.qkvBias) {
    parts.push(
      vector(request, `${name}.qkv.bias`, rowCount, () =>
        stack(rows.map(([p, out]) => fillHeads(checkpoint.tensor(`${at}.self_attn.${p}.bias`, [out]), spec, 1))),
      ),
    );
  }
  if (spec.outputBias) {
    parts.push(
      vector(request, `${name}.out.bias`, hiddenSize, () =>
        checkpoint.tensor(`${at}.self_attn.o_proj.bias`, [hiddenSize]),
      ),
    );
  }
  if (spec.qkNorm) {
    // The norm's mean is over the stored numbers, zeros included: weight and epsilon (build.ts) make up for it.
    const shrink = Math.sqrt(headDim / stored);
    for (const norm of ["q_norm", "k_norm"]) {
      const read = () => checkpoint.tensor(`${at}.self_attn.${norm}.weight`, [headDim]);
      parts.push(vector(request, `${name}.${norm}`, stored, () => fillHeads(read(), spec, 1).map((w) => w * shrink)));
    }
  }
  return parts;
}

function mlpParts(request: Request, layer: number): WeightPart[] {
  const { checkpoint } = request;
  const { hiddenSize, intermediateSize, mlpBias } = checkpoint.spec;
  const at = `model.layers.${layer}`;
  const name = `${layer}.mlp`;
  const parts = [
    vector(request, `${name}.norm`, hiddenSize, () =>
      checkpoint.tensor(`${at}.post_attention_layernorm.weight`, [hiddenSize]),
    ),
    ...matrix(request, `${name}.gate_up`, 2 * intermediateSize, hiddenSize, () =>
      stack(
        ["gate_proj", "up_proj"].map((p) => checkpoint.tensor(`${at}.mlp.${p}.weight`, [intermediateSize, hiddenSize])),
      ),
    ),
    ...matrix(request, `${name}.down`, hiddenSize, intermediateSize, () =>
      checkpoint.tensor(`${at}.mlp.down_proj.weight`, [hiddenSize, intermediateSize]),
    ),
  ];
  if (mlpBias) {
    parts.push(
      vector(request, `${name}.gate_up.bias`, 2 * intermediateSize, () =>
        stack(["gate_proj", "up_proj"].map((p) => checkpoint.tensor(`${at}.mlp.${p}.bias`, [intermediateSize]))),
      ),
      vector(request, `${name}.down.bias`, hiddenSize, () =>
        checkpoint.tensor(`${at}.mlp.down_proj.bias`, [hiddenSize]),
      ),
    );
  }
  return parts;
}

/** Every tensor of the graph. The embedding table and a tied head's target matrix are one and the same. */
export function* weightParts(
  checkpoint: WeightSource,
  kernels: readonly Kernel[],
  float: FloatType = "fp32",
): Generator<WeightPart> {
  const { spec } = checkpoint;
  const request = { checkpoint, kernels, float };
  const table = () => checkpoint.tensor("model.embed_tokens.weight", [spec.vocabSize, spec.hiddenSize]);
  const head = () =>
    spec.tiedEmbeddings ? table() : checkpoint.tensor("lm_head.weight", [spec.vocabSize, spec.hiddenSize]);
  if (!spec.tiedEmbeddings) yield floats(float, "embedding", [spec.vocabSize, spec.hiddenSize], table);
  const { cos, sin } = ropeTables(spec);
  const ropeDims = [spec.contextLimit, storedHeadDim(spec) / 2];
  yield floats(float, "cos_cache", ropeDims, () => cos);
  yield floats(float, "sin_cache", ropeDims, () => sin);
  for (let layer = 0; layer < spec.layers; layer++) {
    yield* attentionParts(request, layer);
    yield* mlpParts(request, layer);
  }
  yield vector(request, "norm", spec.hiddenSize, () => checkpoint.tensor("model.norm.weight", [spec.hiddenSize]));
  yield* matrix(request, "head", spec.vocabSize, spec.hiddenSize, head);
}

/** The name of the embedding table's tensor. */
export const embeddingName = (spec: ModelSpec): string =>
  spec.tiedEmbeddings ? kernelName("head", "target") : "embedding";
