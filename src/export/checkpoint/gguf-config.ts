/** A config.json for a model that came as a GGUF, as transformers 4 and 5 read it. */
import { architectureOf } from "../../model/architectures/registry.js";
import { unsupportedMaths } from "../../model/failures.js";
import { variationsOf } from "../../model/layers.js";
import type { Llama3RopeScaling, ModelSpec } from "../../model/spec.js";

/** @throws ARCHITECTURE_UNSUPPORTED for what a config.json as it is written here does not say */
function llamaRope(spec: ModelSpec, at: string): { theta: number; scaling: Llama3RopeScaling | null } {
  const { theta, scaling, rotatedDim } = spec.rope;
  const [strange] = variationsOf(spec);
  if (strange !== undefined)
    throw unsupportedMaths(
      at,
      strange,
      `is a part of ${spec.architecture} that no config.json is written for from a GGUF`,
    );
  if (rotatedDim === undefined && (scaling === null || scaling.type === "llama3")) return { theta, scaling };
  throw unsupportedMaths(at, "rope scaling", "is of a kind that no config.json is written for from a GGUF");
}

/**
 * llama.cpp stores mistral models as llama, and a window is then meant; the class with a window is transformers' mistral.
 * @throws ARCHITECTURE_UNSUPPORTED for biases that the class of this architecture cannot have
 */
export function configFromSpec(spec: ModelSpec, at: string): Record<string, unknown> {
  const name = spec.architecture === "llama" && spec.slidingWindow !== null ? "mistral" : spec.architecture;
  const definition = architectureOf(name);
  const keys = {
    num_hidden_layers: spec.layers,
    attention_bias: spec.outputBias,
    mlp_bias: spec.mlpBias,
  };
  const biases = definition.biases(keys);
  for (const key of ["qkvBias", "outputBias", "mlpBias"] as const)
    if (biases[key] !== spec[key])
      throw unsupportedMaths(at, key, `is ${spec[key]}, which transformers' ${definition.className} cannot have`);
  const { theta, scaling } = llamaRope(spec, at);
  const qwen = name === "qwen2" || name === "qwen3";
  return {
    architectures: [definition.className],
    model_type: name,
    vocab_size: spec.vocabSize,
    hidden_size: spec.hiddenSize,
    intermediate_size: spec.intermediateSize,
    ...keys,
    num_attention_heads: spec.heads,
    num_key_value_heads: spec.kvHeads,
    head_dim: spec.headDim,
    hidden_act: "silu",
    max_position_embeddings: spec.contextLimit,
    rms_norm_eps: spec.rmsEps,
    rope_theta: theta,
    rope_scaling:
      scaling === null
        ? null
        : {
            rope_type: scaling.type,
            factor: scaling.factor,
            low_freq_factor: scaling.lowFreqFactor,
            high_freq_factor: scaling.highFreqFactor,
            original_max_position_embeddings: scaling.originalContext,
          },
    tie_word_embeddings: spec.tiedEmbeddings,
    sliding_window: spec.slidingWindow,
    ...(qwen ? { use_sliding_window: spec.slidingWindow !== null, max_window_layers: 0 } : {}),
    attention_dropout: 0,
    initializer_range: 0.02,
    use_cache: true,
    bos_token_id: spec.bosTokenId,
    eos_token_id: spec.eosTokenIds.length === 1 ? spec.eosTokenIds[0] : spec.eosTokenIds,
    torch_dtype: "float32",
  };
}
