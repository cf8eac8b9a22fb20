import type { ArchitectureDefinition, ConfigKeys, GgufFacts, Refusal } from "./architecture.js";
import { byLayerType } from "./layer-types.js";
import { llama } from "./llama.js";

/** llama.cpp knows this one alone (src/models/smollm3.cpp, n_no_rope_layer_step) */
const DEFAULT_INTERVAL = 4;

/** transformers: `SmolLM3Config`. llama with layers that have no rotary positions. */
export const smollm3: ArchitectureDefinition<"smollm3"> = {
  ...llama,
  name: "smollm3",
  className: "SmolLM3ForCausalLM",
  sizes: {
    ...{ vocab_size: 128256, hidden_size: 2048, intermediate_size: 11008 },
    ...{ num_hidden_layers: 36, num_attention_heads: 16 },
  },
  defaults: { ...llama.defaults, kvHeads: 4, contextLimit: 32768, theta: 2e6, tied: true },
  windows(config, window, refusal) {
    const unrotated = unrotatedLayers(config, refusal);
    const active = config.use_sliding_window === true ? window : null;
    return byLayerType(config, active, (layer) => unrotated.includes(layer), refusal);
  },
  variations: (config, _sizes, refusal) => named(unrotatedLayers(config, refusal)),
  gguf: {
    ...(llama.gguf as GgufFacts),
    windowInEveryLayer: false,
    variations: (_keys, { layers }) => named(everyNth(layers, DEFAULT_INTERVAL)),
  },
};

const named = (unrotated: number[]) => (unrotated.length === 0 ? {} : { unrotatedLayers: unrotated });

/** layers n - 1, 2n - 1, … */
const everyNth = (layers: number, n: number): number[] =>
  Array.from({ length: layers }, (_, layer) => layer).filter((layer) => (layer + 1) % n === 0);

/** `no_rope_layers` has 1 for a layer with rotary positions and 0 for one without, whatever its name says. */
function unrotatedLayers(config: ConfigKeys, refusal: Refusal): number[] {
  const { num_hidden_layers: layers, no_rope_layers: given, no_rope_layer_interval: interval } = config;
  if (given === undefined || given === null) {
    const every = interval ?? DEFAULT_INTERVAL;
    if (typeof every === "number" && Number.isInteger(every) && every > 0) return everyNth(layers, every);
    throw refusal.invalid("no_rope_layer_interval", "is not a whole number above 0");
  }
  if (!Array.isArray(given) || given.length < layers || given.some((flag) => flag !== 0 && flag !== 1))
    throw refusal.invalid("no_rope_layers", `is not a 0 or 1 for each of ${layers} layers`);
  return given.slice(0, layers).flatMap((flag, layer) => (flag === 0 ? [layer] : []));
}
