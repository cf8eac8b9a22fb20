/** Tensors under the names that draftplan knows them by, whatever a file calls them. */
import type { TensorNames } from "../architectures/architecture.js";
import { corrupt } from "../failures.js";
import type { StoredTensor } from "./tensors.js";

/**
 * A name without a translation stays as it is, and is refused later on as one the architecture does not use.
 * @param names null: the file's are canonical
 * @throws CHECKPOINT_CORRUPT where two tensors have one canonical name
 */
export function canonicalTensors(
  stored: ReadonlyMap<string, StoredTensor>,
  names: TensorNames | null,
): Map<string, StoredTensor> {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of stored) {
    const canonical = names === null ? name : canonicalName(name, names);
    const other = tensors.get(canonical);
    if (other !== undefined) {
      const what = `is ${canonical}, and so is tensor ${other.storedName.slice(0, 100)}`;
      throw corrupt(tensor.file.path, `tensor ${name.slice(0, 100)}`, what);
    }
    tensors.set(canonical, tensor);
  }
  return tensors;
}

/** `blk.3.attn_q.weight` -> `model.layers.3.self_attn.q_proj.weight` */
function canonicalName(name: string, names: TensorNames): string {
  const [, whole, kind] = /^(.+)\.(weight|bias)$/.exec(name) ?? [];
  if (whole === undefined) return name;
  if (Object.hasOwn(names.model, whole)) return `${names.model[whole]}.${kind}`;
  if (!whole.startsWith(names.layers)) return name;
  const [, layer, part] = /^(0|[1-9]\d*)\.(.+)$/.exec(whole.slice(names.layers.length)) ?? [];
  if (part === undefined || !Object.hasOwn(names.layer, part)) return name;
  return `model.layers.${layer}.${names.layer[part]}.${kind}`;
}
