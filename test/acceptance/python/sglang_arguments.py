"""Has SGLang's own argument classes read exported configurations, as JSON on stdin says. Needs no GPU.

in:  [[model folder, sglang.yaml], ..]
out: {"version": .., "parsed": [{field: value, ..} or {"refused": message}, ..]}, on the last line of stdout; fields are those
     of ServerArgs that concern speculation, as `python -m sglang.launch_server --model-path M --config FILE` has them
"""
import contextlib
import importlib.metadata
import importlib.util
import io
import json
import sys
import types

# sglang/__init__ loads kernels and language front ends; the arguments need neither
package = types.ModuleType("sglang")
package.__path__ = list(importlib.util.find_spec("sglang").submodule_search_locations)
sys.modules["sglang"] = package

from sglang.srt.server_args import prepare_server_args  # noqa: E402


def parsed(model, config):
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said):
            args = prepare_server_args(["--model-path", model, "--device", "cuda", "--config", config])
    except (SystemExit, ValueError) as refused:
        return {"refused": f"{refused}: {said.getvalue()[-400:]}"}
    names = [name for name in dir(args) if name.startswith("speculative_")] + ["trust_remote_code"]
    values = {name: getattr(args, name) for name in names}
    return {name: value for name, value in values.items() if isinstance(value, (str, int, float, bool, type(None)))}


found = [parsed(*job) for job in json.load(sys.stdin)]
print("\n" + json.dumps({"version": importlib.metadata.version("sglang"), "parsed": found}))
