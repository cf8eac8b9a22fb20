/** Tensors under the names that draftplan knows them by, whatever a file calls them. */
import type { ArchitectureDefinition, TensorNames } from "../architectures/architecture.js";
import { corrupt, tensorShape } from "../failures.js";
import type { ModelSpec } from "../spec.js";
import type { QuantisedTensor } from "./quantised/form.js";
import { expectedTensors, type StoredTensor } from "./tensors.js";

/** One tensor of the files, or several that one is made of. */
type AnyTensor = StoredTensor | QuantisedTensor;

/**
 * A name without a translation stays as it is, and is refused later on as one the architecture does not use.
 * @param names null: the file's are canonical
 * @throws CHECKPOINT_CORRUPT where two tensors have one canonical name
 */
export function canonicalTensors<Tensor extends AnyTensor>(
  stored: ReadonlyMap<string, Tensor>,
  names: TensorNames | null,
): Map<string, Tensor> {
  const tensors = new Map<string, Tensor>();
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
  if (part === undefined) return name;
  const canonical = Object.hasOwn(names.layer, part) ? names.layer[part] : expertPart(part, names.experts);
  return canonical === undefined ? name : `model.layers.${layer}.${canonical}.${kind}`;
}

/** `block_sparse_moe.experts.3.w1` -> `mlp.experts.3.gate_proj` */
function expertPart(part: string, experts: TensorNames["experts"]): string | undefined {
  if (experts === undefined || !part.startsWith(experts.before)) return undefined;
  const [, expert, name] = /^(0|[1-9]\d*)\.(.+)$/.exec(part.slice(experts.before.length)) ?? [];
  if (name === undefined || !Object.hasOwn(experts.names, name)) return undefined;
  return `mlp.experts.${expert}.${experts.names[name]}`;
}

/**
 * Tensors that a file keeps one under the other, each as its own: rows lie one behind the other, whatever they are stored as.
 * @param tensors under canonical names, and under those of `fused`
 * @throws TENSOR_SHAPE where the whole has not the rows of its parts
 */
export function separateTensors<Tensor extends AnyTensor>(
  tensors: Map<string, Tensor>,
  fused: ArchitectureDefinition["fused"],
  spec: ModelSpec,
): Map<string, Tensor> {
  if (fused === undefined) return tensors;
  const expected = expectedTensors(spec);
  const apart = new Map<string, Tensor>();
  for (const [name, tensor] of tensors) {
    const [, layer, whole, kind] = /^(model\.layers\.\d+\.)(.+)(\.weight|\.bias)$/.exec(name) ?? [];
    const parts = whole === undefined || !Object.hasOwn(fused, whole) ? undefined : fused[whole];
    if (parts === undefined) apart.set(name, tensor);
    else
      for (const [part, piece] of pieces(tensor, parts, (part) => expected.get(`${layer}${part}${kind}`))) {
        apart.set(`${layer}${part}${kind}`, piece);
      }
  }
  return apart;
}

function* pieces<Tensor extends AnyTensor>(
  tensor: Tensor,
  parts: readonly string[],
  shapeOf: (part: string) => readonly number[] | undefined,
): Generator<[string, Tensor]> {
  const [rows, ...inner] = tensor.shape;
  const wanted = parts.map((part) => shapeOf(part)?.[0] ?? 0);
  const all = wanted.reduce((a, b) => a + b, 0);
  if (rows !== all) throw tensorShape(tensor, [all, ...inner]);
  let before = 0;
  for (const [i, part] of parts.entries()) {
    yield [part, { ...tensor, shape: [wanted[i], ...inner], ...rowsOf(tensor, before, wanted[i]) }];
    before += wanted[i];
  }
}

/** Where `count` rows of a tensor are, from the first on. */
export function rowsOf(tensor: AnyTensor, first: number, count: number) {
  if ("form" in tensor) return { firstRow: tensor.firstRow + first };
  const rowBytes = tensor.byteLength / tensor.shape[0];
  return { offset: tensor.offset + first * rowBytes, byteLength: count * rowBytes };
}
