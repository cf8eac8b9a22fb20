/** One program made ready: a session with its weights bound, and what else it reads and writes bound when that changes. */
import { encodeModel } from "../../model/graph/onnx.js";
import { PROGRAM, type Program } from "../../model/graph/program.js";
import type { LayerSpans } from "../../schema/choice.js";
import { Handles } from "../bindings.js";
import { CACHE_PARTS } from "../cache/memory.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import { copiedInputs, type Provider, unavailable } from "../providers.js";
import { openSession, weightsLieIn } from "../session.js";
import { NO_PROGRAMS } from "./graph-kind.js";
import type { ProgramCache } from "./program-cache.js";
import type { WeightStore } from "./weight-store.js";

/** What every program of an engine is made with. */
export interface ProgramMaker {
  api: OrtApi;
  /** with the options by which its sessions compute in the memory's order */
  provider: Provider;
  threads: number;
  opset: number;
  store: WeightStore;
  allowFallback?: boolean | undefined;
  /** what the provider has packed of weights that are initializers; undefined: they are inputs */
  packed?: Pointer | undefined;
  /** whether the provider's options ask for passes that can be captured */
  captures: boolean;
}

/** Which caches a program reads and writes. */
export interface CacheReading {
  /** small ones in these layers; null: the whole context's in all */
  spans: LayerSpans | null;
  /** whether it reads the whole context's to fill them */
  refresh: boolean;
}

/** Version of the graphs' form, as the models name it. */
const FORM = "1";

/** Read by the host whatever computes: a captured pass keeps what they were at its capture. */
const isOnHost = (name: string): boolean => name === PROGRAM.logitsFrom || name.startsWith(PROGRAM.total);

export class ProgramSession {
  readonly layers: readonly number[];
  readonly leastBytes: number;
  /** whether its passes may be captured */
  readonly captures: boolean;
  private readonly handles: Handles;
  private readonly session: Pointer;
  private readonly binding: Pointer;
  private readonly bound = new Map<string, Pointer>();
  private cache: ProgramCache | undefined;
  private readonly inputs: ReadonlySet<string>;
  private readonly outputs: ReadonlySet<string>;

  /** @throws RUNTIME_FAILED; PROVIDER_UNAVAILABLE where the provider lacks operators, or wants inputs where they do not lie */
  constructor(
    private readonly maker: ProgramMaker,
    program: Program,
    private readonly reads: CacheReading,
  ) {
    const { api, provider, store, opset, allowFallback, threads } = maker;
    this.layers = program.layers;
    this.inputs = new Set(program.graph.input.map(({ name }) => name));
    this.outputs = new Set(program.graph.output.map(({ name }) => name));
    this.handles = new Handles(api);
    const model = encodeModel(program.graph, FORM, opset);
    this.leastBytes = model.length;
    this.captures = maker.captures;
    try {
      const { packed } = maker;
      const share = (settings: Pointer) => {
        // the library looks whether the file is there, and then takes the tensors that it is given
        weightsLieIn(api, settings, store.folder);
        for (const [name, stored] of program.weights) api.check("AddInitializer", settings, name, store.tensor(stored));
      };
      const how = { threads, allowFallback };
      this.session =
        packed === undefined
          ? openSession(api, this.handles, provider, model, how)
          : openSession(api, this.handles, provider, model, how, share, packed);
      this.binding = this.handles.own("ReleaseIoBinding", api.create("CreateIoBinding", this.session));
      requireInPlace(api, this.session, provider);
      if (packed !== undefined) return;
      for (const [input, stored] of program.weights) this.input(input, store.tensor(stored));
    } catch (error) {
      this.handles.releaseAll();
      throw error;
    }
  }

  input(name: string, tensor: Pointer): void {
    if (!this.inputs.has(name) || this.bound.get(name) === tensor) return;
    this.maker.api.check("BindInput", this.binding, name, tensor);
    this.bound.set(name, tensor);
  }

  output(name: string, tensor: Pointer): void {
    if (!this.outputs.has(name) || this.bound.get(name) === tensor) return;
    this.maker.api.check("BindOutput", this.binding, name, tensor);
    this.bound.set(name, tensor);
  }

  /** Keys and values are read from and written into this cache, and its small ones where the program has spans. */
  over(cache: ProgramCache): void {
    if (this.cache === cache) return;
    for (const layer of this.layers) {
      for (const part of CACHE_PARTS) {
        const { spans, refresh } = this.reads;
        const written = cache.tensor(layer, part, spans?.[layer] ?? null);
        this.input(`past.${layer}.${part}`, refresh ? cache.tensor(layer, part) : written);
        this.output(`present.${layer}.${part}`, written);
      }
    }
    this.cache = cache;
  }

  /** Binds the next cache whole, whichever it is: this one goes. */
  leave(cache: ProgramCache): void {
    if (this.cache !== cache) return;
    this.bound.clear();
    this.cache = undefined;
  }

  /** Lets go of a tensor that is about to be released: another may get its address. */
  forget(tensor: Pointer): void {
    for (const [name, known] of this.bound) if (known === tensor) this.bound.delete(name);
  }

  /** @param options of the run; null: none */
  run(options: Pointer | null): void {
    this.maker.api.check("RunWithBinding", this.session, options, this.binding);
  }

  close(): void {
    this.handles.releaseAll();
  }
}

/**
 * On a device, binding an input that lies elsewhere makes a copy, and later writes are not seen.
 * @throws PROVIDER_UNAVAILABLE where the session wants one on the other side
 */
function requireInPlace(api: OrtApi, session: Pointer, provider: Provider): void {
  if (provider.inputs === "in place" || api.placement === undefined) return;
  const copied = copiedInputs(api, session, provider);
  const names = [...api.placement.inputMemory(session).keys()];
  const misplaced = names.filter((name) => copied.has(name) === isOnHost(name));
  if (misplaced.length === 0) return;
  const list = misplaced.slice(0, 5).join(", ");
  throw unavailable(
    provider,
    `its session wants ${misplaced.length} inputs in another memory than draftplan puts them in: ${list}`,
    NO_PROGRAMS,
  );
}
