/**
 * DeciLM (NVIDIA's Nemotron-NAS): the one form of a checkpoint in which vLLM, SGLang and TensorRT-LLM leave out an attention
 * without its MLP, or the other way round (`block_configs[i].attention.no_op`, `.ffn.no_op`; vLLM and SGLang
 * `models/nemotron_nas.py`, TensorRT-LLM `modeling_nemotron_nas.py`). It computes what llama does. The configuration is code of
 * the checkpoint's own, so engines are told to trust it.
 */
import type { PlannedDraft } from "../exporter.js";
import type { ExportModel } from "../model.js";
import { unsupported } from "../unsupported.js";
import { isWhole, type PackedLayer, packedLayers } from "./layers.js";

/** Sizes of an MLP that `ffn_mult` can say: SGLang knows no other key, vLLM takes `intermediate_size` too. */
const FFN_STEP = 256;

/**
 * Whether the draft needs this form, and refuses what it does not have either.
 * @param needsFfnMult the engine takes an MLP's size from `ffn_mult` alone
 * @returns false where the draft is a model of whole layers, which needs no other form
 * @throws EXPORT_UNSUPPORTED
 */
export function needsDeci(engine: string, draft: PlannedDraft, model: ExportModel, needsFfnMult: boolean): boolean {
  if (draft.choices === null) return false;
  const layers = packedLayers(draft.choices);
  if (isWhole(layers)) return false;
  const { spec } = model;
  const half = layers.find(({ attn, mlp }) => attn === null || mlp === null) as PackedLayer;
  const which = half.attn === null ? `${half.mlp}.mlp stays without an attention` : `${half.attn}.attn without an MLP`;
  const refuse = (why: string) =>
    unsupported(
      engine,
      draft,
      "draft",
      `${which}, and ${engine} has that for llama models only: ${why}`,
      " --whole-layers",
    );
  if (spec.qkNorm) throw refuse(`this is ${spec.architecture}, which norms the heads of queries and keys`);
  if (spec.slidingWindow !== null) throw refuse("this one has a sliding window");
  if (layers[0]?.attn === null)
    throw unsupported(
      engine,
      draft,
      "draft",
      `0.attn is skipped before ${which}, and ${engine} begins with an attention`,
      " --keep-first-attention",
    );
  if (needsFfnMult && spec.intermediateSize % FFN_STEP !== 0)
    throw refuse(`the size of its MLPs, ${spec.intermediateSize}, is no multiple of ${FFN_STEP}`);
  return true;
}

/** What config.json says beside llama's own keys. */
export function deciConfig({ spec }: ExportModel, layers: readonly PackedLayer[]): Record<string, unknown> {
  const withMult = spec.intermediateSize % FFN_STEP === 0;
  return {
    architectures: ["DeciLMForCausalLM"],
    model_type: "nemotron-nas",
    auto_map: { AutoConfig: `${CONFIGURATION.replace(".py", "")}.DeciLMConfig` },
    ...(spec.qkvBias && !spec.outputBias ? { attention_bias: false, qkv_bias: true } : {}),
    block_configs: layers.map(({ attn, mlp }) => ({
      attention: {
        n_heads_in_group: attn === null ? null : spec.heads / spec.kvHeads,
        no_op: attn === null,
        num_sink_tokens: null,
        replace_with_linear: false,
        sparsify: null,
        unshifted_sink: false,
        use_prefill_window_in_sink_attention: false,
        window_length: null,
      },
      ffn: {
        // int(2 · ffn_mult · hidden / 3), rounded up to a multiple of 256
        ...(withMult
          ? { ffn_mult: mlp === null ? null : (3 * spec.intermediateSize) / (2 * spec.hiddenSize) }
          : { intermediate_size: mlp === null ? null : spec.intermediateSize }),
        no_op: mlp === null,
        replace_with_linear: false,
        sparsify: null,
      },
    })),
  };
}

const CONFIGURATION = "configuration_decilm.py";

/** The configuration's code: llama's keys, and block_configs whose entries are read as attributes and stay plain JSON. */
export const DECI_CODE = {
  name: CONFIGURATION,
  text: `"""Configuration of a draft with attentions or MLPs left out, for engines that know DeciLMForCausalLM. Written by draftplan."""

from transformers import LlamaConfig


class Block(dict):
    """A map whose keys are attributes too; a dict, so that it is written as JSON and copied like any other."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


def blocks(value):
    if isinstance(value, dict):
        return Block({key: blocks(inner) for key, inner in value.items()})
    if isinstance(value, (list, tuple)):
        return [blocks(inner) for inner in value]
    return value


class DeciLMConfig(LlamaConfig):
    model_type = "nemotron-nas"

    def __init__(self, block_configs=None, **kwargs):
        super().__init__(**kwargs)
        self.block_configs = blocks(block_configs or [])
`,
};
