"""PyTorch beside draftplan, on the same card: a llama of given shape or weights, with a static cache and a CUDA graph.

    torch_check.py --device cuda --tokens tokens.json --model FOLDER      greedy tokens of the same weights, in fp16
    torch_check.py --device cuda --shape config.json --contexts 64,1024   ms of a step and of verifications, made-up weights

One line of JSON for each result. Where there is no PyTorch, or it sees no GPU, one line says so, and the exit code is 0.
"""
import argparse
import json
import statistics
import struct
import time

parser = argparse.ArgumentParser()
parser.add_argument("--device", default="cuda")
parser.add_argument("--tokens")
parser.add_argument("--model")
parser.add_argument("--shape")
parser.add_argument("--contexts", default="64,1024")
args = parser.parse_args()


def emit(**result):
    print(json.dumps(result), flush=True)


try:
    import torch
except ImportError as error:
    emit(torch=f"not there ({error}); nothing is compared with it")
    raise SystemExit(0)
CUDA = args.device == "cuda"
if CUDA and not torch.cuda.is_available():
    emit(torch=f"{torch.__version__} sees no GPU; nothing is compared with it")
    raise SystemExit(0)
DTYPE = torch.float16 if CUDA else torch.float32
F = torch.nn.functional


class Shape:
    def __init__(self, config):
        self.hidden, self.ffn, self.layers = config["hidden_size"], config["intermediate_size"], config["num_hidden_layers"]
        self.heads = config["num_attention_heads"]
        self.kv = config.get("num_key_value_heads", self.heads)
        self.dim = config.get("head_dim") or self.hidden // self.heads
        self.vocab, self.tied = config["vocab_size"], config.get("tie_word_embeddings", False)
        self.eps, self.theta = config["rms_norm_eps"], config.get("rope_theta") or config["rope_parameters"]["rope_theta"]

    def tensors(self):
        h, f, q, k = self.hidden, self.ffn, self.heads * self.dim, self.kv * self.dim
        yield "model.embed_tokens.weight", (self.vocab, h)
        for i in range(self.layers):
            at = f"model.layers.{i}."
            yield at + "input_layernorm.weight", (h,)
            yield at + "post_attention_layernorm.weight", (h,)
            for name, rows, columns in (("q", q, h), ("k", k, h), ("v", k, h), ("o", h, q)):
                yield f"{at}self_attn.{name}_proj.weight", (rows, columns)
            for name, rows, columns in (("gate", f, h), ("up", f, h), ("down", h, f)):
                yield f"{at}mlp.{name}_proj.weight", (rows, columns)
        yield "model.norm.weight", (h,)
        if not self.tied:
            yield "lm_head.weight", (self.vocab, h)


def made_up(shape):
    generator = torch.Generator(device=args.device).manual_seed(1)
    return {
        name: torch.empty(size, dtype=DTYPE, device=args.device).normal_(1.0 if len(size) == 1 else 0.0, 0.1 if len(size) == 1 else size[1] ** -0.5, generator=generator)
        for name, size in shape.tensors()
    }


def read_safetensors(path):
    kinds = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}
    data = open(path, "rb").read()
    (length,) = struct.unpack_from("<Q", data)
    header = json.loads(data[8 : 8 + length])
    found = {}
    for name, entry in header.items():
        if name == "__metadata__":
            continue
        begin, end = entry["data_offsets"]
        values = torch.frombuffer(bytearray(data[8 + length + begin : 8 + length + end]), dtype=kinds[entry["dtype"]])
        found[name] = values.reshape(entry["shape"]).to(args.device, DTYPE)
    return found


