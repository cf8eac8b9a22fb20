/**
 * Execution providers: the one place that knows where tensors live on each of them.
 * A provider is an entry here; the engine asks the table and nothing else.
 */
import { DraftplanError } from "../core/errors.js";
import type { OrtApi } from "./ort-api.js";

export interface Provider {
  /** ONNX Runtime's name, as GetAvailableProviders lists it */
  ortName: string;
  /** name to append to the session options; null: always there */
  append: string | null;
  /** memory the KV cache is allocated in (OrtMemoryInfo name) */
  cacheMemory: string;
  /** whether the cache can be read as host memory */
  cacheOnHost: boolean;
}

export const PROVIDERS: Readonly<Record<string, Provider>> = {
  cpu: { ortName: "CPUExecutionProvider", append: null, cacheMemory: "Cpu", cacheOnHost: true },
};

/**
 * @throws OPTION_INVALID for a name draftplan does not know; PROVIDER_UNAVAILABLE where the library lacks it
 */
export function chooseProvider(name: string, api: OrtApi): Provider {
  const provider = Object.hasOwn(PROVIDERS, name) ? PROVIDERS[name] : undefined;
  if (provider === undefined) {
    throw new DraftplanError({
      code: "OPTION_INVALID",
      at: "--provider",
      what: `'${name}' is not a provider draftplan can run on`,
      remedy: `Use one of: ${Object.keys(PROVIDERS).join(", ")}.`,
    });
  }
  const available = api.availableProviders();
  if (!available.includes(provider.ortName)) {
    throw new DraftplanError({
      code: "PROVIDER_UNAVAILABLE",
      at: "--provider",
      what: `ONNX Runtime ${api.version} here offers only ${available.join(", ")}`,
      remedy: "Use --provider cpu.",
    });
  }
  return provider;
}
