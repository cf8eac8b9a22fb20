/** The module's text; `# CONSTANTS` stands where the plan's numbers go. */
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
        return transformers.AutoModelForCausalLM.from_pretrained(folder, gguf_file=name, dtype=torch.float32, **kwargs)
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


class Counts:
    """What assisted generation did; drafted and accepted tokens behind an end token or the limit do not count."""

    def __init__(self):
        self.prompts = self.rounds = self.tokens = 0
        self.drafted = []  # by position in the round: rounds that drafted it
        self.evaluated = []  # of them those in which all before it were accepted
        self.accepted = []  # of them those in which it was accepted too

    def add(self, candidates, valid, ended):
        """One round: tokens drafted, and tokens that the text went on with."""
        self.rounds += 1
        self.tokens += len(valid)
        if ended:
            candidates = candidates[: len(valid)]
        for counts in (self.drafted, self.evaluated, self.accepted):
            counts.extend([0] * (len(candidates) - len(counts)))
        standing = True
        for position, token in enumerate(candidates):
            self.drafted[position] += 1
            self.evaluated[position] += standing
            standing = standing and position < len(valid) and token == valid[position]
            self.accepted[position] += standing

    def as_dict(self):
        accepted, evaluated = sum(self.accepted), sum(self.evaluated)
        return {
            "kind": "draftplan/transformers-counts",
            "version": 1,
            "engine_version": transformers.__version__,
            "draft_tokens": DRAFT_TOKENS,
            "prompts": self.prompts,
            "rounds": self.rounds,
            "tokens": self.tokens,
            "drafted": sum(self.drafted),
            "accepted": accepted,
            "evaluated": evaluated,
            "drafted_per_position": self.drafted,
            "evaluated_per_position": self.evaluated,
            "accepted_per_position": self.accepted,
            "acceptance": accepted / evaluated if evaluated else None,
            "accepted_length": self.tokens / self.rounds if self.rounds else None,
        }

    def json(self, **more):
        return json.dumps({**self.as_dict(), **more})


@contextlib.contextmanager
def counting(target):
    """Counts every round of the target's assisted generation; transformers keeps no count of its own."""
    counts = Counts()
    made = target._get_candidate_generator

    def wrapped(*args, **kwargs):
        generator = made(*args, **kwargs)
        config = kwargs["generation_config"]
        ends = config.eos_token_id
        ends = set(ends if isinstance(ends, (list, tuple)) else [] if ends is None else [ends])
        round_ = {}
        get, update = generator.get_candidates, generator.update_candidate_strategy
        counts.prompts += 1

        def get_candidates(input_ids, *more, **named):
            found = get(input_ids, *more, **named)
            round_["from"] = input_ids.shape[1]
            round_["tokens"] = found[0][0, input_ids.shape[1] :].tolist()
            return found

        def update_candidate_strategy(input_ids, *more, **named):
            valid = input_ids[0, round_["from"] :].tolist()
            ended = valid[-1] in ends or input_ids.shape[1] >= config.max_length
            counts.add(round_["tokens"], valid, ended)
            return update(input_ids, *more, **named)

        generator.get_candidates = get_candidates
        generator.update_candidate_strategy = update_candidate_strategy
        return generator

    target._get_candidate_generator = wrapped
    try:
        yield counts
    finally:
        del target._get_candidate_generator


def main():
    parser = argparse.ArgumentParser(description="Decodes prompts with the draft and prints counts as JSON.")
    parser.add_argument("target", help="the target: a folder or a .gguf file")
    parser.add_argument("--prompts", required=True, help="a JSON array of texts, or of lists of token ids")
    parser.add_argument("--max-new-tokens", type=int, default=64)
    parser.add_argument("--assistant", help="a model to draft with (default: the target's own blocks)")
    parser.add_argument("--quantised", default="dynamic", choices=["dynamic", "rounded", "target"])
    parser.add_argument("--compare", action="store_true", help="decode without the draft too, and count equal outputs")
    options = parser.parse_args()
    with open(options.prompts, encoding="utf-8") as file:
        prompts = json.load(file)
    target = load(options.target).eval()
    drafting = drafting_arguments(target, options)
    tokenizer = None
    if any(isinstance(prompt, str) for prompt in prompts):
        tokenizer = transformers.AutoTokenizer.from_pretrained(os.path.dirname(os.path.abspath(__file__)))
    outputs, seconds, plain_seconds, equal = [], 0.0, 0.0, 0
    with counting(target) as counts:
        for prompt in prompts:
            ids = torch.tensor([tokenizer(prompt).input_ids if isinstance(prompt, str) else prompt])
            shared = {"attention_mask": torch.ones_like(ids), "do_sample": False, "max_new_tokens": options.max_new_tokens}
            start = time.perf_counter()
            found = target.generate(ids, **shared, **drafting)[0, ids.shape[1] :].tolist()
            seconds += time.perf_counter() - start
            outputs.append(found)
            if options.compare:
                start = time.perf_counter()
                equal += target.generate(ids, **shared)[0, ids.shape[1] :].tolist() == found
                plain_seconds += time.perf_counter() - start
    more = {"seconds": seconds, "plain_seconds": plain_seconds, "equal_outputs": equal} if options.compare else {"seconds": seconds}
    print(counts.json(**more, outputs=outputs))


def drafting_arguments(target, options):
    if NGRAM_TOKENS is not None:
        return {"prompt_lookup_num_tokens": DRAFT_TOKENS, "max_matching_ngram_size": NGRAM_TOKENS}
    if options.assistant is not None or ASSISTANT is not None:
        assistant = load(options.assistant or ASSISTANT).eval()
        fix_length(assistant)
        return {"assistant_model": assistant}
    return {"assistant_model": build_assistant(target, options.quantised)}


if __name__ == "__main__":
    main()
`;
