import type { Variations } from "../variations.js";
import type { ArchitectureDefinition, ConfigKeys, GgufFacts, Refusal, Sizes } from "./architecture.js";
import { llama } from "./llama.js";

/** transformers: `GraniteConfig`. llama with four factors: on embeddings, scores, what blocks add, and logits. */
export const granite: ArchitectureDefinition<"granite"> = {
  ...llama,
  name: "granite",
  className: "GraniteForCausalLM",
  sizes: {
    ...{ vocab_size: 32000, hidden_size: 4096, intermediate_size: 11008 },
    ...{ num_hidden_layers: 32, num_attention_heads: 32 },
  },
  variations: (config, { headDim }, refusal) =>
    factors(
      {
        attention: positive(config, "attention_multiplier", refusal),
        embedding: positive(config, "embedding_multiplier", refusal),
        residual: positive(config, "residual_multiplier", refusal),
        logitDivisor: positive(config, "logits_scaling", refusal),
      },
      headDim,
    ),
  gguf: {
    ...(llama.gguf as GgufFacts),
    windowInEveryLayer: false,
    applied: ["attention.scale", "embedding_scale", "residual_scale", "logit_scale"],
    // 0 is "not there" (llama-hparams.h), and scores then have the scale that llama has
    variations(keys, { headDim }: Sizes, refusal) {
      if (keys.flag("rope.scaling.finetuned") === false)
        throw refusal.unsupported("rope.scaling.finetuned", "is false: the model has no rotary positions");
      if (keys.perLayer("deepstack_mapping")?.some((layer) => layer >= 0))
        throw refusal.unsupported("deepstack_mapping", "feeds images into layers");
      return factors(
        {
          attention: keys.number("attention.scale") || 1 / Math.sqrt(headDim),
          embedding: keys.number("embedding_scale") || 1,
          residual: keys.number("residual_scale") || 1,
          logitDivisor: keys.number("logit_scale") || 1,
        },
        headDim,
      );
    },
  },
};

interface Factors {
  attention: number;
  embedding: number;
  residual: number;
  logitDivisor: number;
}

/** Only those that change something. */
const factors = ({ attention, embedding, residual, logitDivisor }: Factors, headDim: number): Variations => ({
  ...(attention === 1 / Math.sqrt(headDim) ? {} : { attentionScale: attention }),
  ...(embedding === 1 ? {} : { embeddingScale: embedding }),
  ...(residual === 1 ? {} : { residualScale: residual }),
  ...(logitDivisor === 1 ? {} : { logitScale: 1 / logitDivisor }),
});

/** The class's default is 1 for each. */
function positive(config: ConfigKeys, key: string, refusal: Refusal): number {
  const value = config[key] ?? 1;
  if (typeof value === "number" && value > 0 && value < 1e6) return value;
  throw refusal.invalid(key, `is ${JSON.stringify(value)?.slice(0, 100)}; a number above 0 is wanted`);
}
