"""onnxruntime-genai on a folder of `draftplan export --to onnxruntime-genai`: plain, and with `speculative`."""
import json
import os
import shutil
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from answering import answering

PLAIN, DRAFT, LOOKUP = "plain", "speculative, draft", "speculative, lookup"


def configured(folder, place, threads, way, lookup):
    """The same files under links, with another configuration: threads, and who drafts."""
    os.makedirs(place)
    for name in os.listdir(folder):
        if name != "genai_config.json":
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(place, name))
    with open(os.path.join(folder, "genai_config.json")) as file:
        config = json.load(file)
    if way != DRAFT:
        config["model"].pop("draft", None)
        config.pop("speculative", None)
    if way == LOOKUP:
        config["speculative"] = lookup
    for part in ("decoder", "draft"):
        if part in config["model"]:
            config["model"][part]["session_options"]["intra_op_num_threads"] = threads
    # texts go on behind an end token, as everybody else's do here
    config["model"]["eos_token_id"] = [config["model"]["vocab_size"] - 1]
    with open(os.path.join(place, "genai_config.json"), "w") as file:
        json.dump(config, file)
    return place


def open_peer(options):
    import onnxruntime_genai as og

    place = tempfile.mkdtemp()
    try:
        ways = [PLAIN, DRAFT, LOOKUP]
        models = {
            way: og.Model(configured(options["folder"], os.path.join(place, str(i)), options["threads"], way, options["lookup"]))
            for i, way in enumerate(ways)
        }
    finally:
        shutil.rmtree(place, ignore_errors=True)

    def answer(request):
        model, prompt, tokens = models[request["way"]], request["prompt"], request["tokens"]
        params = og.GeneratorParams(model)
        params.set_search_options(do_sample=False, max_length=len(prompt) + tokens)
        generator = og.Generator(model, params)
        start = time.perf_counter()
        generator.append_tokens(prompt)
        read = time.perf_counter()
        while not generator.is_done():
            generator.generate_next_token()
        end = time.perf_counter()
        ids = [int(token) for token in generator.get_sequence(0)][len(prompt):]
        # plain, the first token comes with the prompt's pass; with a draft, a round of its own gives it
        timed = len(ids) - 1 if request["way"] == PLAIN else len(ids)
        found = {"ids": ids, "promptMs": 1e3 * (read - start), "decodeMs": 1e3 * (end - read), "timedTokens": timed}
        if request["way"] == PLAIN:
            return found
        stats = dict(generator.get_speculative_stats())
        evaluated = stats.get("draft_tokens_evaluated", 0)
        return {**found, "acceptance": stats["draft_tokens_accepted"] / evaluated if evaluated else None}

    return {"version": og.__version__, "ways": [{"way": way, "precision": "fp32"} for way in ways]}, answer


answering(open_peer)
