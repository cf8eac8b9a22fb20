/** Every engine there is, a line each; an exporter is loaded when it is asked for. */
import type { Exporter } from "../exporter.js";

const EXPORTERS = {
  "llama.cpp": async () => (await import("./llama-cpp.js")).llamaCpp,
  "onnxruntime-genai": async () => (await import("./onnxruntime-genai.js")).onnxruntimeGenai,
  transformers: async () => (await import("./transformers.js")).transformers,
  sglang: async () => (await import("./sglang.js")).sglang,
  "tensorrt-llm": async () => (await import("./tensorrt-llm.js")).tensorrtLlm,
  vllm: async () => (await import("./vllm.js")).vllm,
} as const satisfies Record<string, () => Promise<Exporter>>;

export type EngineName = keyof typeof EXPORTERS;
export const ENGINE_NAMES = Object.keys(EXPORTERS) as EngineName[];

export const isEngineName = (name: string): name is EngineName => Object.hasOwn(EXPORTERS, name);

export const loadExporter = (name: EngineName): Promise<Exporter> => EXPORTERS[name]();
