"""What the gguf package's reader makes of files: [FILE, ..] on stdin, [{"keys": {key: digest}, "tensors": {name: [type, shape, digest]}}, ..].

Digests are of the values as the reader gives them: of a tensor dequantised, so that every block was understood.
"""
import hashlib
import json
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize


def digest(value):
    return hashlib.sha256(value).hexdigest()[:16]


def read(path):
    reader = GGUFReader(path)
    keys = {
        key: digest(json.dumps([[kind.name for kind in field.types], field.contents()]).encode())
        for key, field in reader.fields.items()
        if not key.startswith("GGUF.")
    }
    tensors = {
        tensor.name: [
            tensor.tensor_type.name,
            [int(n) for n in tensor.shape][::-1],
            digest(np.ascontiguousarray(dequantize(tensor.data, tensor.tensor_type)).tobytes()),
        ]
        for tensor in reader.tensors
    }
    return {"keys": keys, "tensors": tensors}


print(json.dumps([read(path) for path in json.load(sys.stdin)]))
