/** From a converted model to an engine that runs it by programs. */
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { DraftplanError } from "../../core/errors.js";
import type { GraphDialect } from "../../model/graph/dialect.js";
import { readPlaces } from "../../model/graph/places.js";
import { type Program, type ProgramForm, withConstantWeights, writeProgram } from "../../model/graph/program.js";
import { writeRefresh } from "../../model/graph/span-refresh.js";
import type { ModelSpec } from "../../model/spec.js";
import { describeChoices, layerSpans } from "../../schema/choice.js";
import { Handles, type MakeTensor } from "../bindings.js";
import { type Engine, loadedKernels, type RuntimeOptions } from "../engine.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import { libraryFacts, type Provider, runsTrees, unavailable } from "../providers.js";
import { CAPTURE_OPTIONS, CaptureRunner } from "./capture.js";
import type { ProgramCore } from "./core.js";
import { loadCudaDriver } from "./cuda-driver.js";
import { CudaMemory } from "./cuda-memory.js";
import { NO_PROGRAMS } from "./graph-kind.js";
import { type ComputeMemory, HostMemory } from "./memory.js";
import { EagerRunner, type Grow } from "./pass-runner.js";
import { ProgramEngine } from "./program-engine.js";
import { type CacheReading, ProgramSession } from "./program-session.js";
import { PROGRAM_BYTES, Programs } from "./programs.js";
import { Tensors } from "./tensors.js";
import type { Variant } from "./variants.js";
import { WeightStore } from "./weight-store.js";

/** Options of every session on a GPU: its memory grows by what is asked for, not by doubling. */
const ARENA = { arena_extend_strategy: "kSameAsRequested" } as const;

/**
 * @param modelPath of the converted model: its graph says where the weights lie
 * @param dialect   of the provider
 * @param given     the memory that the provider computes in, closed with the engine; undefined: the provider's usual one
 * @throws RUNTIME_FAILED, PROVIDER_UNAVAILABLE; nothing stays open then
 */
export function openProgramEngine(
  api: OrtApi,
  provider: Provider,
  modelPath: string,
  spec: ModelSpec,
  dialect: GraphDialect,
  options: RuntimeOptions,
  given?: ComputeMemory,
): Engine {
  // before any memory is taken: it may be no file of ours
  const { file, places } = readPlaces(readFileSync(modelPath));
  const memory = given ?? memoryOf(api, provider, options);
  const tensors = new Tensors(api, memory);
  const handles = new Handles(api);
  const store = new WeightStore(join(dirname(modelPath), file), places, memory, tensors);
  const isPacked = options.graph === "packed-programs";
  const packed = isPacked
    ? handles.own("ReleasePrepackedWeightsContainer", api.create("CreatePrepackedWeightsContainer"))
    : undefined;
  // products whose weights are no constants are not packed, and round no activations
  const numerics: GraphDialect = isPacked ? dialect : { ...dialect, activations: "float" };
  const written = (form: ProgramForm) => {
    const program =
      form.refresh === true ? writeRefresh(spec, form.choices, numerics) : writeProgram(spec, form, places, numerics);
    return isPacked ? withConstantWeights(program, { file, places }) : program;
  };
  const { warn = () => {} } = options;
  const refused = (message: string) => warn("CAPTURE_REFUSED", message);
  const make = maker({ ...options, api, provider, memory, store, refused, opset: dialect.opset, packed });
  const programs: Programs<ProgramSession> = new Programs(
    (form, variant) => make(written(form), form, variant),
    // weights that a program is the first to need are the store's
    { usedBytes: () => memory.usedBytes() - store.bytes, wait: () => memory.wait() },
    options.programBytes ?? PROGRAM_BYTES,
  );
  const grow: Grow = (program, work) => programs.grow(program, work);
  const runner = memory.queues ? new CaptureRunner(api, { grow, refused }) : new EagerRunner(grow);
  const close = () => {
    memory.wait();
    programs.close();
    runner.close();
    handles.releaseAll();
    tensors.close();
    store.close();
    memory.close();
  };
  try {
    const makeTensor: MakeTensor = (data, _bytes, shape, type) =>
      tensors.overHost(data, Array.from(shape, Number), type);
    const mover = { api, provider: withOptions(provider, memory.sessionOptions), handles, make: makeTensor };
    const { capacity } = options;
    const kernels = loadedKernels(options.kernels, dialect.targetPrecision);
    const core: ProgramCore = {
      ...{ spec, capacity, kernels, numerics, memory, programs, runner, close },
      tensors: () => new Tensors(api, memory),
      mover: (options.movesByGraph ?? memory.queues) ? mover : undefined,
      trees: treesOf(provider, api, dialect),
    };
    return new ProgramEngine(core);
  } catch (error) {
    close();
    throw error;
  }
}

interface MakerOptions extends Pick<RuntimeOptions, "threads" | "allowFallback"> {
  api: OrtApi;
  provider: Provider;
  memory: ComputeMemory;
  store: WeightStore;
  opset: number;
  packed: Pointer | undefined;
  refused(message: string): void;
}

/** Makes programs ready; where a session cannot be had with passes that can be captured, one whose passes run eagerly. */
function maker(of: MakerOptions): (program: Program, form: ProgramForm, variant: Variant) => ProgramSession {
  const { api, provider, memory, store, opset, packed, threads, allowFallback, refused } = of;
  const open = (program: Program, reads: CacheReading, { options }: Variant, captures: boolean) => {
    const capture = captures ? CAPTURE_OPTIONS : {};
    const own = memory.queues
      ? withOptions(provider, { ...ARENA, ...memory.sessionOptions, ...options, ...capture })
      : provider;
    return new ProgramSession(
      { api, provider: own, threads, opset, store, packed, allowFallback, captures },
      program,
      reads,
    );
  };
  return (program, { choices, refresh = false }, variant) => {
    const reads = { spans: layerSpans(choices), refresh };
    if (!memory.queues) return open(program, reads, variant, false);
    try {
      return open(program, reads, variant, true);
    } catch (cause) {
      if (!(cause instanceof DraftplanError)) throw cause;
      const eager = open(program, reads, variant, false); // what fails without capturing too fails for another reason
      refused(`passes of ${describeChoices(choices)} cannot be captured and run eagerly: ${cause.what}`);
      return eager;
    }
  };
}

function withOptions(provider: Provider, options: Readonly<Record<string, string>>): Provider {
  const { append } = provider;
  return append.how === "built in"
    ? provider
    : { ...provider, append: { ...append, options: { ...append.options, ...options } } };
}

/** @throws PROVIDER_UNAVAILABLE where nothing of draftplan's puts blocks into the provider's memory */
function memoryOf(api: OrtApi, provider: Provider, { graph }: RuntimeOptions): ComputeMemory {
  if (provider.append.how === "built in") return new HostMemory();
  if (graph === "packed-programs") throw unavailable(provider, "weights are packed on the CPU alone", NO_PROGRAMS);
  if (provider.name === "cuda") return new CudaMemory(loadCudaDriver(), api.view);
  throw unavailable(provider, "draftplan runs no programs on it", NO_PROGRAMS);
}

function treesOf(provider: Provider, api: OrtApi, dialect: GraphDialect): ProgramCore["trees"] {
  const facts = libraryFacts(api);
  if (dialect.trees || runsTrees(provider, facts)) return null;
  return { refused: `${provider.name} of ONNX Runtime ${facts.version} runs chains alone` };
}
