/**
 * An architecture: what its files name things, and which of the parts that draftplan computes it has. The parts themselves
 * (blocks of norm, attention or gated MLP, and residual) are in graph/, and ModelSpec says which of them a model has; an
 * architecture that computes something else needs a key in ModelSpec and its node in graph/blocks.ts first.
 */

import type { Variations } from "../variations.js";

/** config.json as far as every architecture has it (formats/hf-config.ts), with whatever else it says. */
export interface ConfigKeys {
  num_hidden_layers: number;
  attention_bias?: boolean | undefined;
  mlp_bias?: boolean | undefined;
  use_sliding_window?: boolean | undefined;
  max_window_layers?: number | undefined;
  layer_types?: string[] | null | undefined;
  [key: string]: unknown;
}

/** Says no to a configuration, naming the key; both return what is to be thrown. */
export interface Refusal {
  /** the value contradicts the others */
  invalid(key: string, what: string): Error;
  /** well-formed, and nothing that draftplan computes */
  unsupported(key: string, what: string): Error;
}

export interface Biases {
  /** on the q, k and v projections */
  qkvBias: boolean;
  /** on the attention's output projection */
  outputBias: boolean;
  /** on the MLP's three projections */
  mlpBias: boolean;
}

/**
 * What a file calls the tensors that draftplan calls by their canonical names (spec.ts), without the ending `.weight` or
 * `.bias`. A name that is not here stays as it is, and is refused where no canonical one is like it.
 */
export interface TensorNames {
  /** of the whole model's: name in the file -> canonical */
  model: Readonly<Record<string, string>>;
  /** what stands before a layer's number, e.g. `blk.` */
  layers: string;
  /** of a layer's, behind its number: name in the file -> canonical */
  layer: Readonly<Record<string, string>>;
  /** of an expert's: what stands before its number, and behind it: name in the file -> canonical; absent: canonical */
  experts?: { before: string; names: Readonly<Record<string, string>> };
}

/** Reads a GGUF file's metadata, keys without the architecture in front. */
export interface GgufKeys {
  /** undefined: not there; fp32 numbers come as the shortest decimal. @throws CONFIG_INVALID where it is no number */
  number(key: string): number | undefined;
  /** undefined: not there */
  flag(key: string): boolean | undefined;
  /** a number or truth value for each layer, as an array has them. @returns undefined: not there, or not an array */
  perLayer(key: string): number[] | undefined;
}

export interface GgufFacts {
  /** `general.architecture`, and what stands before its keys, where that is not the architecture's name */
  architecture?: string;
  /** its files are told from those of another under the same name by `expert_count`, which is above 0 */
  mixture?: true;
  /** the key that says how large its MLPs are; absent: `feed_forward_length` */
  mlpSizeKey?: string;
  names: TensorNames;
  /**
   * llama.cpp rotates neighbouring numbers of a head where this is true, and its two halves where it is not
   * (`llama_model_rope_type`); its converter permutes q and k of the former to match (`LlamaModel.permute`).
   */
  interleavedRotary: boolean;
  /** whether `attention.sliding_window` holds for every layer; otherwise `variations` read it, or the file does not say for which */
  windowInEveryLayer: boolean;
  /** keys that `variations` reads: for other architectures they must have the value at which they change nothing */
  applied?: readonly string[];
  /** What the file says, or llama.cpp takes for granted (src/models/<name>.cpp). */
  variations?(keys: GgufKeys, sizes: Sizes, refusal: Refusal): Variations;
}

/** What is known of a model before its variations are. */
export interface Sizes {
  layers: number;
  hiddenSize: number;
  heads: number;
  headDim: number;
}

export type DefaultSizes = Readonly<
  Record<"vocab_size" | "hidden_size" | "intermediate_size" | "num_hidden_layers" | "num_attention_heads", number>
>;

/** Types of rotary scaling (rope.ts); `dynamic` changes nothing up to the context limit. */
export type RopeType = "default" | "linear" | "dynamic" | "llama3" | "yarn" | "longrope";

export interface ArchitectureDefinition<Name extends string = string> {
  /** `general.architecture` in a GGUF file, and what draftplan calls it */
  name: Name;
  /** `model_type` in config.json, where it is another */
  modelType?: string;
  /** transformers' class, as `architectures` in config.json has it */
  className: string;
  /** transformers' values for keys that a config.json leaves out; null: derived from other keys, or none */
  defaults: {
    kvHeads: number | null;
    headDim: number | null;
    contextLimit: number;
    slidingWindow: number | null;
    rmsEps: number;
    theta: number;
    /** the head is the embedding table; absent: it is not */
    tied?: true;
  };
  /** What transformers' class takes for sizes that are not given: a `text_config` leaves them out where they are these. */
  sizes: DefaultSizes;
  /** the key of config.json that names the MLP's activation, and the one value of it; absent: `hidden_act`, `silu` */
  activation?: { key: string; value: string };
  /** the key of config.json that says how large its MLPs are, and its default; absent: `intermediate_size` */
  mlpSize?: { key: string; size: number };
  /** its configuration may turn a part of each head alone (`partial_rotary_factor`); absent: that is refused */
  partialRotary?: true;
  /**
   * Layers with a window have positions of their own: base and scaling by kind of layer in `rope_parameters`, or the base
   * under a key of its own. Absent: all layers have the same.
   */
  positionsByKind?: { localThetaKey: string; localTheta: number };
  /** types of rotary scaling that its configuration class takes, by their names there; absent: all that are known */
  ropeTypes?: Readonly<Record<string, RopeType>>;
  /** RMS norm over each head of q and k before the rotation */
  qkNorm: boolean;
  /** as config.json says them; in a GGUF file they are the tensors that are there */
  biases(config: ConfigKeys): Biases;
  /**
   * Tokens that a query of each layer sees, itself included; null: all of them. [layers]
   * @param window the configuration's `sliding_window`, or its default
   */
  windows(config: ConfigKeys, window: number | null, refusal: Refusal): (number | null)[];
  /** in .safetensors; null: canonical names as they are */
  tensorNames: TensorNames | null;
  /** in .safetensors, norms' weights are what is added to 1; GGUF files have the sum */
  normsLessOne?: true;
  /** tensors of a layer that are stored one under the other, by rows: canonical name of the whole -> of its parts */
  fused?: Readonly<Record<string, readonly string[]>>;
  /** What it computes besides, as config.json says; what a key changes is applied or refused. */
  variations?(config: ConfigKeys, sizes: Sizes, refusal: Refusal): Variations;
  /** null: no GGUF file of it is read */
  gguf: GgufFacts | null;
}
