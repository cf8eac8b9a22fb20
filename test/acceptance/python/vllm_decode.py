"""Decodes prompts greedily with vLLM on the CPU, plain or as a speculative_config says, as JSON on stdin says.

in:  {"target": DIR, "speculative_config": {..} or null, "prompts": [[ids]], "tokens": n}
out: {"version": .., "results": [[ids]], "drafts": n, "per_position": [n, ..], "schedule": [d, ..] or null}, on the last line of
     stdout; schedule is vLLM's own lookup of the draft length by batch, from 1
"""
import json
import os
import sys

# one process and one thread: threads that wait for a busy core cost more than they give
os.environ.update(VLLM_ENABLE_V1_MULTIPROCESSING="0", VLLM_CPU_OMP_THREADS_BIND="0", OMP_NUM_THREADS="1")
os.environ.update(VLLM_NO_USAGE_STATS="1", DO_NOT_TRACK="1", HF_HUB_OFFLINE="1", VLLM_CPU_KVCACHE_SPACE="1")

import vllm
from vllm import LLM, SamplingParams
from vllm.inputs import TokensPrompt
from vllm.v1.spec_decode.dynamic.utils import build_dynamic_sd_schedule_lookup

MOST_SEQUENCES = 256


def main():
    job = json.load(sys.stdin)
    spec = job["speculative_config"]
    llm = LLM(
        model=job["target"],
        dtype="float32",
        enforce_eager=True,
        max_model_len=512,
        max_num_seqs=4,
        disable_log_stats=False,
        trust_remote_code=True,
        seed=0,
        **({} if spec is None else {"speculative_config": spec}),
    )
    sampling = SamplingParams(temperature=0, max_tokens=job["tokens"], detokenize=False)
    results = []
    for prompt in job["prompts"]:  # one at a time: the plan's length for one sequence
        [answer] = llm.generate([TokensPrompt(prompt_token_ids=prompt)], sampling, use_tqdm=False)
        results.append(list(answer.outputs[0].token_ids))
    metrics = {metric.name: metric for metric in llm.get_metrics() if "spec_decode" in metric.name}
    drafts = metrics.get("vllm:spec_decode_num_drafts")
    per_position = metrics.get("vllm:spec_decode_num_accepted_tokens_per_pos")
    ranges = (spec or {}).get("num_speculative_tokens_per_batch_size")
    schedule = None
    if ranges is not None:
        schedule = build_dynamic_sd_schedule_lookup(ranges, MOST_SEQUENCES, spec["num_speculative_tokens"])[1:]
    print(
        "\n"
        + json.dumps(
            {
                "version": vllm.__version__,
                "results": results,
                "drafts": 0 if drafts is None else drafts.value,
                "per_position": [] if per_position is None else list(per_position.values),
                "schedule": schedule,
            }
        )
    )


main()
