/**
 * Naive twin of the graph: a decoder-only transformer in float64, one position after another, without a cache worth
 * the name. It imports nothing from src. Block 2l is layer l's attention, block 2l + 1 its MLP.
 */

export interface TransformerSpec {
  layers: number;
  hiddenSize: number;
  intermediateSize: number;
  heads: number;
  kvHeads: number;
  headDim: number;
  vocabSize: number;
  rmsEps: number;
  rope: {
    theta: number;
    scaling: { factor: number; lowFreqFactor: number; highFreqFactor: number; originalContext: number } | null;
  };
  tiedEmbeddings: boolean;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  qkNorm: boolean;
  /** tokens a query sees, itself included */
  slidingWindow: number | null;
}

/** Weights by Hugging Face's names; linear ones are [out, in], row-major. */
export type TensorReader = (name: string) => ArrayLike<number>;
/** Whether a block is left out at a position. Its keys and values are then never seen there. */
export type Skipped = (block: number, position: number) => boolean;

/** Whether the attention of a layer, at one position, reads the key of another, an earlier one or its own. */
export type Reads = (layer: number, position: number, key: number) => boolean;

type Vector = number[];

export interface Forward {
  /** [q][vocabSize] */
  logits: Vector[];
  /** [q][hiddenSize], the last residual states, before the final norm */
  hidden: Vector[];
  /** [2 · layers + 1][q][hiddenSize]: entering block b; the last one is `hidden` */
  states: Vector[][];
  /** [layers][q][kvHeads · headDim], after rotation; undefined where the attention was skipped */
  keys: (Vector | undefined)[][];
  values: (Vector | undefined)[][];
}

/** Runs the whole sequence of token ids. */
export function forward(
  spec: TransformerSpec,
  tensor: TensorReader,
  ids: ArrayLike<number>,
  skipped: Skipped = () => false,
  reads: Reads = () => true,
): Forward {
  const { layers, hiddenSize, vocabSize } = spec;
  const row = (table: ArrayLike<number>, index: number): Vector =>
    Array.from({ length: hiddenSize }, (_, i) => table[index * hiddenSize + i]);
  const embedding = tensor("model.embed_tokens.weight");
  let states = Array.from(ids, (id) => row(embedding, id));
  const all = [states];
  const keys: (Vector | undefined)[][] = [];
  const values: (Vector | undefined)[][] = [];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const cache = { keys: [] as (Vector | undefined)[], values: [] as (Vector | undefined)[] };
    states = states.map((x, position) =>
      skipped(2 * layer, position)
        ? notCached(cache, x)
        : attention(spec, tensor, at, x, position, cache, (key) => reads(layer, position, key)),
    );
    all.push(states);
    states = states.map((x, position) => (skipped(2 * layer + 1, position) ? x : mlp(spec, tensor, at, x)));
    all.push(states);
    keys.push(cache.keys);
    values.push(cache.values);
  }
  const head = tensor(spec.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const logits = states.map((x) => linear(rmsNorm(x, tensor("model.norm.weight"), spec.rmsEps), head, vocabSize));
  return { logits, hidden: states, states: all, keys, values };
}

interface LayerCache {
  keys: (Vector | undefined)[];
  values: (Vector | undefined)[];
}

function notCached(cache: LayerCache, x: Vector): Vector {
  cache.keys.push(undefined);
  cache.values.push(undefined);
  return x;
}

