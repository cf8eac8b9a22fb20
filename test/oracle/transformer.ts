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
  rope: TwinRope;
  tiedEmbeddings: boolean;
  qkvBias: boolean;
  outputBias: boolean;
  mlpBias: boolean;
  qkNorm: boolean;
  /** tokens a query sees, itself included */
  slidingWindow: number | null;
  /** absent: llama's way */
  normPlacement?: "after" | "around";
  qkNormOver?: "projection";
  activation?: "gelu_tanh";
  attentionScale?: number;
  attentionSoftCap?: number;
  logitSoftCap?: number;
  embeddingScale?: number;
  residualScale?: number;
  logitScale?: number;
  layerWindows?: (number | null)[];
  windowedRope?: TwinRope;
  unrotatedLayers?: number[];
  experts?: { count: number; perToken: number; normalised: boolean };
}

type TwinScaling =
  | { type: "llama3"; factor: number; lowFreqFactor: number; highFreqFactor: number; originalContext: number }
  | { type: "linear"; factor: number }
  | {
      type: "yarn";
      factor: number;
      betaFast: number;
      betaSlow: number;
      originalContext: number;
      attentionFactor: number;
      truncate: boolean;
    }
  | { type: "longrope"; factors: number[]; attentionFactor: number };

export interface TwinRope {
  theta: number;
  scaling: TwinScaling | null;
  /** the first numbers of a head, that are turned; absent: all */
  rotatedDim?: number;
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
  let states = Array.from(ids, (id) => times(row(embedding, id), spec.embeddingScale ?? 1));
  const all = [states];
  const keys: (Vector | undefined)[][] = [];
  const values: (Vector | undefined)[][] = [];
  for (let layer = 0; layer < layers; layer++) {
    const at = `model.layers.${layer}`;
    const cache = { keys: [] as (Vector | undefined)[], values: [] as (Vector | undefined)[] };
    states = states.map((x, position) =>
      skipped(2 * layer, position)
        ? notCached(cache, x)
        : attention(spec, tensor, { at, layer }, x, position, cache, (key) => reads(layer, position, key)),
    );
    all.push(states);
    states = states.map((x, position) => (skipped(2 * layer + 1, position) ? x : mlp(spec, tensor, at, x)));
    all.push(states);
    keys.push(cache.keys);
    values.push(cache.values);
  }
  const head = tensor(spec.tiedEmbeddings ? "model.embed_tokens.weight" : "lm_head.weight");
  const logits = states.map((x) => {
    const product = linear(rmsNorm(x, tensor("model.norm.weight"), spec.rmsEps), head, vocabSize);
    return times(product, spec.logitScale ?? 1).map((logit) => capped(logit, spec.logitSoftCap));
  });
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
  { at, layer }: { at: string; layer: number },
  x: Vector,
  position: number,
  cache: LayerCache,
  reads: (key: number) => boolean,
): Vector {
  const { heads, kvHeads, headDim, hiddenSize } = spec;
  const norm = (name: string, v: Vector) => rmsNorm(v, tensor(`${at}.${name}.weight`), spec.rmsEps);
  const normed = spec.normPlacement === "after" ? x : norm("input_layernorm", x);
  const window = spec.layerWindows === undefined ? spec.slidingWindow : spec.layerWindows[layer];
  const rope = spec.windowedRope !== undefined && window !== null ? spec.windowedRope : spec.rope;
  const turns = !spec.unrotatedLayers?.includes(layer);
  const project = (part: string, rows: number) => {
    const out = linear(normed, tensor(`${at}.self_attn.${part}_proj.weight`), rows);
    return spec.qkvBias ? add(out, tensor(`${at}.self_attn.${part}_proj.bias`)) : out;
  };
  const prepare = (part: string, count: number) => {
    const all = project(part, count * headDim);
    const over = (v: Vector) => norm(`self_attn.${part}_norm`, v);
    const whole = spec.qkNorm && spec.qkNormOver === "projection" ? over(all) : all;
    return split(whole, headDim).map((head) => {
      const scaled = spec.qkNorm && spec.qkNormOver === undefined ? over(head) : head;
      return turns ? rotate(scaled, position, rope) : scaled;
    });
  };
  const queries = prepare("q", heads);
  cache.keys.push(prepare("k", kvHeads).flat());
  cache.values.push(project("v", kvHeads * headDim));
  const first = window === null ? 0 : Math.max(0, position - window + 1);
  const seen = Array.from({ length: position + 1 - first }, (_, i) => first + i).filter(
    (p) => cache.keys[p] !== undefined && reads(p),
  );
  const attended = queries.flatMap((query, head) => {
    const group = Math.floor(head / (heads / kvHeads));
    const part = (list: (Vector | undefined)[], p: number) =>
      (list[p] as Vector).slice(group * headDim, (group + 1) * headDim);
    const scale = spec.attentionScale ?? 1 / Math.sqrt(headDim);
    const weights = softmax(seen.map((p) => capped(dot(query, part(cache.keys, p)) * scale, spec.attentionSoftCap)));
    const sum = new Array<number>(headDim).fill(0);
    seen.forEach((p, i) => part(cache.values, p).forEach((v, d) => (sum[d] += weights[i] * v)));
    return sum;
  });
  const out = linear(attended, tensor(`${at}.self_attn.o_proj.weight`), hiddenSize);
  const made = spec.outputBias ? add(out, tensor(`${at}.self_attn.o_proj.bias`)) : out;
  const after = spec.normPlacement === undefined ? made : norm("post_attention_layernorm", made);
  return add(x, times(after, spec.residualScale ?? 1));
}

