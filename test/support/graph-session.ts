/** A written ONNX file run by ONNX Runtime on the CPU: named tensors in, named tensors out, nothing kept between. */
import { ELEMENT, Handles } from "../../src/runtime/bindings.js";
import { loadOrt, type Pointer } from "../../src/runtime/ort-api.js";
import { chooseProvider, libraryFacts } from "../../src/runtime/providers.js";
import { openSession } from "../../src/runtime/session.js";

export interface Tensor {
  dims: readonly number[];
  data: Float32Array | BigInt64Array;
}

export const sizeOf = (dims: readonly number[]): number => dims.reduce((product, d) => product * d, 1);

/** Zeros, at an address that stays: V8 moves what is smaller. */
export const zeros = (dims: readonly number[]): Tensor => {
  const size = sizeOf(dims);
  return { dims, data: new Float32Array(new ArrayBuffer(Math.max(128, 4 * size)), 0, size) };
};

export const integers = (values: readonly number[]): Tensor => {
  const data = new BigInt64Array(new ArrayBuffer(Math.max(128, 8 * values.length)), 0, values.length);
  data.set(values.map(BigInt));
  return { dims: [1, values.length], data };
};

export interface GraphSession {
  /** writes the outputs; an output that is an input's tensor too is written over it in place */
  run(inputs: Record<string, Tensor>, outputs: Record<string, Tensor>): void;
  close(): void;
}

export function openGraph(path: string): GraphSession {
  const api = loadOrt();
  const handles = new Handles(api);
  const provider = chooseProvider("cpu", libraryFacts(api));
  const session = openSession(api, handles, provider, path, { threads: 1 });
  const info = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
  return {
    run(inputs, outputs) {
      const mine = new Handles(api);
      try {
        const binding = mine.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
        const made = new Map<Tensor, Pointer>();
        const pointer = (tensor: Tensor): Pointer => {
          const { dims, data } = tensor;
          const type = data instanceof Float32Array ? ELEMENT.float : ELEMENT.int64;
          const shape = BigInt64Array.from(dims.map(BigInt));
          const place = [info, data, data.byteLength, shape, dims.length, type] as const;
          const known = made.get(tensor);
          if (known !== undefined) return known;
          const value = mine.own("ReleaseValue", api.create("CreateTensorWithDataAsOrtValue", ...place));
          made.set(tensor, value);
          return value;
        };
        for (const [name, tensor] of Object.entries(inputs)) api.check("BindInput", binding, name, pointer(tensor));
        for (const [name, tensor] of Object.entries(outputs)) api.check("BindOutput", binding, name, pointer(tensor));
        api.check("RunWithBinding", session, null, binding);
      } finally {
        mine.releaseAll();
      }
    },
    close: () => handles.releaseAll(),
  };
}
