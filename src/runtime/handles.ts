/** Native objects of one engine: released together, and buffers of JavaScript's that they look into. */
import type { OrtApi, Pointer } from "./ort-api.js";

/** Handles in the order they were made; released backwards, once. */
export class Handles {
  private readonly open: [Parameters<OrtApi["release"]>[0], Pointer][] = [];
  constructor(private readonly api: OrtApi) {}

  own(release: Parameters<OrtApi["release"]>[0], handle: Pointer): Pointer {
    this.open.push([release, handle]);
    return handle;
  }

  releaseAll(): void {
    for (let entry = this.open.pop(); entry !== undefined; entry = this.open.pop()) this.api.release(...entry);
  }
}

/** A buffer of JavaScript's that tensors of growing length look into. It never moves: it is above V8's on-heap size. */
export class HostTensor<T extends Float32Array | BigInt64Array> {
  private readonly byLength = new Map<number, Pointer>();

  constructor(
    readonly data: T,
    private readonly elementType: number,
    private readonly shape: (length: number) => number[],
    private readonly make: (data: T, bytes: number, shape: BigInt64Array, type: number) => Pointer,
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
