/**
 * The weights the graph reads, in the order they are written: one file, every tensor at a page boundary so that the
 * runtime can map it. Linear weights stay [out, in] as checkpoints have them; projections that read the same input
 * are laid one under the other and run as one product.
 */
import type { Kernel } from "../../schema/choice.js";
import { CPU_NUMERICS, type Numerics } from "../../schema/numerics.js";
import type { RowsOfPart, RowTensor } from "../conversion/rows.js";
import { storedFloats } from "../kernels/floats.js";
import type { StoredRows, WeightPart } from "../kernels/kernel.js";
import { kernelFor, targetKernel } from "../kernels/registry.js";
import { type BlockNorms, blockNorms, gatedMlps, ROUTER, ropeTablesOf } from "../layers.js";
import { type Learned, readMoments } from "../moments-file.js";
import { ropeTables } from "../rope.js";
import type { ModelSpec, WeightSource } from "../spec.js";
import { fillHeads, headsAsTheyAre, storedHeadDim } from "./heads.js";
import { expertName, type MatrixShape, matrixShapes, routerName } from "./matrices.js";

/** Name of a matrix in the graph, e.g. `3.attn.qkv` at `int8` -> `3.attn.qkv.int8`. */
export const kernelName = (matrix: string, kernel: Kernel): string => `${matrix}.${kernel}`;

/** The kernels that the matrices of a block (`3.attn`, `3.mlp`), or of the `head`, are stored for. */
export type KernelsOf = (part: string) => readonly Kernel[];

/** What weights are made of, for which kernels and in which numbers. */
interface Request {
  checkpoint: WeightSource;
  kernels: KernelsOf;
  numerics: Numerics;
  learned?: Learned | undefined;
}

/** How the matrices of one block are stored, and where they come from. */
interface Form extends Omit<Request, "kernels"> {
  kernels: readonly Kernel[];
}

/** A part of the weight file; where it can be made some rows at a time, in another thread, of what. */
export interface ModelPart extends WeightPart {
  rows?: RowsOfPart;
}

const formOf = (request: Request, part: string): Form => ({ ...request, kernels: request.kernels(part) });

export const vector = (
  { numerics }: Pick<Form, "numerics">,
  name: string,
  length: number,
  read: () => Float32Array,
): WeightPart => storedFloats(numerics.float, name, [length], read);

/**
 * One matrix [out, inner], as every kernel stores it. It is read once, and let go of with its last part.
 * @param tensors whose rows, one tensor under the other, are what `read` gives; left out: it is made in another way
 * @param stored  those of its rows that are stored as codes already
 */
export function matrix(
  { kernels, numerics, learned = {} }: Pick<Form, "kernels" | "numerics" | "learned">,
  name: string,
  [out, inner]: MatrixShape,
  read: () => Float32Array,
  tensors?: readonly RowTensor[],
  stored?: () => readonly StoredRows[],
): ModelPart[] {
  let cached: Float32Array | undefined; // the parts of one matrix are written one after another
  const get = () => (cached ??= read());
  const place = learned.moments?.(name);
  const levels = learned.levels?.(name);
  const moments = place && (() => readMoments(place));
  const rows = tensors && { inner, numerics, tensors, moments: place };
  const parts = kernels.flatMap((kernel): ModelPart[] => {
    const label = kernelName(name, kernel);
    const { weights } = kernelFor(kernel, numerics.targetPrecision);
    const inputLevels = levels && (() => levels);
    const parts = weights({ label, out, inner, read: get, stored, moments, inputLevels }, numerics);
    return rows ? parts.map((part, index) => ({ ...part, rows: { matrix: rows, by: kernel, label, index } })) : parts;
  });
  return parts.map((part, i) => ({
    ...part,
    bytes() {
      const bytes = part.bytes();
      if (i === parts.length - 1) cached = undefined;
      return bytes;
    },
  }));
}

export function stack(tensors: Float32Array[]): Float32Array {
  if (tensors.length === 1) return tensors[0];
  const all = new Float32Array(tensors.reduce((sum, t) => sum + t.length, 0));
  let at = 0;
  for (const t of tensors) {
    all.set(t, at);
    at += t.length;
  }
  return all;
}

