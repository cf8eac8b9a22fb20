/**
 * Multimodal models around a plain text model: their config.json has the text model's under `text_config`, and their files
 * have its tensors under a prefix. What draftplan runs is the text model: text alone passes through it as it would in the
 * whole, since images come in as further rows of embeddings.
 */
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import { findArchitecture } from "../architectures/registry.js";
import { configInvalid } from "../failures.js";
import { readJsonFile } from "./json-file.js";
import type { StoredTensor } from "./stored.js";

interface Wrapper {
  className: string;
  /** `text_config` without a `model_type` (transformers' class) */
  textModel: string;
}

/** By `model_type`. */
const WRAPPERS: Readonly<Record<string, Wrapper>> = {
  gemma3: { className: "Gemma3ForConditionalGeneration", textModel: "gemma3_text" },
  llava: { className: "LlavaForConditionalGeneration", textModel: "llama" },
  llava_next: { className: "LlavaNextForConditionalGeneration", textModel: "llama" },
  mistral3: { className: "Mistral3ForConditionalGeneration", textModel: "mistral" },
  idefics3: { className: "Idefics3ForConditionalGeneration", textModel: "llama" },
  smolvlm: { className: "SmolVLMForConditionalGeneration", textModel: "llama" },
};

/** What differs from a plain text model's in those that are refused. */
const REFUSED: Readonly<Record<string, string>> = {
  ...Object.fromEntries(
    ["qwen2_vl", "qwen2_5_vl", "qwen3_vl", "qwen2_5_omni"].map((name) => [
      name,
      "its positions are of three kinds (mrope)",
    ]),
  ),
  mllama: "its text model looks at images in layers of its own (cross attention)",
  paligemma: "its text model sees the whole prompt both ways",
};

const Keys = z.looseObject({
  model_type: z.string().nullish(),
  architectures: z.array(z.string()).nullish(),
  text_config: z
    .looseObject({ model_type: z.string().nullish(), tie_word_embeddings: z.boolean().nullish() })
    .nullish(),
  tie_word_embeddings: z.boolean().nullish(),
});

/** A configuration as of the text model alone. */
export interface TextConfig {
  /** keys and values as a text model's config.json has them */
  config: Record<string, unknown>;
  /** transformers' class around the text model; null: there is none */
  wrapper: string | null;
  /** whether the file says if the head is the embedding table */
  saysTied: boolean;
}

/**
 * @param path config.json
 * @throws ARCHITECTURE_UNSUPPORTED where the model around the text model is none that is known; what readJsonFile throws
 */
export function readTextConfig(path: string): TextConfig {
  const config = readJsonFile(path, Keys);
  const type = config.model_type ?? "";
  if (Object.hasOwn(REFUSED, type)) throw refused(path, type, REFUSED[type]);
  if (!Object.hasOwn(WRAPPERS, type)) {
    if (
      config.text_config != null &&
      findArchitecture((known) => (known.modelType ?? known.name) === type) === undefined
    )
      throw refused(path, type, "the model around it is not known");
    return { config, wrapper: null, saysTied: config.tie_word_embeddings != null };
  }
  const { className, textModel } = WRAPPERS[type];
  const [given = className] = config.architectures ?? [];
  if (given !== className) throw refused(path, `${given} (model_type ${type})`, `${className} is what is known of it`);
  const { text_config: text, ...around } = config;
  if (text == null) throw configInvalid(path, "text_config", `missing, and ${className} is made around one`);
  const model = text.model_type ?? textModel;
  const definition = findArchitecture((known) => (known.modelType ?? known.name) === model);
  if (definition === undefined)
    throw refused(path, `${type} around ${model}`, `the text model ${model} is not one that is read`);
  const tied = around.tie_word_embeddings ?? text.tie_word_embeddings;
  return {
    config: {
      // a text_config leaves out what is as in transformers' class
      ...definition.sizes,
      ...text,
      ...{ model_type: model, architectures: [definition.className] },
      ...(tied == null ? {} : { tie_word_embeddings: tied }),
      eos_token_id: [...idsOf(text.eos_token_id), ...idsOf(around.eos_token_id)],
      bos_token_id: text.bos_token_id ?? around.bos_token_id,
    },
    wrapper: className,
    saysTied: tied != null,
  };
}

const idsOf = (ids: unknown): unknown[] => (ids == null ? [] : Array.isArray(ids) ? ids : [ids]);

/** The class's names since transformers 4.52, and those that it writes into files. */
const TEXT = [
  [/^language_model\.(model\.|lm_head\.)/, "$1"],
  [/^model\.(?:language_model|text_model)\./, "model."],
] as const;
const AROUND = /^(model\.)?(vision_tower|vision_model|multi_modal_projector|connector|image_newline)(\.|$)/;

/**
 * The tensors of the text model, as a text model's files call them; others of other parts are left out.
 * @returns with how many were left out
 */
export function textTensors(stored: ReadonlyMap<string, StoredTensor>): {
  tensors: Map<string, StoredTensor>;
  leftOut: number;
} {
  const tensors = new Map<string, StoredTensor>();
  let leftOut = 0;
  for (const [name, tensor] of stored) {
    if (AROUND.test(name)) leftOut++;
    else
      tensors.set(
        TEXT.reduce((renamed, [prefix, by]) => renamed.replace(prefix, by), name),
        tensor,
      );
  }
  return { tensors, leftOut };
}

/** `LlavaForConditionalGeneration: its text model alone is read, and 12 tensors of its other parts are left out` */
export const wrapperText = ({ className, leftOut }: { className: string; leftOut: number }): string =>
  `${className}: its text model alone is read, and ${leftOut} tensors of its other parts are left out`;

function refused(path: string, name: string, why: string): DraftplanError {
  return new DraftplanError({
    code: "ARCHITECTURE_UNSUPPORTED",
    at: path,
    what: `architecture ${JSON.stringify(name.slice(0, 100))} is not supported: ${why.slice(0, 200)}`,
    remedy: `use a text model, or one of ${Object.values(WRAPPERS)
      .map(({ className }) => className)
      .join(", ")} around one that is read`,
  });
}
