/**
 * The part of NVIDIA's driver API that puts blocks into a GPU's memory and queues copies beside ONNX Runtime's passes
 * (docs.nvidia.com, CUDA Driver API; functions named `_v2` are what its headers call by the plain name). The library comes
 * with the driver, so it is there wherever the CUDA provider runs. ONNX Runtime computes in the device's primary context.
 */
import { DraftplanError } from "../../core/errors.js";
import { type NativeArgument, type NativeFunction, nativeFunctions, type Pointer } from "../ort-api.js";

/** An address in the device's memory. */
export type DeviceAddress = Pointer;

const SIGNATURES = {
  cuInit: "int cuInit(unsigned int flags)",
  cuDeviceGet: "int cuDeviceGet(_Out_ int *device, int ordinal)",
  cuDevicePrimaryCtxRetain: "int cuDevicePrimaryCtxRetain(_Out_ void **context, int device)",
  cuDevicePrimaryCtxRelease_v2: "int cuDevicePrimaryCtxRelease_v2(int device)",
  cuCtxSetCurrent: "int cuCtxSetCurrent(void *context)",
  cuMemGetInfo_v2: "int cuMemGetInfo_v2(_Out_ size_t *free, _Out_ size_t *total)",
  cuMemAlloc_v2: "int cuMemAlloc_v2(_Out_ void **address, size_t bytes)",
  cuMemFree_v2: "int cuMemFree_v2(void *address)",
  cuMemHostAlloc: "int cuMemHostAlloc(_Out_ void **address, size_t bytes, unsigned int flags)",
  cuMemFreeHost: "int cuMemFreeHost(void *address)",
  cuMemsetD8Async: "int cuMemsetD8Async(void *to, uint8_t value, size_t bytes, void *stream)",
  cuMemcpyHtoDAsync_v2: "int cuMemcpyHtoDAsync_v2(void *to, void *from, size_t bytes, void *stream)",
  cuMemcpyDtoHAsync_v2: "int cuMemcpyDtoHAsync_v2(void *to, void *from, size_t bytes, void *stream)",
  cuMemcpyDtoDAsync_v2: "int cuMemcpyDtoDAsync_v2(void *to, void *from, size_t bytes, void *stream)",
  cuStreamCreate: "int cuStreamCreate(_Out_ void **stream, unsigned int flags)",
  cuStreamSynchronize: "int cuStreamSynchronize(void *stream)",
  cuStreamDestroy_v2: "int cuStreamDestroy_v2(void *stream)",
  cuEventCreate: "int cuEventCreate(_Out_ void **event, unsigned int flags)",
  cuEventRecord: "int cuEventRecord(void *event, void *stream)",
  cuEventElapsedTime: "int cuEventElapsedTime(_Out_ float *ms, void *from, void *to)",
  cuEventDestroy_v2: "int cuEventDestroy_v2(void *event)",
} as const;

export type DriverFunction = keyof typeof SIGNATURES;

export interface CudaDriver {
  /** @throws RUNTIME_FAILED where the driver says so */
  call(name: DriverFunction, ...args: NativeArgument[]): void;
  /** calls a function whose first parameter is a handle or a number that it fills in */
  make(name: DriverFunction, ...args: NativeArgument[]): Pointer;
}

/** cuda.h: CUDA_ERROR_OUT_OF_MEMORY */
const OUT_OF_MEMORY = 2;

const LIBRARY = process.platform === "win32" ? "nvcuda.dll" : "libcuda.so.1";

/** @throws PROVIDER_UNAVAILABLE where the driver's library is not there */
export function loadCudaDriver(): CudaDriver {
  try {
    return driverOf(nativeFunctions(LIBRARY, SIGNATURES));
  } catch (cause) {
    throw new DraftplanError({
      code: "PROVIDER_UNAVAILABLE",
      at: "--provider cuda",
      what: `the driver's library could not be loaded (${cause instanceof Error ? cause.message : String(cause)})`,
      remedy: "Install NVIDIA's driver, or use --provider cpu.",
      cause,
    });
  }
}

export function driverOf(functions: Readonly<Record<DriverFunction, NativeFunction>>): CudaDriver {
  const call: CudaDriver["call"] = (name, ...args) => {
    const status = functions[name](...args) as number;
    if (status !== 0) throw driverFailed(name, status);
  };
  return {
    call,
    make(name, ...args) {
      const out: (Pointer | null)[] = [null];
      call(name, out, ...args);
      return out[0] as Pointer;
    },
  };
}

const driverFailed = (name: string, status: number): DraftplanError =>
  new DraftplanError({
    code: "RUNTIME_FAILED",
    at: `the GPU's driver: ${name}`,
    what: status === OUT_OF_MEMORY ? "the GPU has not that much memory left" : `error ${status}`,
    remedy:
      "If memory is short, use a smaller --context, or end what else uses the GPU. DRAFTPLAN_GRAPH=choices runs without the driver's own functions.",
  });
