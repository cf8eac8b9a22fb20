import type { ConfigKeys, Refusal } from "./architecture.js";

/**
 * The window of the layers that `layer_types` says slide; [layers]
 * @param slides which do, where the configuration has no `layer_types`
 */
export function byLayerType(
  { num_hidden_layers: layers, layer_types: given }: ConfigKeys,
  window: number | null,
  slides: (layer: number) => boolean,
  refusal: Refusal,
): (number | null)[] {
  const types = given ?? Array.from({ length: layers }, (_, i) => (slides(i) ? "sliding_attention" : "full_attention"));
  if (types.length !== layers) {
    throw refusal.invalid("layer_types", `has ${types.length} entries for ${layers} layers`);
  }
  return types.map((type) => {
    if (type === "full_attention") return null;
    if (type === "sliding_attention") return window;
    throw refusal.unsupported("layer_types", `${JSON.stringify(type.slice(0, 100))} is not supported`);
  });
}
