"""Decodes prompts greedily with llama.cpp's server (package xllamacpp), plain or with a draft, as JSON on stdin says.

in:  {"prompts": [[ids]], "tokens": n,
      "jobs": [{"target": FILE, "draft": FILE or null, "draft_tokens": d, "ngram": {"n": N, "m": M} or absent,
                "synth_rates": [..] or absent, "cache": "f32" or absent}]}
out: {"version": .., "jobs": [[{"ids": [..], "draft_n": n, "draft_n_accepted": n, "timings": {..}}]]}, on the last line of
     stdout; timings are the server's, as they stand in its answer
"""
import json
import sys
import urllib.request

import xllamacpp as xlc

GGML_TYPE_F32 = 0


def quiet(cpu):
    """One thread that does not spin: another one that waits for a busy core costs more than it gives."""
    cpu.n_threads = 1
    cpu.poll = 0


def completion(address, body):
    """The server's own route, which gives ids; `handle_completions` answers in OpenAI's form, which has text alone."""
    request = urllib.request.Request(
        f"{address}/completion", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def parameters(job):
    p = xlc.CommonParams()
    p.model.path = job["target"]
    p.n_ctx = 2048
    p.n_parallel = 1
    quiet(p.cpuparams)
    quiet(p.cpuparams_batch)
    p.warmup = False
    p.verbosity = job.get("verbosity", 0)
    kinds = xlc.common_speculative_type
    spec = p.speculative
    types = []
    if job.get("cache") == "f32":
        p.flash_attn_type = xlc.llama_flash_attn_type.LLAMA_FLASH_ATTN_TYPE_DISABLED  # it sums in fp16
        p.cache_type_k = p.cache_type_v = GGML_TYPE_F32
        spec.draft.cache_type_k = spec.draft.cache_type_v = GGML_TYPE_F32
    if job.get("ngram"):
        types.append(kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE)
        spec.ngram_simple.size_n = job["ngram"]["n"]
        spec.ngram_simple.size_m = job["ngram"]["m"]
    if job.get("draft"):
        types.append(kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE)
        spec.draft.mparams.path = job["draft"]
        spec.draft.n_max = job["draft_tokens"]
        spec.draft.n_min = 0
        spec.draft.p_min = 0.0
        quiet(spec.draft.cpuparams)
        quiet(spec.draft.cpuparams_batch)
    if types:
        spec.types = types
    if job.get("synth_rates"):
        spec.synth_rates = job["synth_rates"]
    return p


def decode(server, prompt, tokens, seed):
    answer = completion(
        server.listening_address,
        {
            "prompt": prompt,
            "n_predict": tokens,
            "temperature": 0.0,
            "seed": seed,  # greedy output needs none; replayed acceptance draws by it
            "cache_prompt": False,
            "return_tokens": True,
        },
    )
    timings = answer["timings"]
    return {
        "ids": answer["tokens"],
        "draft_n": timings.get("draft_n", 0),
        "draft_n_accepted": timings.get("draft_n_accepted", 0),
        "timings": timings,
    }


def main():
    request = json.load(sys.stdin)
    jobs = []
    for job in request["jobs"]:
        server = xlc.Server(parameters(job))
        jobs.append([decode(server, prompt, request["tokens"], i) for i, prompt in enumerate(request["prompts"], 1)])
        del server
    print(json.dumps({"version": xlc.__version__, "jobs": jobs}))


main()
