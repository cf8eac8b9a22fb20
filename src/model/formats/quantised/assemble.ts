/** The tensors of a quantised folder, as they lie -> the matrices that they stand for, beside what was left as it was. */
import { corrupt } from "../../failures.js";
import type { StoredTensor } from "../stored.js";
import type { Quantisation } from "./config.js";
import type { QuantisedForm, QuantisedTensor } from "./form.js";
import { awqForm, gptqForm, mlxForm, type Parts, packedForm, SCALED, scaledForm } from "./methods.js";

/**
 * What engines quantise besides, activations and the cache, and what a shape has told already. draftplan computes with
 * neither: its activations and its cache stay in the target's numbers.
 */
const LEFT_OUT =
  /\.(input_scale|activation_scale|input_zero_point|output_scale|k_scale|v_scale|q_scale|kv_scale|weight_shape)$/;

/** @throws CHECKPOINT_CORRUPT, TENSOR_SHAPE, TENSOR_MISSING: parts that do not belong together */
export function assembleTensors(
  stored: ReadonlyMap<string, StoredTensor>,
  quantisation: Quantisation,
): Map<string, StoredTensor | QuantisedTensor> {
  const taken = new Set<string>();
  const tensors = new Map<string, StoredTensor | QuantisedTensor>();
  for (const [name, tensor] of stored) {
    const [, module, kind] = /^(.+)\.(qweight|weight_packed|weight)$/.exec(name) ?? [];
    if (module === undefined) continue;
    const parts = new ModulesParts(module, stored, tensor, taken);
    const form = formOf(kind, tensor, parts, quantisation);
    if (form === null) continue;
    taken.add(name);
    const { rows, inner } = form;
    const type = typeName(quantisation, form);
    const shape = [rows, inner];
    tensors.set(`${module}.weight`, { storedName: name, type, shape, file: tensor.file, form, firstRow: 0 });
  }
  for (const [name, tensor] of stored) if (!taken.has(name) && !LEFT_OUT.test(name)) tensors.set(name, tensor);
  return tensors;
}

const METHODS = { gptq: "GPTQ", awq: "AWQ", mlx: "MLX" } as const;

const typeName = (quantisation: Quantisation, { codes }: QuantisedForm): string => {
  if (codes.packed === "no") return `scaled ${codes.part.type}`;
  const bits = codes.packed === "awq" ? 4 : codes.bits;
  return `${quantisation.method === "scaled" ? "packed" : METHODS[quantisation.method]} ${bits}-bit`;
};

/** Whether a stored type's name is one of these. */
export const isFolderQuantised = (type: string): boolean => /^(scaled |(GPTQ|AWQ|MLX|packed) \d-bit$)/.test(type);

/** Tensors beside a matrix's codes. */
class ModulesParts implements Parts {
  constructor(
    private readonly module: string,
    private readonly stored: ReadonlyMap<string, StoredTensor>,
    private readonly codes: StoredTensor,
    private readonly taken: Set<string>,
  ) {}

  /** @returns null: not there */
  find(part: string): StoredTensor | null {
    const name = `${this.module}.${part}`;
    const found = this.stored.get(name);
    if (found !== undefined) this.taken.add(name);
    return found ?? null;
  }

  need(part: string): StoredTensor {
    const found = this.find(part);
    if (found !== null) return found;
    const { path } = this.codes.file;
    throw corrupt(
      path,
      `tensor ${this.codes.storedName}`,
      `is quantised, and ${this.module}.${part} is not in the files`,
    );
  }
}

/** @returns null: the tensor is stored as it is */
function formOf(kind: string, tensor: StoredTensor, parts: Parts, quantisation: Quantisation): QuantisedForm | null {
  switch (quantisation.method) {
    case "gptq":
      return kind === "qweight" ? gptqForm(tensor, parts, quantisation) : null;
    case "awq":
      return kind === "qweight" ? awqForm(tensor, parts, quantisation) : null;
    case "mlx":
      return kind === "weight" && tensor.type === "U32" ? mlxForm(tensor, parts, quantisation) : null;
    case "scaled":
      if (kind === "weight_packed") return packedForm(tensor, parts, quantisation.packedBits);
      return kind === "weight" && Object.hasOwn(SCALED, tensor.type) ? scaledForm(tensor, parts, quantisation) : null;
    default:
      throw new Error(`no such method: ${JSON.stringify(quantisation satisfies never)}`);
  }
}
