/** A session of ONNX Runtime's on one provider, with the settings that every graph of draftplan's is run with. */

import type { Handles } from "./bindings.js";
import type { RuntimeOptions } from "./engine.js";
import { nativePath, type OrtApi, type Pointer } from "./ort-api.js";
import { appendProvider, explained, type Provider, refuseFallback } from "./providers.js";
import { createSession, openEnvironment } from "./threads/pool.js";

/** Session option: where files beside a model in memory lie. */
const WEIGHTS_FOLDER = "session.model_external_initializers_file_folder_path";

/** For a model in memory whose weights lie in files of this folder. */
export const weightsLieIn = (api: OrtApi, settings: Pointer, folder: string): void =>
  api.check("AddSessionConfigEntry", settings, WEIGHTS_FOLDER, folder);

/**
 * @param model     where it lies, or the model itself
 * @param handles   own the session and what it is made with
 * @param configure further settings
 * @param packed    holds weights that sessions share as the provider has packed them; with a model in memory
 * @throws RUNTIME_FAILED; PROVIDER_UNAVAILABLE where the provider cannot be had, or lacks operators of the graph
 */
export function openSession(
  api: OrtApi,
  handles: Handles,
  provider: Provider,
  model: string | Uint8Array,
  { threads, allowFallback, sessionConfig = {} }: Pick<RuntimeOptions, "threads" | "allowFallback" | "sessionConfig">,
  configure: (settings: Pointer) => void = () => {},
  packed?: Pointer,
): Pointer {
  const own = handles.own.bind(handles);
  const env = openEnvironment(api, own, threads);
  const create = (settings: Pointer): Pointer => {
    // The graph is written as it should run; the optimiser finds nothing and costs a third of the start.
    api.check("SetSessionGraphOptimizationLevel", settings, 0);
    for (const [key, of] of Object.entries(sessionConfig)) api.check("AddSessionConfigEntry", settings, key, of);
    appendProvider(api, settings, provider);
    configure(settings);
    // On the main thread, though it blocks for a second: on worker threads every session's memory came from another
    // malloc arena and stayed there (560 MB more with each of the first four SmolLM2 sessions).
    return typeof model === "string"
      ? api.create("CreateSession", env, nativePath(model), settings)
      : packed === undefined
        ? api.create("CreateSessionFromArray", env, model, model.length, settings)
        : api.create(
            "CreateSessionFromArrayWithPrepackedWeightsContainer",
            ...[env, model, model.length, settings, packed],
          );
  };
  const session = explained(provider, () => createSession(api, own, threads, create));
  if (allowFallback !== true) refuseFallback(api, session, provider);
  return session;
}
