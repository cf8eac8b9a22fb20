/**
 * Experts that a file keeps in one tensor [experts, rows, inner], each as its own: a GGUF file has one for each matrix, and
 * transformers has gate and up together in its memory, and in folders that were written as it has them there.
 */
import { corrupt, tensorShape } from "../failures.js";
import { gatedMlps } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import type { QuantisedTensor } from "./quantised/form.js";
import { rowsOf } from "./tensor-names.js";
import type { StoredTensor } from "./tensors.js";

const WHOLE = /^(model\.layers\.(?:0|[1-9]\d*)\.)mlp\.experts\.(gate_up|gate|up|down)_proj(?:\.weight)?$/;

/**
 * @param tensors under canonical names, and `mlp.experts.gate_up_proj` and so on for what holds all experts
 * @throws TENSOR_SHAPE where the whole has not the rows of its parts
 */
export function separateExperts<Tensor extends StoredTensor | QuantisedTensor>(
  tensors: Map<string, Tensor>,
  spec: ModelSpec,
): Map<string, Tensor> {
  const { experts, hiddenSize, intermediateSize } = spec;
  if (experts === undefined) return tensors;
  const apart = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const [, layer, part] = WHOLE.exec(name) ?? [];
    if (part === undefined) {
      apart.set(name, tensor);
      continue;
    }
    const inner = part === "down" ? intermediateSize : hiddenSize;
    const pieces = part === "gate_up" ? ["gate", "up"] : [part];
    const rows = part === "down" ? hiddenSize : intermediateSize;
    const wanted = [experts.count, pieces.length * rows, inner];
    if (tensor.shape.length !== 3 || wanted.some((n, i) => tensor.shape[i] !== n)) throw tensorShape(tensor, wanted);
    const stacked = { ...tensor, shape: [wanted[0] * wanted[1], inner] };
    for (const [expert, mlp] of gatedMlps(spec).entries())
      for (const [i, piece] of pieces.entries()) {
        const own = rowsOf(stacked, expert * wanted[1] + i * rows, rows);
        const one = `${layer}${mlp}.${piece}_proj.weight`;
        if (tensors.has(one) || apart.has(one)) {
          const at = `tensor ${tensor.storedName.slice(0, 100)}`;
          throw corrupt(tensor.file.path, at, `holds ${one}, and so does another tensor`);
        }
        apart.set(one, { ...stacked, shape: [rows, inner], ...own });
      }
  }
  return apart;
}