function mlp(spec: TransformerSpec, tensor: TensorReader, at: string, x: Vector): Vector {
  const norm = (name: string, v: Vector) => rmsNorm(v, tensor(`${at}.${name}.weight`), spec.rmsEps);
  const before = spec.normPlacement === "around" ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  const normed = spec.normPlacement === "after" ? x : norm(before, x);
  const { experts } = spec;
  const made =
    experts === undefined
      ? gatedMlp(spec, tensor, `${at}.mlp`, normed)
      : chosen(linear(normed, tensor(`${at}.mlp.gate.weight`), experts.count), experts)
          .map(({ expert, share }) => times(gatedMlp(spec, tensor, `${at}.mlp.experts.${expert}`, normed), share))
          .reduce(add);
  const after = spec.normPlacement === undefined ? made : norm("post_feedforward_layernorm", made);
  return add(x, times(after, spec.residualScale ?? 1));
}

/** The greatest shares of a softmax over all experts. */
function chosen(scores: Vector, { perToken, normalised }: NonNullable<TransformerSpec["experts"]>) {
  const greatest = softmax(scores)
    .map((share, expert) => ({ share, expert }))
    .sort((a, b) => b.share - a.share)
    .slice(0, perToken);
  const total = normalised ? greatest.reduce((sum, { share }) => sum + share, 0) : 1;
  return greatest.map(({ share, expert }) => ({ expert, share: share / total }));
}

function gatedMlp(spec: TransformerSpec, tensor: TensorReader, at: string, normed: Vector): Vector {
  const gate = (g: number) =>
    spec.activation === "gelu_tanh"
      ? 0.5 * g * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (g + 0.044715 * g ** 3)))
      : g / (1 + Math.exp(-g));
  const project = (part: string, input: Vector, rows: number) => {
    const out = linear(input, tensor(`${at}.${part}_proj.weight`), rows);
    return spec.mlpBias ? add(out, tensor(`${at}.${part}_proj.bias`)) : out;
  };
  const up = project("up", normed, spec.intermediateSize);
  const gated = project("gate", normed, spec.intermediateSize).map((g, i) => gate(g) * up[i]);
  return project("down", gated, spec.hiddenSize);
}

/** Angular speed of pair i of `half`, as the model stretches waves. */
export function angularSpeed(i: number, half: number, { theta, scaling }: TwinRope): number {
  const speed = 1 / theta ** (i / half);
  if (scaling === null) return speed;
  if (scaling.type === "linear") return speed / scaling.factor;
  if (scaling.type === "longrope") return speed / scaling.factors[i];
  if (scaling.type === "yarn") return yarnSpeed(i, half, theta, scaling);
  const wavelength = (2 * Math.PI) / speed; // tokens per turn
  const { factor, lowFreqFactor, highFreqFactor, originalContext } = scaling;
  if (wavelength > originalContext / lowFreqFactor) return speed / factor;
  if (wavelength < originalContext / highFreqFactor) return speed;
  const blend = (originalContext / wavelength - lowFreqFactor) / (highFreqFactor - lowFreqFactor);
  return blend * speed + (1 - blend) * (speed / factor);
}

/** Between the pairs of betaFast and betaSlow turns the divisor fades in, in equal steps from pair to pair. */
function yarnSpeed(i: number, half: number, theta: number, scaling: TwinScaling & { type: "yarn" }): number {
  const { factor, betaFast, betaSlow, originalContext, truncate } = scaling;
  const speed = theta ** (-i / half);
  // pair p turns `originalContext · theta^(-p / half) / 2π` times: solved for p
  const pairOf = (turns: number) => half * (Math.log(originalContext / (2 * Math.PI * turns)) / Math.log(theta));
  let [from, to] = [pairOf(betaFast), pairOf(betaSlow)];
  if (truncate) [from, to] = [Math.floor(from), Math.ceil(to)];
  from = Math.max(0, from);
  to = Math.min(2 * half - 1, to);
  if (from === to) to += 0.001;
  const share = i <= from ? 0 : i >= to ? 1 : (i - from) / (to - from);
  return share * (speed / factor) + (1 - share) * speed;
}

/** Turns dimension i of those that are turned together with the one half of them further on. */
function rotate(head: Vector, position: number, rope: TwinRope): Vector {
  const turned = rope.rotatedDim ?? head.length;
  const half = turned / 2;
  const { scaling } = rope;
  const size = scaling !== null && "attentionFactor" in scaling ? scaling.attentionFactor : 1;
  return head.map((x, d) => {
    if (d >= turned) return x;
    const angle = position * angularSpeed(d % half, half, rope);
    const other = d < half ? -head[d + half] : head[d - half];
    return size * (x * Math.cos(angle) + other * Math.sin(angle));
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

const capped = (x: number, cap: number | undefined): number => (cap === undefined ? x : cap * Math.tanh(x / cap));
const times = (x: Vector, factor: number): Vector => x.map((v) => v * factor);
const dot = (a: Vector, b: Vector): number => a.reduce((sum, v, i) => sum + v * b[i], 0);
const add = (a: Vector, b: ArrayLike<number>): Vector => a.map((v, i) => v + b[i]);
const split = (x: Vector, size: number): Vector[] =>
  Array.from({ length: x.length / size }, (_, i) => x.slice(i * size, (i + 1) * size));
