/** Where a converted model's weights lie, read from its graph: whatever wrote the file, this is what the runtime loads. */
import type { Place } from "./branch.js";
import { decodeModel, FLOAT, FLOAT16, type Graph, type Tensor, UINT8 } from "./onnx.js";

const STORED = new Map<number, Place["type"]>([
  [FLOAT, "float32"],
  [FLOAT16, "float16"],
  [UINT8, "uint8"],
]);

/**
 * @param model a serialised graph with its weights beside it
 * @returns the file beside it, and each stored tensor by the name it was written under (weights.ts)
 */
export function readPlaces(model: Uint8Array): { file: string; places: Map<string, Place> } {
  const found = { files: new Set<string>(), places: new Map<string, Place>() };
  addPlaces(decodeModel(model), found);
  const [file, ...others] = found.files;
  if (file === undefined || others.length > 0) throw new Error("the model's weights do not lie in one file");
  return { file, places: found.places };
}

function addPlaces({ initializer, node }: Graph, found: { files: Set<string>; places: Map<string, Place> }): void {
  for (const tensor of initializer) {
    if (tensor.dataLocation !== 1) continue;
    found.files.add(entry(tensor, "location"));
    // a branch puts its own name before the tensor's, which has no slash; several branches may have one tensor
    found.places.set(tensor.name.slice(tensor.name.lastIndexOf("/") + 1), placeOf(tensor));
  }
  for (const { attribute = [] } of node) for (const { g } of attribute) if (g != null) addPlaces(g, found);
}

function entry({ name, externalData = [] }: Tensor, key: string): string {
  const text = externalData.find((one) => one.key === key)?.value;
  if (text === undefined) throw new Error(`the tensor ${name} does not say its ${key}`);
  return text;
}

function placeOf(tensor: Tensor): Place {
  const type = STORED.get(tensor.dataType);
  if (type === undefined) throw new Error(`the tensor ${tensor.name} is of another type than weights are`);
  const [offset, length] = ["offset", "length"].map((key) => Number(entry(tensor, key)));
  return { dims: tensor.dims.map(Number), type, offset, length };
}
