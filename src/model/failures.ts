import type { z } from "zod";
import { DraftplanError } from "../core/errors.js";
import type { Refusal } from "./architectures/architecture.js";
import { ARCHITECTURES, architecturesInWords } from "./architectures/registry.js";

const DOWNLOAD_AGAIN = "download the file again and compare its SHA-256 with the publisher's";

/** The bytes contradict the format. `where` names the tensor, key or byte offset. */
export function corrupt(file: string, where: string, what: string, cause?: unknown): DraftplanError {
  return new DraftplanError({
    code: "CHECKPOINT_CORRUPT",
    at: `${file}: ${where}`,
    what,
    remedy: DOWNLOAD_AGAIN,
    cause,
  });
}

export function configInvalid(file: string, key: string, what: string, remedy?: string): DraftplanError {
  const fallback = "take the file from the model's publisher again, unedited";
  return new DraftplanError({ code: "CONFIG_INVALID", at: `${file}: ${key}`, what, remedy: remedy ?? fallback });
}

/** Well-formed, but the model computes something draftplan does not. */
export function unsupportedMaths(file: string, key: string, what: string): DraftplanError {
  const remedy = `use a ${architecturesInWords()} model without this feature`;
  return new DraftplanError({ code: "ARCHITECTURE_UNSUPPORTED", at: `${file}: ${key}`, what, remedy });
}

/** How an architecture says no to a configuration. */
export const refusalFor = (file: string): Refusal => ({
  invalid: (key, what) => configInvalid(file, key, what),
  unsupported: (key, what) => unsupportedMaths(file, key, what),
});

/** `model_type` of config.json and `general.architecture` of GGUF files: mixtures of experts, and what they compute besides. */
const MIXTURES: Readonly<Record<string, string>> = {
  ...both("gpt_oss", "gpt-oss", "experts with biases and an activation of their own, and attention with sinks"),
  ...both("qwen2_moe", "qwen2moe", "an expert that all tokens go through beside those that are chosen"),
  ...both("deepseek_v2", "deepseek2", "attention over compressed keys, and experts that all tokens go through"),
  ...both("deepseek_v3", "deepseek_v32", "attention over compressed keys, and experts chosen in groups"),
  ...both("llama4_text", "llama4", "an expert that all tokens go through, and attention in chunks"),
  ...both("olmoe", "olmoe", "q and k normed over all heads before experts that were not compared yet"),
  ...both("granitemoe", "granitemoe", "gates and inputs of experts in one tensor, and factors on what blocks add"),
  ...both("phimoe", "phimoe", "a router that draws its shares in two steps, and norms with a mean"),
};

function both(inConfig: string, inGguf: string, what: string): Record<string, string> {
  return { [inConfig]: what, [inGguf]: what };
}

export function architectureUnsupported(file: string, name: string): DraftplanError {
  const besides = Object.hasOwn(MIXTURES, name) ? MIXTURES[name] : undefined;
  const why =
    besides === undefined ? "" : `: a mixture of experts that has what draftplan does not compute in one (${besides})`;
  return new DraftplanError({
    code: "ARCHITECTURE_UNSUPPORTED",
    at: file,
    what: `architecture ${JSON.stringify(name.slice(0, 100))} is not supported${why}`,
    remedy: `use a causal language model of one of these architectures: ${ARCHITECTURES.join(", ")}`,
  });
}

/** The first three issues of a failed zod parse, as one sentence; further ones rarely help. */
export function describeIssues(error: z.ZodError): { key: string; what: string } {
  const shown = error.issues.slice(0, 3);
  const key = shown[0]?.path.join(".") ?? "";
  const further = shown.slice(1).map((issue) => `; ${issue.path.join(".")}: ${issue.message}`);
  return { key: key === "" ? "top level" : key, what: `${shown[0]?.message}${further.join("")}` };
}

/** A tensor of another shape than the configuration asks for. */
export function tensorShape(
  tensor: { file: { path: string }; storedName: string; shape: readonly number[] },
  wanted: readonly number[],
): DraftplanError {
  return new DraftplanError({
    code: "TENSOR_SHAPE",
    at: `${tensor.file.path}: tensor ${tensor.storedName}`,
    what: `has shape [${tensor.shape.join(", ")}], the configuration asks for [${wanted.join(", ")}]`,
    remedy: "check that the configuration and the weights belong to the same model",
  });
}
