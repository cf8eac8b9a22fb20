/** The products that a regression sums up, run by ONNX Runtime on the CPU (model/heads/moment-graph.ts). */
import { momentGraph } from "../../model/heads/moment-graph.js";
import { blockInputs, type HeadsShape } from "../../model/heads/parameters.js";
import { ELEMENT, Handles, hostTensors } from "../bindings.js";
import { loadOrt } from "../ort-api.js";
import { floats, openBound, type RunsOn } from "./head-graphs.js";

export interface MomentProducts {
  /** [rows, numbers that the last head's block takes] */
  readonly inputs: Float32Array;
  /** [rows, heads · hiddenSize] */
  readonly wanted: Float32Array;
  /** [inputs, inputs], after `multiply` */
  readonly squares: Float32Array;
  /** [inputs, heads · hiddenSize], after `multiply` */
  readonly products: Float32Array;
  multiply(): void;
  close(): void;
}

/**
 * @param rows of every product
 * @throws RUNTIME_FAILED
 */
export function openMomentProducts(shape: HeadsShape, rows: number, { threads, ortLibrary }: RunsOn): MomentProducts {
  const api = loadOrt(ortLibrary);
  const handles = new Handles(api);
  try {
    const width = blockInputs(shape, shape.heads - 1);
    const columns = shape.heads * shape.hiddenSize;
    const { session, binding } = openBound(api, handles, momentGraph(rows, width, columns), threads);
    const tensor = hostTensors(api, handles);
    const bound = (how: "BindInput" | "BindOutput", name: string, ...dims: [number, number]) => {
      const data = floats(dims[0] * dims[1]);
      const shape = BigInt64Array.from(dims.map(BigInt));
      api.check(how, binding, name, tensor(data, data.byteLength, shape, ELEMENT.float));
      return data;
    };
    return {
      inputs: bound("BindInput", "inputs", rows, width),
      wanted: bound("BindInput", "wanted", rows, columns),
      squares: bound("BindOutput", "squares", width, width),
      products: bound("BindOutput", "products", width, columns),
      multiply: () => api.check("RunWithBinding", session, null, binding),
      close: () => handles.releaseAll(),
    };
  } catch (error) {
    handles.releaseAll();
    throw error;
  }
}