function attention(
  spec: TransformerSpec,
  tensor: TensorReader,
  at: string,
  x: Vector,
  position: number,
  cache: LayerCache,
  reads: (key: number) => boolean,
): Vector {
  const { heads, kvHeads, headDim, hiddenSize } = spec;
  const normed = rmsNorm(x, tensor(`${at}.input_layernorm.weight`), spec.rmsEps);
  const project = (part: string, rows: number) => {
    const out = linear(normed, tensor(`${at}.self_attn.${part}_proj.weight`), rows);
    return spec.qkvBias ? add(out, tensor(`${at}.self_attn.${part}_proj.bias`)) : out;
  };
  const prepare = (part: string, count: number) =>
    split(project(part, count * headDim), headDim).map((head) => {
      const scaled = spec.qkNorm ? rmsNorm(head, tensor(`${at}.self_attn.${part}_norm.weight`), spec.rmsEps) : head;
      return rotate(scaled, position, spec.rope);
    });
  const queries = prepare("q", heads);
  cache.keys.push(prepare("k", kvHeads).flat());
  cache.values.push(project("v", kvHeads * headDim));
  const first = spec.slidingWindow === null ? 0 : Math.max(0, position - spec.slidingWindow + 1);
  const seen = Array.from({ length: position + 1 - first }, (_, i) => first + i).filter(
    (p) => cache.keys[p] !== undefined && reads(p),
  );
  const attended = queries.flatMap((query, head) => {
    const group = Math.floor(head / (heads / kvHeads));
    const part = (list: (Vector | undefined)[], p: number) =>
      (list[p] as Vector).slice(group * headDim, (group + 1) * headDim);
    const weights = softmax(seen.map((p) => dot(query, part(cache.keys, p)) / Math.sqrt(headDim)));
    const sum = new Array<number>(headDim).fill(0);
    seen.forEach((p, i) => part(cache.values, p).forEach((v, d) => (sum[d] += weights[i] * v)));
    return sum;
  });
  const out = linear(attended, tensor(`${at}.self_attn.o_proj.weight`), hiddenSize);
  return add(x, spec.outputBias ? add(out, tensor(`${at}.self_attn.o_proj.bias`)) : out);
}

function mlp(spec: TransformerSpec, tensor: TensorReader, at: string, x: Vector): Vector {
  const normed = rmsNorm(x, tensor(`${at}.post_attention_layernorm.weight`), spec.rmsEps);
  const project = (part: string, input: Vector, rows: number) => {
    const out = linear(input, tensor(`${at}.mlp.${part}_proj.weight`), rows);
    return spec.mlpBias ? add(out, tensor(`${at}.mlp.${part}_proj.bias`)) : out;
  };
  const up = project("up", normed, spec.intermediateSize);
  const gated = project("gate", normed, spec.intermediateSize).map((g, i) => (g / (1 + Math.exp(-g))) * up[i]);
  return add(x, project("down", gated, spec.hiddenSize));
}

/** Angular speed of pair i of `half`, with Llama 3.1's stretching of long waves. */
export function angularSpeed(i: number, half: number, { theta, scaling }: TransformerSpec["rope"]): number {
  const speed = 1 / theta ** (i / half);
  if (scaling === null) return speed;
  const wavelength = (2 * Math.PI) / speed; // tokens per turn
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  if (wavelength > originalContext / lowFreqFactor) return speed / factor;
  if (wavelength < originalContext / highFreqFactor) return speed;
  const blend = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return blend * speed + (1 - blend) * (speed / factor);
}

/** Turns dimension i together with i + headDim / 2. */
function rotate(head: Vector, position: number, rope: TransformerSpec["rope"]): Vector {
  const half = head.length / 2;
  return head.map((x, d) => {
    const angle = position * angularSpeed(d % half, half, rope);
    const other = d < half ? -head[d + half] : head[d - half];
    return x * Math.cos(angle) + other * Math.sin(angle);
  });
}

function rmsNorm(x: Vector, weight: ArrayLike<number>, eps: number): Vector {
  const scale = 1 / Math.sqrt(dot(x, x) / x.length + eps);
  return x.map((v, i) => v * scale * weight[i]);
}

function linear(x: Vector, weight: ArrayLike<number>, rows: number): Vector {
  return Array.from({ length: rows }, (_, r) => x.reduce((sum, v, i) => sum + v * weight[r * x.length + i], 0));
}

function softmax(scores: Vector): Vector {
  const greatest = Math.max(...scores);
  const powers = scores.map((s) => Math.exp(s - greatest));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((p) => p / total);
}

const dot = (a: Vector, b: Vector): number => a.reduce((sum, v, i) => sum + v * b[i], 0);
const add = (a: Vector, b: ArrayLike<number>): Vector => a.map((v, i) => v + b[i]);
const split = (x: Vector, size: number): Vector[] =>
  Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));