class Llama:
    """Keys and values lie in buffers of fixed size; rows behind the length are hidden by a mask that is computed on the device."""

    def __init__(self, shape, weights, capacity):
        self.s, self.w, self.capacity = shape, weights, capacity
        self.cache = torch.zeros(shape.layers, 2, 1, shape.kv, capacity, shape.dim, dtype=DTYPE, device=args.device)
        frequencies = shape.theta ** (-torch.arange(0, shape.dim, 2, device=args.device).double() / shape.dim)
        angles = torch.arange(capacity, device=args.device).double()[:, None] * frequencies
        self.cos, self.sin = angles.cos().to(DTYPE), angles.sin().to(DTYPE)
        self.places = torch.arange(capacity, device=args.device)
        self.stacked = []
        for i in range(shape.layers):
            at = f"model.layers.{i}."
            qkv = torch.cat([weights[f"{at}self_attn.{name}_proj.weight"] for name in "qkv"])
            gate_up = torch.cat([weights[f"{at}mlp.{name}_proj.weight"] for name in ("gate", "up")])
            self.stacked.append((qkv, gate_up))
            for name in ("self_attn.q", "self_attn.k", "self_attn.v", "mlp.gate", "mlp.up"):
                del weights[f"{at}{name}_proj.weight"]

    def norm(self, x, name):
        return F.rms_norm(x.float(), (self.s.hidden,), self.w[name].float(), self.s.eps).to(DTYPE)

    def turn(self, x, cos, sin):
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)

    def run(self, ids, position):
        """ids [q] and position [q], on the device; logits [q, vocab]"""
        s, q = self.s, ids.shape[0]
        x = self.w["model.embed_tokens.weight"][ids]
        cos, sin = self.cos[position], self.sin[position]
        mask = self.places[None, :] <= position[:, None]
        for i in range(s.layers):
            at = f"model.layers.{i}."
            qkv = self.norm(x, at + "input_layernorm.weight") @ self.stacked[i][0].T
            queries, keys, values = qkv.split([s.heads * s.dim, s.kv * s.dim, s.kv * s.dim], dim=-1)
            queries = self.turn(queries.view(q, s.heads, s.dim).transpose(0, 1), cos, sin)
            keys = self.turn(keys.view(q, s.kv, s.dim).transpose(0, 1), cos, sin)
            self.cache[i, 0, 0].index_copy_(1, position, keys)
            self.cache[i, 1, 0].index_copy_(1, position, values.view(q, s.kv, s.dim).transpose(0, 1))
            attended = F.scaled_dot_product_attention(queries[None], self.cache[i, 0], self.cache[i, 1], attn_mask=mask[None, None], enable_gqa=True)
            x = x + attended[0].transpose(0, 1).reshape(q, -1) @ self.w[at + "self_attn.o_proj.weight"].T
            gate, up = (self.norm(x, at + "post_attention_layernorm.weight") @ self.stacked[i][1].T).chunk(2, dim=-1)
            x = x + (F.silu(gate) * up) @ self.w[at + "mlp.down_proj.weight"].T
        head = self.w["model.embed_tokens.weight" if s.tied else "lm_head.weight"]
        return self.norm(x, "model.norm.weight") @ head.T


def wait():
    if CUDA:
        torch.cuda.synchronize()


@torch.inference_mode()
def compare_tokens():
    wanted = json.load(open(args.tokens))
    shape = Shape(json.load(open(f"{args.model}/config.json")))
    model = Llama(shape, read_safetensors(f"{args.model}/model.safetensors"), len(wanted["prompt"]) + len(wanted["ids"]) + 1)
    place = lambda numbers: torch.tensor(numbers, device=args.device)
    found, position = [], len(wanted["prompt"])
    logits = model.run(place(wanted["prompt"]), torch.arange(position, device=args.device))[-1]
    for expected in wanted["ids"]:
        token = int(logits.argmax())
        found.append(token)
        if token != expected:
            behind = float(logits[token] - logits[expected])
            return emit(against="PyTorch", tokens=len(found), equal=False, parts_at=len(found) - 1, behind_by=behind, tie=behind <= (0.0625 if CUDA else 1e-3))
        logits = model.run(place([token]), place([position]))[-1]
        position += 1
    emit(against="PyTorch", tokens=len(found), equal=True)


def reading_speed():
    """GB/s of a sum over memory that no cache holds"""
    numbers = torch.ones((1 << 30) if CUDA else (1 << 24), dtype=torch.float32, device=args.device)
    times = []
    for _ in range(12):
        wait()
        began = time.perf_counter()
        numbers.sum()
        wait()
        times.append(time.perf_counter() - began)
    return numbers.numel() * 4 / min(times) / 1e9


@torch.inference_mode()
def measure():
    shape = Shape(json.load(open(args.shape)))
    contexts = [int(n) for n in args.contexts.split(",")]
    speed = reading_speed()
    emit(torch=torch.__version__, reads_gb_per_second=round(speed, 1))
    model = Llama(shape, made_up(shape), contexts[-1] + 64)
    read = shape.vocab * shape.hidden + shape.layers * (shape.hidden * (2 * shape.heads + 2 * shape.kv) * shape.dim + 3 * shape.hidden * shape.ffn)
    per_token = 2 * shape.layers * shape.kv * shape.dim
    size = torch.finfo(DTYPE).bits // 8
    for n in contexts:
        times = {q: step_ms(model, n, q) for q in (1, 4, 16)}
        floor = (read + n * per_token) * size / speed / 1e6
        emit(context_tokens=n, torch_ar_ms=times[1], torch_verify_ms={q: times[q] for q in (4, 16)}, floor_ms_at_that_speed=float(f"{floor:.4g}"))


def step_ms(model, n, q):
    """Median of replays of one captured pass, its tokens chosen on the device; off a GPU, of eager passes."""
    ids = torch.arange(q, device=args.device) + 7
    position = torch.arange(q, device=args.device) + n
    run = lambda: model.run(ids, position).argmax(dim=-1)
    if CUDA:
        stream = torch.cuda.Stream()
        with torch.cuda.stream(stream):
            for _ in range(3):
                run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            run()
        run = graph.replay
    times = []
    for _ in range(5 if CUDA else 2):
        wait()
        began = time.perf_counter()
        count = 10 if CUDA else 1
        for _ in range(count):
            run()
        wait()
        times.append((time.perf_counter() - began) * 1e3 / count)
    return float(f"{statistics.median(times):.4g}")


compare_tokens() if args.tokens else measure()
