"""transformers in fp32: plain, `prompt_lookup_num_tokens`, and `assistant_early_exit`."""
import os
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from answering import answering


def open_peer(options):
    import torch
    import transformers

    torch.set_num_threads(options["threads"])
    transformers.logging.set_verbosity_error()
    path = options["model"]
    of = {"gguf_file": os.path.basename(path)} if path.endswith(".gguf") else {}
    folder = os.path.dirname(path) if of else path
    model = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, **of)
    model.eval()
    # texts go on behind an end token, as everybody else's do here
    model.generation_config.eos_token_id = None
    model.generation_config.pad_token_id = 0
    lookup, early = options["lookupTokens"], options["earlyExit"]
    ways = {
        "plain": {},
        f"prompt_lookup_num_tokens={lookup}": {"prompt_lookup_num_tokens": lookup},
        f"assistant_early_exit={early}": {"assistant_early_exit": early},
    }

    class Seen(transformers.generation.streamers.BaseStreamer):
        """when tokens came, and how many together; what is put first is the prompt"""

        def __init__(self):
            self.at = []

        def put(self, value):
            self.at.append((time.perf_counter(), value.numel()))

        def end(self):
            pass

    def answer(request):
        prompt, tokens = request["prompt"], request["tokens"]
        ids = torch.tensor([prompt])
        seen = Seen()
        start = time.perf_counter()
        with torch.inference_mode():
            output = model.generate(
                ids,
                attention_mask=torch.ones_like(ids),
                do_sample=False,
                max_new_tokens=tokens,
                streamer=seen,
                **ways[request["way"]],
            )
        made = output[0].tolist()[len(prompt):]
        (first, together), (last, _) = seen.at[1], seen.at[-1]
        timed = len(made) - together
        return {"ids": made, "promptMs": 1e3 * (first - start), "decodeMs": 1e3 * (last - first), "timedTokens": timed}

    return {"version": transformers.__version__, "ways": [{"way": way, "precision": "fp32"} for way in ways]}, answer


answering(open_peer)
