"""An export's module and checkpoint in transformers. JSON on stdin, JSON on the last line of stdout.

The oracle of a skipped block is the whole target with that block's last projection set to zero: it then adds nothing.
"""

import copy
import importlib.util
import json
import os
import sys
import warnings

os.environ["HF_HUB_OFFLINE"] = "1"
warnings.simplefilter("ignore")
import torch
import transformers
from safetensors import safe_open

transformers.utils.logging.set_verbosity_error()
job = json.load(sys.stdin)
torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
spec = importlib.util.spec_from_file_location("draftplan_assistant", os.path.join(job["folder"], "draftplan_assistant.py"))
draft = importlib.util.module_from_spec(spec)
sys.dont_write_bytecode = True
spec.loader.exec_module(draft)


def zeroed(target, skip):
    whole = copy.deepcopy(target)
    for name in skip:
        layer, kind = name.split(".")
        block = whole.model.layers[int(layer)]
        last = block.self_attn.o_proj if kind == "attn" else block.mlp.down_proj
        last.weight.data.zero_()
        if last.bias is not None:
            last.bias.data.zero_()
    return whole


def logits(model, ids):
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0]


def difference(a, b):
    return float((a - b).abs().max())


# as draftplan computes it; by default transformers takes the type that a checkpoint is stored in
target = draft.load(job["target"], dtype=torch.float32).eval()
assistant = draft.build_assistant(target, job.get("quantised", "dynamic")) if draft.LAYERS else None
answer = {"version": transformers.__version__}
shared = {parameter.data_ptr() for parameter in target.parameters()}
if assistant is not None:
    answer["own_parameters"] = sum(p.data_ptr() not in shared for p in assistant.parameters())
    if "skip" in job:
        oracle = logits(zeroed(target, job["skip"]), job["prompts"][0])
        answer["scale"] = float(oracle.abs().max())
        answer["module_difference"] = difference(logits(assistant, job["prompts"][0]), oracle)
checkpoint = None
if os.path.exists(os.path.join(job["folder"], "config.json")):
    checkpoint = transformers.AutoModelForCausalLM.from_pretrained(job["folder"], dtype=torch.float32).eval()
    answer["checkpoint_layers"] = len(checkpoint.model.layers)
    if "skip" in job:
        answer["checkpoint_difference"] = difference(logits(checkpoint, job["prompts"][0]), oracle)
    answer["tensors"] = {}
    for name in sorted(os.listdir(job["folder"])):
        if name.endswith(".safetensors"):
            with safe_open(os.path.join(job["folder"], name), "pt") as file:
                for key in file.keys():
                    answer["tensors"][key] = list(file.get_tensor(key).shape)
if job.get("texts"):
    tokenizer = transformers.AutoTokenizer.from_pretrained(job["folder"])
    answer["encoded"] = [tokenizer(text).input_ids for text in job["texts"]]
    if job.get("chat"):
        answer["chat"] = tokenizer.apply_chat_template(job["chat"], tokenize=False, add_generation_prompt=True)


def generate(ids, **drafting):
    ids = torch.tensor([ids])
    found = target.generate(
        ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=job["tokens"], **drafting
    )
    return found[0, ids.shape[1] :].tolist()


if job.get("tokens"):
    if draft.ASSISTANT is not None:
        other = draft.load(draft.ASSISTANT, dtype=torch.float32).eval()
        draft.fix_length(other)
        drafting = {"assistant_model": other}
    elif assistant is not None:
        drafting = {"assistant_model": assistant}
    else:
        drafting = {"prompt_lookup_num_tokens": draft.DRAFT_TOKENS, "max_matching_ngram_size": draft.NGRAM_TOKENS}
    answer["plain"] = [generate(ids) for ids in job["prompts"]]
    with draft.counting(target) as counts:
        answer["drafted"] = [generate(ids, **drafting) for ids in job["prompts"]]
    answer["counts"] = counts.as_dict()
    answer["printed"] = counts.json()
    if checkpoint is not None:
        with draft.counting(target) as counts:
            few = job["prompts"][:4]
            answer["by_checkpoint"] = [generate(ids, assistant_model=checkpoint) for ids in few]
        answer["checkpoint_counts"] = counts.as_dict()
print(json.dumps(answer))
