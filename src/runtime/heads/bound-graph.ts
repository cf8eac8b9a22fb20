import { BoundInputs, type Handles, hostTensors, type MakeTensor } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import { copiedInputs, type Provider } from "../providers.js";

/** One session with its binding, and tensors over buffers of ours: for graphs that are no model's. */
export class BoundGraph {
  readonly binding: Pointer;
  readonly inputs: BoundInputs;
  readonly tensor: MakeTensor;

  constructor(
    readonly api: OrtApi,
    readonly handles: Handles,
    readonly session: Pointer,
    readonly provider: Provider,
  ) {
    this.tensor = hostTensors(api, handles);
    this.binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
    this.inputs = new BoundInputs(api, this.binding, copiedInputs(api, session, provider));
  }

  run(): void {
    this.api.check("RunWithBinding", this.session, null, this.binding);
    if (this.provider.cache.on === "device") this.api.check("SynchronizeBoundOutputs", this.binding);
  }

  bindInput(name: string, tensor: Pointer): void {
    this.api.check("BindInput", this.binding, name, tensor);
  }

  bindOutput(name: string, tensor: Pointer): void {
    this.api.check("BindOutput", this.binding, name, tensor);
  }
}

/**
 * Weights of a pass, in bytes, up to which one thread runs it where the model's session has threads of its own: those still
 * wait for work, by turning, when a round comes to its heads, and a second thread of theirs would wait for a core
 * (threads/pool.ts).
 */
const LONE_THREAD_BYTES = 8 << 20;

/**
 * Threads of a session beside the model's.
 * @param weightBytes that its pass reads
 * @param shared      whether as many threads as the model's are the model's own
 */
export const passThreads = (weightBytes: number, modelThreads: number, shared: boolean): number =>
  shared || weightBytes > LONE_THREAD_BYTES ? modelThreads : 1;
