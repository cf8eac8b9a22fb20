/** CUDA's libraries, opened for the rest of the process: the loader then finds them by their names. */
import { DraftplanError } from "../../core/errors.js";
import { nativeFunctions } from "../ort-api.js";
import { CUDA_PROVIDER, isPlaceholder, type LibraryState, openCudaLibraries } from "./cuda-libraries.js";

/** By the path of an ONNX Runtime library. Every session asks, and what is open stays open. */
const opened = new Map<string, LibraryState[]>();

/**
 * Opens what the CUDA provider beside an ONNX Runtime library wants, wherever it lies.
 * @returns a state each; none where there is no such provider
 * @throws RUNTIME_FAILED where the provider's file is cut, PROVIDER_UNAVAILABLE where it is draftplan's placeholder
 */
export function openWhatCudaWants(libraryPath: string): LibraryState[] {
  const known = opened.get(libraryPath);
  if (known !== undefined) return known;
  if (isPlaceholder(libraryPath)) throw noProvider();
  try {
    const states = openCudaLibraries(libraryPath, (nameOrPath) => nativeFunctions(nameOrPath, {}));
    opened.set(libraryPath, states);
    return states;
  } catch (cause) {
    throw new DraftplanError({
      code: "RUNTIME_FAILED",
      at: CUDA_PROVIDER,
      what: `${CUDA_PROVIDER}: ${cause instanceof Error ? cause.message : String(cause)}`,
      remedy: "Install onnxruntime-gpu again, from a download that is whole.",
      cause,
    });
  }
}

/** The bundled library knows CUDA, and has no provider for it. */
export const noProvider = (): DraftplanError =>
  new DraftplanError({
    code: "PROVIDER_UNAVAILABLE",
    at: CUDA_PROVIDER,
    what: `there is no ${CUDA_PROVIDER} beside this ONNX Runtime library`,
    remedy: "Get a GPU build (README, On a GPU box), and give it with --ort-library PATH or DRAFTPLAN_ORT_LIBRARY.",
  });
