/**
 * An architecture: what its files name things, and which of the parts that draftplan computes it has. The parts themselves
 * (blocks of norm, attention or gated MLP, and residual) are in graph/, and ModelSpec says which of them a model has; an
 * architecture that computes something else needs a key in ModelSpec and its node in graph/blocks.ts first.
 */

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
}

export interface GgufFacts {
  names: TensorNames;
  /**
   * llama.cpp rotates neighbouring numbers of a head where this is true, and its two halves where it is not
   * (`llama_model_rope_type`); its converter permutes q and k of the former to match (`LlamaModel.permute`).
   */
  interleavedRotary: boolean;
  /** whether `attention.sliding_window` holds for every layer; otherwise the file does not say for which */
  windowInEveryLayer: boolean;
}

export interface ArchitectureDefinition<Name extends string = string> {
  /** `model_type` in config.json, `general.architecture` in a GGUF file, and what draftplan calls it */
  name: Name;
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
  };
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
  /** null: no GGUF file of it is read */
  gguf: GgufFacts | null;
}
