/** From a converted model to an engine that runs it by programs. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import type { GraphDialect } from "../../model/graph/dialect.js";
import { readPlaces } from "../../model/graph/places.js";
import { writeProgram } from "../../model/graph/program.js";
import type { ModelSpec } from "../../model/spec.js";
import { Handles, type MakeTensor } from "../bindings.js";
import { type Engine, loadedKernels, type RuntimeOptions } from "../engine.js";
import type { OrtApi } from "../ort-api.js";
import { libraryFacts, type Provider, runsTrees, unavailable } from "../providers.js";
import { type ComputeMemory, HostMemory } from "./memory.js";
import { EagerRunner } from "./pass-runner.js";
import { type ProgramCore, ProgramEngine } from "./program-engine.js";
import { ProgramSession } from "./program-session.js";
import { Programs } from "./programs.js";
import { Tensors } from "./tensors.js";
import { WeightStore } from "./weight-store.js";

/** What programs that are kept ready may take: on an H200 one took 67 to 80 MB. */
const PROGRAM_BYTES = 2 << 30;

/**
 * @param modelPath of the converted model: its graph says where the weights lie
 * @param dialect   of the provider
 * @throws RUNTIME_FAILED, PROVIDER_UNAVAILABLE; nothing stays open then
 */
export function openProgramEngine(
  api: OrtApi,
  provider: Provider,
  modelPath: string,
  spec: ModelSpec,
  dialect: GraphDialect,
  options: RuntimeOptions,
): Engine {
  const memory = memoryOf(provider);
  const tensors = new Tensors(api, memory);
  const handles = new Handles(api);
  const { file, places } = readPlaces(readFileSync(modelPath));
  const store = new WeightStore(join(dirname(modelPath), file), places, memory, tensors);
  // products whose weights are no constants are not packed, and round no activations
  const numerics: GraphDialect = { ...dialect, activations: "float" };
  const { threads, allowFallback } = options;
  const maker = { api, provider, threads, opset: dialect.opset, store, allowFallback };
  const programs = new Programs(
    (form) => new ProgramSession(maker, writeProgram(spec, form, places, numerics)),
    // weights that a program is the first to need are the store's
    { usedBytes: () => memory.usedBytes() - store.bytes, wait: () => memory.wait() },
    options.programBytes ?? PROGRAM_BYTES,
  );
  const close = () => {
    memory.wait();
    programs.close();
    handles.releaseAll();
    tensors.close();
    store.close();
    memory.close();
  };
  try {
    const make: MakeTensor = (data, _bytes, shape, type) => tensors.overHost(data, Array.from(shape, Number), type);
    const mover = (options.movesByGraph ?? memory.queues) ? { api, provider, handles, make } : undefined;
    const { capacity } = options;
    const kernels = loadedKernels(options.kernels, dialect.targetPrecision);
    const runner = new EagerRunner((program, work) => programs.grow(program, work));
    const core: ProgramCore = {
      ...{ spec, capacity, kernels, numerics, dialect: numerics, memory, programs, runner, mover, close },
      tensors: () => new Tensors(api, memory),
      trees: treesOf(provider, api, dialect),
    };
    return new ProgramEngine(core);
  } catch (error) {
    close();
    throw error;
  }
}

/** @throws PROVIDER_UNAVAILABLE where nothing of draftplan's puts blocks into the provider's memory */
function memoryOf(provider: Provider): ComputeMemory {
  if (provider.append.how === "built in") return new HostMemory();
  throw unavailable(
    provider,
    "draftplan runs no programs on it",
    "Set DRAFTPLAN_GRAPH=choices, or use --provider cpu.",
  );
}

function treesOf(provider: Provider, api: OrtApi, dialect: GraphDialect): ProgramCore["trees"] {
  const facts = libraryFacts(api);
  if (dialect.trees || runsTrees(provider, facts)) return null;
  return { refused: `${provider.name} of ONNX Runtime ${facts.version} runs chains alone` };
}
