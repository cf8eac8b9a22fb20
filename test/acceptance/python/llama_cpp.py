"""Decodes prompts greedily with llama.cpp's server (package xllamacpp), plain or with a draft, as JSON on stdin says.

in:  {"target": FILE, "draft": FILE or null, "draft_tokens": d, "synth_rates": [..] or absent, "ngram": {"n": N, "m": M} or absent,
      "prompts": [[ids]], "tokens": n}
out: {"version": .., "results": [{"ids": [..], "draft_n": n, "draft_n_accepted": n}]}, on the last line of stdout
"""
import json
import sys
import urllib.request

import xllamacpp as xlc


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
    if job.get("draft"):
        spec.types = [kinds.COMMON_SPECULATIVE_TYPE_DRAFT_SIMPLE]
        spec.draft.mparams.path = job["draft"]
        spec.draft.n_max = job["draft_tokens"]
        spec.draft.p_min = 0.0
        quiet(spec.draft.cpuparams)
        quiet(spec.draft.cpuparams_batch)
    if job.get("ngram"):
        spec.types = [kinds.COMMON_SPECULATIVE_TYPE_NGRAM_SIMPLE]
        spec.ngram_simple.size_n = job["ngram"]["n"]
        spec.ngram_simple.size_m = job["ngram"]["m"]
    if job.get("synth_rates"):
        spec.synth_rates = job["synth_rates"]
    return p


def main():
    job = json.load(sys.stdin)
    server = xlc.Server(parameters(job))
    results = []
    for prompt in job["prompts"]:
        answer = completion(
            server.listening_address,
            {
                "prompt": prompt,
                "n_predict": job["tokens"],
                "temperature": 0.0,
                "seed": 1,
                "cache_prompt": False,
                "return_tokens": True,
            },
        )
        if "timings" not in answer:
            raise SystemExit(f"llama.cpp answered {json.dumps(answer)[:500]}")
        timings = answer["timings"]
        results.append(
            {
                "ids": answer["tokens"],
                "draft_n": timings.get("draft_n", 0),
                "draft_n_accepted": timings.get("draft_n_accepted", 0),
            }
        )
    print(json.dumps({"version": xlc.__version__, "results": results}))


main()
