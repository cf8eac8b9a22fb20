/** The module's text as far as the draft; `# CONSTANTS` stands where the plan's numbers go. */
export const ASSISTANT_SOURCE = `"""A draft made of a loaded target's own blocks, for transformers' assisted generation. Written by draftplan.

    import draftplan_assistant as draft

    target = draft.load("path of the target")
    assistant = draft.build_assistant(target)
    with draft.counting(target) as counts:
        target.generate(**inputs, assistant_model=assistant, do_sample=False)
    print(counts.json())

As a program it decodes prompts with and without the draft, and prints the counts as JSON:

    python draftplan_assistant.py TARGET --prompts prompts.json --max-new-tokens 64 --compare
"""

import argparse
import contextlib
import copy
import json
import os
import time
import warnings

import torch
import transformers
from torch import nn

# the target's layers, and tokens drafted a round
# a layer of the draft is [an attention of the target's, MLPs that run behind it]; FIRST_MLPS run before any attention
# KERNELS: blocks that the plan runs in another kernel than the target's, and the head
# NGRAM_TOKENS: of a plan that looks tokens up in the text; ASSISTANT: of one in which another model drafts; then LAYERS is empty
# CONSTANTS


class Layer(nn.Module):
    """One attention and the MLPs behind it, each with its norm and residual. The modules are the target's."""

    def __init__(self, like, attention, mlps):
        super().__init__()
        self.input_layernorm = like.input_layernorm
        self.self_attn = attention
        self.mlps = nn.ModuleList(mlps)
        if hasattr(like, "attention_type"):
            self.attention_type = like.attention_type

    def forward(self, hidden_states, **kwargs):
        normed = self.input_layernorm(hidden_states)
        hidden_states = hidden_states + self.self_attn(hidden_states=normed, **kwargs)[0]
        for mlp in self.mlps:
            hidden_states = mlp(hidden_states)
        return hidden_states


class Mlp(nn.Module):
    def __init__(self, norm, mlp):
        super().__init__()
        self.norm = norm
        self.mlp = mlp

    def forward(self, hidden_states):
        return hidden_states + self.mlp(self.norm(hidden_states))


def load(source, **kwargs):
    """The target: a folder, a name of the hub, or a .gguf file, which transformers dequantises (package gguf)."""
    if str(source).endswith(".gguf"):
        folder, name = os.path.split(os.path.abspath(source))
        kwargs.setdefault("dtype", torch.float32)
        return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, **kwargs)
    return transformers.AutoModelForCausalLM.from_pretrained(source, **kwargs)


def build_assistant(target, quantised="dynamic"):
    """The draft, as a model for \`assistant_model\`. It holds no weights of its own but those of blocks that are quantised.

    quantised: what becomes of blocks that the plan quantises.
        "dynamic": torch's int8 linears (weights by row, activations by tensor: coarser than the plan's), on the CPU in
            float32; elsewhere, and for other kernels, as "target", with a warning
        "rounded": weights rounded as the plan's kernel rounds them, multiplied as the target's: accepted as planned, not faster
        "target": not quantised; the weights are shared
    """
    if quantised not in ("dynamic", "rounded", "target"):
        raise ValueError(f"quantised={quantised!r}: one of dynamic, rounded, target")
    base = target.model
    if target.config.num_hidden_layers != TARGET_LAYERS:
        raise ValueError(f"the plan is for a model of {TARGET_LAYERS} layers, this one has {target.config.num_hidden_layers}")
    if any(hasattr(module, "_hf_hook") for module in base.modules()):
        raise ValueError("load the target without device_map: its layers are bound to their places")
    config = draft_config(target.config)
    with torch.device("meta"):
        assistant = type(target)(config)
    changed = Quantiser(target, quantised)
    mlps = lambda layers: [Mlp(base.layers[i].post_attention_layernorm, changed(base.layers[i].mlp, f"{i}.mlp")) for i in layers]
    draft = assistant.model
    draft.embed_tokens = nn.Sequential(base.embed_tokens, *mlps(FIRST_MLPS)) if FIRST_MLPS else base.embed_tokens
    draft.norm = base.norm
    draft.rotary_emb = base.rotary_emb
    layers = []
    for place, (attention, behind) in enumerate(LAYERS):
        own = copy.copy(changed(base.layers[attention].self_attn, f"{attention}.attn"))
        own.layer_idx = place  # in the draft's own cache
        layers.append(Layer(base.layers[attention], own, mlps(behind)))
    draft.layers = nn.ModuleList(layers)
    assistant.lm_head = changed(target.lm_head, "head")
    assistant.training = False
    assistant.generation_config = copy.deepcopy(target.generation_config)
    fix_length(assistant)
    return assistant


def fix_length(assistant):
    """Rounds as long as the plan's: by transformers' defaults a draft ends where its probability falls below 0.4."""
    assistant.generation_config.num_assistant_tokens = DRAFT_TOKENS
    assistant.generation_config.num_assistant_tokens_schedule = "constant"
    assistant.generation_config.assistant_confidence_threshold = 0.0


def draft_config(config):
    kept = [attention for attention, _ in LAYERS]
    draft = copy.deepcopy(config)
    types = getattr(config, "layer_types", None)
    draft.num_hidden_layers = len(kept)
    if types is not None:
        draft.layer_types = [types[layer] for layer in kept]
    if isinstance(getattr(config, "max_window_layers", None), int):
        draft.max_window_layers = sum(layer < config.max_window_layers for layer in kept)
    return draft


class Quantiser:
    """A module as the plan's kernel for it has it."""

    def __init__(self, target, mode):
        self.mode = mode
        weight = next(target.parameters())
        self.dynamic = weight.device.type == "cpu" and weight.dtype == torch.float32

    def __call__(self, module, name):
        kernel = KERNELS.get(name)
        if kernel is None or self.mode == "target":
            return module
        if self.mode == "rounded":
            return rounded(copy.deepcopy(module), kernel)
        if kernel == "int8" and self.dynamic:
            return dynamic_int8(copy.deepcopy(module))
        warnings.warn(f"{name} is {kernel} in the plan and runs at the target's precision: torch has no such linear here")
        return module


def dynamic_int8(module):
    import torch.ao.quantization as quantization

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is to move to another package
        whole = nn.Sequential(module)
        kinds = {nn.Linear: quantization.per_channel_dynamic_qconfig}
        return quantization.quantize_dynamic(whole, kinds, dtype=torch.qint8)[0]


def rounded(module, kernel):
    bits = {"int8": 8, "int4": 4}[kernel]
    for linear in module.modules():
        if isinstance(linear, nn.Linear):
            linear.weight = nn.Parameter(rounded_blocks(linear.weight.data, bits), requires_grad=False)
    return module


def rounded_blocks(weight, bits, block=32):
    """As ONNX Runtime's MatMulNBits stores it without zero points: one scale for every 32 inputs of a row."""
    rows, inner = weight.shape
    short = -inner % block
    blocks = nn.functional.pad(weight.float(), (0, short)).view(rows, -1, block)
    extreme = blocks.gather(-1, blocks.abs().argmax(-1, keepdim=True))
    if bits == 8:
        scale, least, most = extreme.abs() / 127, -127, 127
    else:
        scale, least, most = extreme / -8, -8, 7
    codes = torch.where(scale == 0, torch.zeros_like(blocks), (blocks / scale).round()).clamp(least, most)
    return (codes * scale).view(rows, -1)[:, :inner].to(weight.dtype)
`;
