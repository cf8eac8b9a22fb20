"""A GGUF file with all its tensors in F32, by the gguf package. JSON on stdin: source, output; JSON on the last line of stdout."""

import json
import sys

import gguf
import numpy as np

job = json.load(sys.stdin)
reader = gguf.GGUFReader(job["source"])
writer = gguf.GGUFWriter(job["output"], reader.get_field("general.architecture").contents())
for name, field in reader.fields.items():
    if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", "general.quantization_version"):
        continue
    first = field.types[0]
    of = field.types[-1] if first == gguf.GGUFValueType.ARRAY else None
    writer.add_key_value(name, field.contents(), first, of)
writer.add_file_type(0)
for tensor in reader.tensors:
    shape = [int(size) for size in reversed(tensor.shape)]
    writer.add_tensor(tensor.name, gguf.quants.dequantize(tensor.data, tensor.tensor_type).astype(np.float32).reshape(shape))
writer.write_header_to_file()
writer.write_kv_data_to_file()
writer.write_tensors_to_file()
writer.close()
print(json.dumps({"tensors": len(reader.tensors)}))