/** A matrix that is the rows of tensors, one under the other. */
const rowMatrix = (form: Form, name: string, shape: MatrixShape, tensors: readonly RowTensor[]): ModelPart[] =>
  matrix(
    form,
    name,
    shape,
    () => readRows(form.checkpoint, tensors, shape[1]),
    tensors,
    () => storedRows(form.checkpoint, tensors, shape[1]),
  );

const readRows = (checkpoint: WeightSource, tensors: readonly RowTensor[], inner: number): Float32Array =>
  stack(tensors.map(({ name, rows }) => checkpoint.tensor(name, [rows, inner])));

function storedRows(checkpoint: WeightSource, tensors: readonly RowTensor[], inner: number): StoredRows[] {
  let end = 0;
  return tensors.flatMap(({ name, rows }) => {
    const from = end;
    end += rows;
    const own = checkpoint.scales?.(name, [rows, inner]) ?? null;
    return own === null ? [] : [{ from, rows, ...own }];
  });
}

/** A block's norms, as `<block>.norm` on what it reads and `<block>.post_norm` on what it adds. */
function normParts(request: Request, name: string, at: string, { before, after }: BlockNorms): ModelPart[] {
  const { checkpoint } = request;
  const { hiddenSize } = checkpoint.spec;
  const part = (local: string, norm: string | null) =>
    norm === null
      ? []
      : [
          vector(request, `${name}.${local}`, hiddenSize, () =>
            checkpoint.tensor(`${at}.${norm}.weight`, [hiddenSize]),
          ),
        ];
  return [...part("norm", before), ...part("post_norm", after)];
}

