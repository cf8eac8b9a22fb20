/** Memory for keys and values of one layer, where the provider wants it. */
import { FLOAT_BYTES, type FloatType } from "../../schema/numerics.js";
import { FLOAT_ARRAYS, FLOAT_ELEMENT, type FloatArray, type Handles } from "../bindings.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import type { CacheMemory } from "../providers.js";

export type CachePart = "key" | "value";
export const CACHE_PARTS: readonly CachePart[] = ["key", "value"];

/** view: null where the tensor lies in a device's memory */
export interface CacheTensor {
  tensor: Pointer;
  view: FloatArray | null;
}

export class CacheAllocator {
  private readonly allocator: Pointer;

  constructor(
    private readonly api: OrtApi,
    private readonly handles: Handles,
    session: Pointer,
    private readonly memory: CacheMemory,
    private readonly float: FloatType,
  ) {
    const place = memory.on === "host" ? "Cpu" : memory.memoryName;
    const info = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", place, 0, 0, 0));
    this.allocator = handles.own("ReleaseAllocator", api.create("CreateAllocator", session, info));
  }

  /** @param shape [1, kvHeads, tokens, storedHeadDim] */
  make(shape: readonly number[]): CacheTensor {
    const { api, float } = this;
    const dims = BigInt64Array.from(shape, BigInt);
    const tensor = this.handles.own(
      "ReleaseValue",
      api.create("CreateTensorAsOrtValue", this.allocator, dims, dims.length, FLOAT_ELEMENT[float]),
    );
    if (this.memory.on === "device") return { tensor, view: null };
    const bytes = shape.reduce((product, d) => product * d, FLOAT_BYTES[float]);
    const view = new FLOAT_ARRAYS[float](api.view(api.create("GetTensorMutableData", tensor), bytes));
    return { tensor, view };
  }
}
