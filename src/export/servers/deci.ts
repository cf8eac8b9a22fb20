/**
 * A draft of which single attention or MLP blocks are left out, as `DeciLMForCausalLM` (Nemotron-NAS): a Llama-shaped model
 * whose layers may lack either. vLLM, SGLang and TensorRT-LLM read it (models/nemotron_nas.py, modeling_nemotron_nas.py).
 * Layers that lack both are left out as in any draft. The first layer that stays must have its attention: their code takes
 * the embedding as residual there.
 *
 * Sizes of an MLP are a multiple: ceil256(int(2 · ffn_mult · hidden / 3)) has to give the model's own. vLLM alone also takes
 * `intermediate_size`.
 */
import type { ModelSpec } from "../../model/spec.js";
import { blockIndex, blockName, type ChoiceSet } from "../../schema/choice.js";
import { keptLayers } from "../checkpoint/layers.js";
import type { PlannedDraft } from "../exporter.js";
import type { ExportModel } from "../model.js";
import { unsupported } from "../unsupported.js";

const isSkipped = ({ blocks }: ChoiceSet, layer: number, kind: "attn" | "mlp"): boolean =>
  blocks[blockIndex(layer, kind)] === "skip";

/** The first block that is left out without the other of its layer; null where whole layers are. */
export function loneBlock(choices: ChoiceSet): string | null {
  const at = choices.blocks.findIndex((choice, i) => choice === "skip" && choices.blocks[i ^ 1] !== "skip");
  return at === -1 ? null : blockName(at);
}

/** @throws EXPORT_UNSUPPORTED where the form does not hold the draft */
export function requireDeci(engine: string, draft: PlannedDraft, { spec }: ExportModel, takesSizes: boolean): void {
  const { choices } = draft;
  const block = choices === null ? null : loneBlock(choices);
  if (choices === null || block === null) return;
  const refuse = (what: string) =>
    unsupported(engine, draft, "draft.skip", `${block} is skipped without the rest of its layer; ${what}`);
  const lacks = unlikeLlama(spec);
  if (lacks !== null)
    throw refuse(`${engine} has a form for that in Llama-shaped models alone, and this one has ${lacks}`);
  const [first] = keptLayers(choices);
  if (isSkipped(choices, first, "attn"))
    throw refuse(`${engine} needs the attention of the first layer that stays, and ${first}.attn is skipped`);
  if (!takesSizes && spec.intermediateSize % MULTIPLE !== 0)
    throw refuse(`${engine} takes MLPs of a multiple of ${MULTIPLE}, and these have ${spec.intermediateSize}`);
}

const MULTIPLE = 256;

function unlikeLlama(spec: ModelSpec): string | null {
  if (spec.qkNorm) return "norms on queries and keys";
  if (spec.slidingWindow !== null) return "sliding windows";
  if (spec.qkvBias || spec.outputBias || spec.mlpBias) return "biases";
  return null;
}

/** Without the tensors of blocks that are left out: a reader refuses what it has no place for. */
export function withoutSkipped(model: ExportModel, choices: ChoiceSet): ExportModel {
  const tensors = [...model.tensors].filter(([name]) => {
    const [, layer, part] = /^model\.layers\.(\d+)\.(.+)$/.exec(name) ?? [];
    if (layer === undefined) return true;
    return !isSkipped(choices, Number(layer), /^(self_attn|input_layernorm)\b/.test(part) ? "attn" : "mlp");
  });
  return { ...model, tensors: new Map(tensors) };
}

/** Over the target's config.json. */
export function deciConfig({ spec, config }: ExportModel, choices: ChoiceSet): Record<string, unknown> {
  const { heads, kvHeads, hiddenSize, intermediateSize } = spec;
  const size =
    intermediateSize % MULTIPLE === 0
      ? { ffn_mult: (3 * intermediateSize) / (2 * hiddenSize) }
      : { intermediate_size: intermediateSize };
  return {
    architectures: ["DeciLMForCausalLM"],
    model_type: "nemotron-nas",
    auto_map: { AutoConfig: "configuration_decilm.DeciLMConfig" },
    hidden_act: config.hidden_act ?? "silu",
    block_configs: keptLayers(choices).map((layer) => ({
      attention: {
        no_op: isSkipped(choices, layer, "attn"),
        replace_with_linear: false,
        n_heads_in_group: isSkipped(choices, layer, "attn") ? null : heads / kvHeads,
      },
      ffn: {
        no_op: isSkipped(choices, layer, "mlp"),
        replace_with_linear: false,
        ...(isSkipped(choices, layer, "mlp") ? { ffn_mult: null } : size),
      },
    })),
  };
}

/** The configuration's class: transformers has none of this name, and engines ask for it with --trust-remote-code. */
export const DECI_CONFIGURATION = `"""A Llama-shaped model whose layers may lack attention or MLP (model_type nemotron-nas). Written by draftplan."""

from transformers import LlamaConfig


class Block(dict):
    """What block_configs says of a part of a layer: read by attribute, written as JSON."""

    def __getattr__(self, name):
        try:
            value = self[name]
        except KeyError:
            raise AttributeError(name) from None
        return Block(value) if isinstance(value, dict) else value


class DeciLMConfig(LlamaConfig):
    model_type = "nemotron-nas"

    def __init__(self, block_configs=None, **kwargs):
        super().__init__(**kwargs)
        self.block_configs = [Block(block) for block in block_configs or []]
`;