function attentionParts(request: Request, layer: number): ModelPart[] {
  const { checkpoint } = request;
  const { spec } = checkpoint;
  const { hiddenSize, headDim } = spec;
  const stored = storedHeadDim(spec);
  const shapes = matrixShapes(spec).attn;
  const at = `model.layers.${layer}`;
  const name = `${layer}.attn`;
  const form = formOf(request, name);
  const rows = [
    ["q_proj", spec.heads * headDim],
    ["k_proj", spec.kvHeads * headDim],
    ["v_proj", spec.kvHeads * headDim],
  ] as const;
  const projections = rows.map(([p, out]) => ({ name: `${at}.self_attn.${p}.weight`, rows: out }));
  const output = `${at}.self_attn.o_proj.weight`;
  const parts = [
    ...normParts(request, name, at, blockNorms(spec, "attn")),
    ...(headsAsTheyAre(spec)
      ? [
          ...rowMatrix(form, `${name}.qkv`, shapes.qkv, projections),
          ...rowMatrix(form, `${name}.out`, shapes.out, [{ name: output, rows: hiddenSize }]),
        ]
      : [
          ...matrix(form, `${name}.qkv`, shapes.qkv, () =>
            fillHeads(readRows(checkpoint, projections, hiddenSize), spec, hiddenSize),
          ),
          ...matrix(form, `${name}.out`, shapes.out, () =>
            fillHeads(checkpoint.tensor(output, [hiddenSize, spec.heads * headDim]), spec, 1),
          ),
        ]),
  ];
  if (spec.qkvBias) {
    parts.push(
      vector(request, `${name}.qkv.bias`, shapes.qkv[0], () =>
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
    const norms = [
      ["q_norm", spec.heads],
      ["k_norm", spec.kvHeads],
    ] as const;
    for (const [norm, heads] of norms) {
      const normed = spec.qkNormOver === "projection" ? heads : 1;
      const read = () => checkpoint.tensor(`${at}.self_attn.${norm}.weight`, [normed * headDim]);
      parts.push(
        vector(request, `${name}.${norm}`, normed * stored, () => fillHeads(read(), spec, 1).map((w) => w * shrink)),
      );
    }
  }
  return parts;
}

function mlpParts(request: Request, layer: number): ModelPart[] {
  const { checkpoint } = request;
  const { hiddenSize, experts } = checkpoint.spec;
  const at = `model.layers.${layer}`;
  const name = `${layer}.mlp`;
  const norms = normParts(request, name, at, blockNorms(checkpoint.spec, "mlp"));
  if (experts === undefined) return [...norms, ...gatedParts(request, name, name, `${at}.mlp`)];
  const router = [experts.count, hiddenSize];
  const read = () => checkpoint.tensor(`${at}.${ROUTER}.weight`, router);
  return [
    ...norms,
    storedFloats(request.numerics.float, routerName(name), router, read),
    ...gatedMlps(checkpoint.spec).flatMap((mlp, i) => gatedParts(request, name, expertName(name, i), `${at}.${mlp}`)),
  ];
}

/**
 * The matrices of one gated MLP.
 * @param name of it in the graph, a block's or an expert's
 * @param at   what its tensors' names begin with
 */
function gatedParts(request: Request, block: string, name: string, at: string): ModelPart[] {
  const { checkpoint } = request;
  const { hiddenSize, intermediateSize, mlpBias } = checkpoint.spec;
  const shapes = matrixShapes(checkpoint.spec).mlp;
  const form = formOf(request, block);
  const [gateUp, down] = [["gate_proj", "up_proj"].map((p) => `${at}.${p}`), `${at}.down_proj`];
  const rows = gateUp.map((tensor) => ({ name: `${tensor}.weight`, rows: intermediateSize }));
  const parts = [
    ...rowMatrix(form, `${name}.gate_up`, shapes.gate_up, rows),
    ...rowMatrix(form, `${name}.down`, shapes.down, [{ name: `${down}.weight`, rows: hiddenSize }]),
  ];
  if (!mlpBias) return parts;
  const bias = (tensor: string, out: number) => checkpoint.tensor(`${tensor}.bias`, [out]);
  return [
    ...parts,
    vector(request, `${name}.gate_up.bias`, 2 * intermediateSize, () =>
      stack(gateUp.map((tensor) => bias(tensor, intermediateSize))),
    ),
    vector(request, `${name}.down.bias`, hiddenSize, () => bias(down, hiddenSize)),
  ];
}

/**
 * Every tensor of the graph. The embedding table and a tied head's target matrix are one and the same.
 * @param stored  kernels that every matrix is stored for, or those of each block; the head is stored for the target's at least
 * @param learned moments where codes and scales are fitted (`numerics.scales`), levels for simulated kernels
 */
export function* weightParts(
  checkpoint: WeightSource,
  stored: readonly Kernel[] | KernelsOf,
  numerics: Numerics = CPU_NUMERICS,
  learned?: Learned,
): Generator<ModelPart> {
  const { spec } = checkpoint;
  const kernels = typeof stored === "function" ? stored : () => stored;
  const request = { checkpoint, kernels, numerics, learned };
  const { float } = numerics;
  const tables = (name: string) => [{ name, rows: spec.vocabSize }];
  const table = tables("model.embed_tokens.weight");
  const head = spec.tiedEmbeddings ? table : tables("lm_head.weight");
  const embedding = embeddingName(spec, numerics);
  if (embedding !== kernelName("head", "target")) yield floatTable(request, embedding, spec, table);
  const ropeDims = [spec.contextLimit, storedHeadDim(spec) / 2];
  for (const { cos, sin, rope } of ropeTablesOf(spec)) {
    let made: ReturnType<typeof ropeTables> | undefined; // made when they are written, and not where sizes are asked for
    const both = () => (made ??= ropeTables(spec, rope));
    yield storedFloats(float, cos, ropeDims, () => both().cos);
    yield storedFloats(float, sin, ropeDims, () => both().sin);
  }
  for (let layer = 0; layer < spec.layers; layer++) {
    yield* attentionParts(request, layer);
    yield* mlpParts(request, layer);
  }
  yield vector(request, "norm", spec.hiddenSize, () => checkpoint.tensor("model.norm.weight", [spec.hiddenSize]));
  yield* rowMatrix(formOf(request, "head"), "head", matrixShapes(spec).head.head, head);
}

const floatTable = (
  { checkpoint, numerics }: Request,
  label: string,
  { vocabSize, hiddenSize: inner }: ModelSpec,
  tensors: readonly RowTensor[],
): ModelPart => ({
  ...storedFloats(numerics.float, label, [vocabSize, inner], () => readRows(checkpoint, tensors, inner)),
  rows: { matrix: { inner, numerics, tensors }, by: "floats", label, index: 0 },
});

/** The name of the embedding table's tensor. It is a tied head's, where the target's kernel stores that as it is. */
export const embeddingName = (spec: ModelSpec, { targetPrecision }: Numerics): string =>
  spec.tiedEmbeddings && targetKernel(targetPrecision).float !== null ? kernelName("head", "target") : "embedding";
