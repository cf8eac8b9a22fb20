"""Decodes prompts greedily with onnxruntime-genai, with the draft of an exported folder or without, as JSON on stdin says.

in:  {"folder": DIR, "draft": true or false, "prompts": [[ids]], "tokens": n, "texts": [text, ..] or absent}
out: {"version": .., "results": [{"ids": [..], "stats": {..} or null}], "encoded": [[ids]], "decoded": [text]}, on the last
     line of stdout; encoded and decoded are the folder's tokenizer's of the texts
"""
import json
import os
import sys
import tempfile

os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnx
import onnxruntime_genai as og


def without_draft(folder, place):
    """The same files under links, and a configuration that has no draft."""
    for name in os.listdir(folder):
        if name != "genai_config.json":
            os.symlink(os.path.abspath(os.path.join(folder, name)), os.path.join(place, name))
    with open(os.path.join(folder, "genai_config.json")) as file:
        config = json.load(file)
    config["model"].pop("draft", None)
    config.pop("speculative", None)
    with open(os.path.join(place, "genai_config.json"), "w") as file:
        json.dump(config, file)
    return place


def decode(model, prompt, tokens, with_stats):
    params = og.GeneratorParams(model)
    params.set_search_options(do_sample=False, max_length=len(prompt) + tokens)
    generator = og.Generator(model, params)
    generator.append_tokens(prompt)
    while not generator.is_done():
        generator.generate_next_token()
    ids = [int(token) for token in generator.get_sequence(0)][len(prompt) :]
    return {"ids": ids, "stats": dict(generator.get_speculative_stats()) if with_stats else None}


def main():
    job = json.load(sys.stdin)
    folder = job["folder"]
    for name in sorted(os.listdir(folder)):
        if name.endswith(".onnx"):
            onnx.checker.check_model(os.path.join(folder, name))
    with tempfile.TemporaryDirectory() as place:
        model = og.Model(folder if job["draft"] else without_draft(folder, place))
        tokenizer = og.Tokenizer(model) if "texts" in job else None
        encoded = [[int(token) for token in tokenizer.encode(text)] for text in job.get("texts", [])]
        result = {
            "version": og.__version__,
            "results": [decode(model, prompt, job["tokens"], job["draft"]) for prompt in job["prompts"]],
            "encoded": encoded,
            "decoded": [tokenizer.decode(ids) for ids in encoded],
        }
    print(json.dumps(result))


main()
