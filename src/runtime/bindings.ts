/** Native objects of one engine: released together, buffers of JavaScript's that they look into, and inputs bound to them. */
import type { OrtApi, Pointer } from "./ort-api.js";

/** Element types of tensors, as onnx.proto3 numbers them. */
export const ELEMENT = { float: 1, uint8: 2, int32: 6, int64: 7, bool: 9, float16: 10 } as const;

/** The graph's floats as they lie in memory: fp32, or the bits of fp16. */
export type FloatArray = Float32Array<ArrayBuffer> | Uint16Array<ArrayBuffer>;
export const FLOAT_ARRAYS = { fp32: Float32Array, fp16: Uint16Array } as const;
export const FLOAT_ELEMENT = { fp32: ELEMENT.float, fp16: ELEMENT.float16 } as const;

/** Handles in the order they were made; released backwards, bindings before all others, once. */
export class Handles {
  private readonly open: [Parameters<OrtApi["release"]>[0], Pointer][] = [];
  constructor(private readonly api: OrtApi) {}

  own(release: Parameters<OrtApi["release"]>[0], handle: Pointer): Pointer {
    this.open.push([release, handle]);
    return handle;
  }

  /**
   * Bindings go first: they hold tensors beyond the tensors' own release, and a tensor made by an allocator is freed
   * through that allocator, which must still be there.
   */
  releaseAll(): void {
    const open = this.open.splice(0).reverse();
    const isBinding = ([release]: (typeof open)[number]) => release === "ReleaseIoBinding";
    for (const entry of [...open.filter(isBinding), ...open.filter((entry) => !isBinding(entry))])
      this.api.release(...entry);
  }
}

/** A tensor over a buffer of JavaScript's, owned by the engine. */
export type MakeTensor = (data: NodeJS.TypedArray, bytes: number, shape: BigInt64Array, type: number) => Pointer;

/** Makes tensors over buffers in the host's memory. The buffers must be kept: the library looks into them by address. */
export function hostTensors(api: OrtApi, handles: Handles): MakeTensor {
  const info = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
  return (data, bytes, shape, type) =>
    handles.own(
      "ReleaseValue",
      api.create("CreateTensorWithDataAsOrtValue", info, data, bytes, shape, shape.length, type),
    );
}

/** A buffer of JavaScript's that tensors of growing length look into. It never moves: it is above V8's on-heap size. */
export class HostTensor<T extends Float32Array | Uint16Array | BigInt64Array | Int32Array> {
  private readonly byLength = new Map<number, Pointer>();

  constructor(
    readonly data: T,
    private readonly elementType: number,
    private readonly shape: (length: number) => number[],
    private readonly make: MakeTensor,
  ) {}

  /** the tensor over the first `length` units of the buffer */
  of(length: number): Pointer {
    let tensor = this.byLength.get(length);
    if (tensor === undefined) {
      const shape = this.shape(length);
      const elements = shape.reduce((product, d) => product * d, 1);
      tensor = this.make(
        this.data,
        elements * this.data.BYTES_PER_ELEMENT,
        BigInt64Array.from(shape.map(BigInt)),
        this.elementType,
      );
      this.byLength.set(length, tensor);
    }
    return tensor;
  }
}

/** When the contents of an input change. */
export type Changes = "never" | "with the choices" | "every pass";

/**
 * Inputs of a session. A host tensor is bound once and then written to in place, but where the session wants an input on
 * a device, binding makes a copy, and later writes are not seen: such an input is bound again before a pass.
 */
export class BoundInputs {
  private readonly copies: Record<Changes, [name: string, tensor: Pointer][]> = {
    never: [],
    "with the choices": [],
    "every pass": [],
  };

  /** @param copied names of the inputs that binding copies; none on the CPU */
  constructor(
    private readonly api: Pick<OrtApi, "check">,
    private readonly binding: Pointer,
    private readonly copied: ReadonlySet<string>,
  ) {}

  bind(name: string, tensor: Pointer, changes: Changes): void {
    this.api.check("BindInput", this.binding, name, tensor);
    if (this.copied.has(name)) this.copies[changes].push([name, tensor]);
  }

  /** Copies what changed. */
  refresh(changes: Changes): void {
    for (const [name, tensor] of this.copies[changes]) this.api.check("BindInput", this.binding, name, tensor);
  }

  /** Binds another tensor; one that is copied is read now. */
  rebind(name: string, tensor: Pointer): void {
    this.api.check("BindInput", this.binding, name, tensor);
  }

  isCopied(name: string): boolean {
    return this.copied.has(name);
  }
}
