import { BoundInputs, type Handles } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import { copiedInputs, type Provider } from "../providers.js";

/** One session with its binding, and tensors over buffers of ours: for graphs that are no model's. */
export class BoundGraph {
  readonly binding: Pointer;
  readonly inputs: BoundInputs;
  private readonly hostInfo: Pointer;

  constructor(
    readonly api: OrtApi,
    readonly handles: Handles,
    readonly session: Pointer,
    readonly provider: Provider,
  ) {
    this.hostInfo = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
    this.binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
    this.inputs = new BoundInputs(api, this.binding, copiedInputs(api, session, provider));
  }

  readonly tensor = (data: NodeJS.TypedArray, bytes: number, shape: BigInt64Array, type: number): Pointer =>
    this.handles.own(
      "ReleaseValue",
      this.api.create("CreateTensorWithDataAsOrtValue", this.hostInfo, data, bytes, shape, shape.length, type),
    );

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
