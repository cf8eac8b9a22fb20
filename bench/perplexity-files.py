"""Writes a model's GGUF with the matrices of its blocks and its head in another type, as gguf-py quantises them.

    python bench/perplexity-files.py model.gguf Q8_0 Q4_0 --out DIR

The embedding table and norms stay in fp32, as draftplan has them beside its kernels; a head that is the embedding table is
written apart. Needs: numpy, gguf.
"""

import argparse
import pathlib

import numpy as np
from gguf import GGMLQuantizationType, GGUFReader, GGUFValueType, GGUFWriter, quants

parser = argparse.ArgumentParser()
parser.add_argument("model")
parser.add_argument("types", nargs="+")
parser.add_argument("--out", default=".")
arguments = parser.parse_args()

reader = GGUFReader(arguments.model)
architecture = reader.fields["general.architecture"].contents()
values = {
    tensor.name: quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(tuple(tensor.shape)[::-1])
    for tensor in reader.tensors
}
if "output.weight" not in values:
    values["output.weight"] = values["token_embd.weight"]


def is_product(name):
    return name == "output.weight" or (name.startswith("blk.") and values[name].ndim == 2)


for name in ["F32", *arguments.types]:
    kind = GGMLQuantizationType[name]
    folder = pathlib.Path(arguments.out)
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{pathlib.Path(arguments.model).stem}.products-{name}.gguf"
    writer = GGUFWriter(path, architecture)
    for key, field in reader.fields.items():
        if key.startswith("GGUF.") or key in ("general.architecture", "general.file_type"):
            continue
        kinds = field.types
        if kinds[0] == GGUFValueType.ARRAY:
            writer.add_array(key, field.contents())
        else:
            writer.add_key_value(key, field.contents(), kinds[0])
    for tensor, of in values.items():
        if is_product(tensor) and name != "F32":
            data = quants.quantize(of, kind)
            writer.add_tensor(tensor, data, raw_shape=data.shape, raw_dtype=kind)
        else:
            writer.add_tensor(tensor, of)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    print(path)
