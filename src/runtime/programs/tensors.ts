/** Tensors over blocks of the memory that programs compute in. */
import { Handles } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import type { Block, ComputeMemory } from "./memory.js";

const bytesOf = (dims: readonly number[], size: number): number => dims.reduce((product, d) => product * d, size);

/** Makes tensors over blocks, and owns them. */
export class Tensors {
  private readonly handles: Handles;
  private readonly info: Pointer;
  private readonly hostInfo: Pointer;

  constructor(
    private readonly api: OrtApi,
    memory: Pick<ComputeMemory, "name">,
  ) {
    this.handles = new Handles(api);
    const info = (name: string) => this.handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", name, 0, 0, 0));
    this.info = info(memory.name);
    this.hostInfo = info("Cpu");
  }

  /** @param size bytes of one number */
  over({ at }: Block, dims: readonly number[], type: number, size: number): Pointer {
    return this.handles.own("ReleaseValue", this.create(this.info, at, bytesOf(dims, size), dims, type));
  }

  /** over an array of the host's, which nothing may let go of */
  overHost(data: NodeJS.TypedArray, dims: readonly number[], type: number): Pointer {
    return this.handles.own("ReleaseValue", this.create(this.hostInfo, data, data.byteLength, dims, type));
  }

  /** A tensor that lasts until `use` returns; what was bound to it must be bound anew afterwards. */
  borrow(block: Block, dims: readonly number[], type: number, size: number, use: (tensor: Pointer) => void): void {
    const tensor = this.create(this.info, block.at, bytesOf(dims, size), dims, type);
    try {
      use(tensor);
    } finally {
      this.api.release("ReleaseValue", tensor);
    }
  }

  private create(
    info: Pointer,
    place: Pointer | NodeJS.TypedArray,
    bytes: number,
    dims: readonly number[],
    type: number,
  ): Pointer {
    const shape = BigInt64Array.from(dims, BigInt);
    return this.api.create("CreateTensorWithDataAsOrtValue", info, place, bytes, shape, shape.length, type);
  }

  close(): void {
    this.handles.releaseAll();
  }
}

/** A block seen as rows of numbers: the tensor over so many of them is made once. */
export class Rows {
  private readonly made = new Map<number, Pointer>();
  private readonly rowBytes: number;

  /**
   * @param shape of a tensor over so many rows
   * @param type  of a number, as ONNX counts them
   * @param size  bytes of a number
   */
  constructor(
    private readonly tensors: Tensors,
    readonly block: Block,
    private readonly shape: (rows: number) => number[],
    private readonly type: number,
    private readonly size: number,
  ) {
    this.rowBytes = bytesOf(shape(1), size);
  }

  of(rows: number): Pointer {
    let tensor = this.made.get(rows);
    if (tensor === undefined) {
      tensor = this.tensors.over(this.block, this.shape(rows), this.type, this.size);
      this.made.set(rows, tensor);
    }
    return tensor;
  }

  bytes(rows: number): number {
    return rows * this.rowBytes;
  }
}
