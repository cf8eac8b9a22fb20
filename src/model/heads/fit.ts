/** Whether heads fit a model, and what of the model's they use. */
import { expectedTensors } from "../formats/tensors.js";
import { withoutVariations } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import { headsMismatch } from "./failures.js";
import type { HeadsCheckpoint, HeadsSpec } from "./spec.js";

/**
 * Hydra's prefix layer as a model of one layer: a Llama layer of the model's sizes, without biases, whatever the model has
 * (prefix_mlp_head.py: LlamaModel on the base model's configuration).
 */
export const prefixSpec = (model: ModelSpec): ModelSpec => ({
  ...withoutVariations(model),
  architecture: "llama",
  layers: 1,
  qkvBias: false,
  outputBias: false,
  mlpBias: false,
  qkNorm: false,
  slidingWindow: null,
});

/** Shapes of the prefix layer's tensors, by their names here (spec.ts). */
function prefixTensors(model: ModelSpec): Map<string, readonly number[]> {
  const all = expectedTensors({ ...prefixSpec(model), tiedEmbeddings: true });
  return new Map(
    [...all].filter(([name]) => name !== "model.embed_tokens.weight").map(([name, shape]) => [`prefix.${name}`, shape]),
  );
}

/** @throws HEADS_MISMATCH; TENSOR_MISSING or TENSOR_SHAPE for a prefix layer, whose sizes are the model's */
export function requireFits({ spec, source, check }: HeadsCheckpoint, model: ModelSpec): void {
  const { hiddenSize, vocabSize, lmHeadRows, tokenMap } = spec;
  const other = (what: string) => headsMismatch(source, `${what}: they belong to another model than ${model.name}`);
  if (hiddenSize !== model.hiddenSize)
    throw other(`the heads take hidden states of ${hiddenSize} numbers, and the model's have ${model.hiddenSize}`);
  if (vocabSize !== null && vocabSize !== model.vocabSize)
    throw other(`the heads' vocabulary is ${vocabSize}, and the model's ${model.vocabSize}`);
  const beyond = tokenMap?.find((id) => id >= model.vocabSize);
  if (beyond !== undefined)
    throw other(`their token_map names token ${beyond}, and the model's vocabulary is ${model.vocabSize}`);
  const known = tokenMap === null ? [model.vocabSize] : [tokenMap.length, model.vocabSize];
  if (lmHeadRows !== null && !known.includes(lmHeadRows))
    throw other(`their LM head knows ${lmHeadRows} tokens, and ${known.join(" or ")} are asked for`);
  if (spec.prefix) for (const [name, shape] of prefixTensors(model)) check(name, shape);
}

/** Tokens that the heads guess among. */
export const guessedTokens = ({ tokenMap }: HeadsSpec, model: ModelSpec): number => tokenMap?.length ?? model.vocabSize;
