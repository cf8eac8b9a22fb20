/**
 * Moves rows of the KV cache where it lies in a device's memory: a graph of its own over the same buffers. The rows are
 * gathered first, so none is overwritten before it is read, and scattered into what is input and output at once: as with
 * past and present, one buffer at both ends is written in place.
 */
import { storedHeadDim } from "../../model/graph/heads.js";
import { encodeModel, FLOAT, FLOAT16, type Graph, INT64, int, type Node, value } from "../../model/graph/onnx.js";
import type { ModelSpec } from "../../model/spec.js";
import type { FloatType } from "../../schema/numerics.js";
import { ELEMENT, type Handles, HostTensor, type MakeTensor } from "../bindings.js";
import { MAX_TREE_ROWS } from "../limits.js";
import type { OrtApi, Pointer } from "../ort-api.js";
import type { Provider } from "../providers.js";
import { openSession } from "../session.js";
import { rowsInPlace } from "../tree.js";
import { CACHE_PARTS, type CachePart } from "./memory.js";

/** Opset of the GPU dialects: CUDA's kernels of both operators are of versions up to it. */
const OPSET = 19;

export interface MoverOwner {
  api: OrtApi;
  provider: Provider;
  handles: Handles;
  make: MakeTensor;
}

interface MovedCache {
  /** name -> keys or values of one layer [1, kvHeads, capacity, width] */
  tensors: ReadonlyMap<string, Pointer>;
  kvHeads: number;
  width: number;
  float: FloatType;
}

/** Rows of one cache; its graph is made when the first path is kept: most runs keep none. */
export class RowMover {
  private mover: MoverSession | undefined;

  constructor(
    private readonly owner: MoverOwner,
    private readonly layers: readonly Readonly<Record<CachePart, { tensor: Pointer }>>[],
    private readonly spec: ModelSpec,
    private readonly float: FloatType,
  ) {}

  /**
   * Moves keys and values of rows behind `position` to position, position + 1, …; the rows ascend.
   * @throws PROVIDER_UNAVAILABLE where the provider lacks an operator of the graph
   */
  keepRows(position: number, rows: ArrayLike<number>): void {
    const first = rowsInPlace(rows);
    const from = Array.from(rows, (row) => position + row).slice(first);
    if (from.length === 0) return;
    this.mover ??= this.open();
    this.mover.move(from, position + first);
  }

  private open(): MoverSession {
    const { owner, layers, spec, float } = this;
    const tensors = new Map(
      layers.flatMap((of, layer) => CACHE_PARTS.map((part) => [`${layer}.${part}`, of[part].tensor] as const)),
    );
    return new MoverSession(owner, { tensors, kvHeads: spec.kvHeads, width: storedHeadDim(spec), float });
  }
}

class MoverSession {
  private readonly session: Pointer;
  private readonly binding: Pointer;
  /** [n] where the rows are */
  private readonly from: HostTensor<BigInt64Array<ArrayBuffer>>;
  /** [1, kvHeads, n, 3] where each head's go */
  private readonly to: HostTensor<BigInt64Array<ArrayBuffer>>;

  /** @throws PROVIDER_UNAVAILABLE where the provider lacks an operator of it */
  constructor(
    private readonly owner: MoverOwner,
    private readonly cache: MovedCache,
  ) {
    const { api, provider, handles, make } = owner;
    const model = encodeModel(moverGraph(cache), "1", OPSET);
    this.session = openSession(api, handles, provider, model, { threads: 1 });
    this.binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", this.session));
    for (const [name, tensor] of cache.tensors) {
      api.check("BindInput", this.binding, `past.${name}`, tensor);
      api.check("BindOutput", this.binding, `present.${name}`, tensor);
    }
    const { kvHeads } = cache;
    this.from = new HostTensor(new BigInt64Array(MAX_TREE_ROWS), ELEMENT.int64, (n) => [n], make);
    this.to = new HostTensor(
      new BigInt64Array(MAX_TREE_ROWS * kvHeads * 3),
      ELEMENT.int64,
      (n) => [1, kvHeads, n, 3],
      make,
    );
  }

  /** @param from [n ≤ MAX_TREE_ROWS] tokens of the cache, whose keys and values go to tokens `to`, `to` + 1, … */
  move(from: readonly number[], to: number): void {
    const { api } = this.owner;
    const n = from.length;
    for (let i = 0; i < n; i++) this.from.data[i] = BigInt(from[i]);
    for (let head = 0; head < this.cache.kvHeads; head++) {
      for (let i = 0; i < n; i++) {
        const at = 3 * (head * n + i);
        this.to.data[at] = 0n; // of a batch of one
        this.to.data[at + 1] = BigInt(head);
        this.to.data[at + 2] = BigInt(to + i);
      }
    }
    // bound again each time: on a device binding copies them
    api.check("BindInput", this.binding, "from", this.from.of(n));
    api.check("BindInput", this.binding, "to", this.to.of(n));
    api.check("RunWithBinding", this.session, null, this.binding);
    api.check("SynchronizeBoundOutputs", this.binding);
  }
}

function moverGraph({ tensors, kvHeads, width, float }: MovedCache): Graph {
  const element = float === "fp16" ? FLOAT16 : FLOAT;
  const names = [...tensors.keys()];
  const node = (opType: string, input: string[], output: string, attribute: Node["attribute"] = []): Node => ({
    opType,
    input,
    output: [output],
    name: `${output}:${opType}`,
    attribute,
  });
  const all = (side: string) => names.map((name) => value(`${side}.${name}`, element, [1, kvHeads, "capacity", width]));
  return {
    name: "rows of the cache",
    node: names.flatMap((name) => [
      node("Gather", [`past.${name}`, "from"], `rows.${name}`, [int("axis", 2)]),
      node("ScatterND", [`past.${name}`, "to", `rows.${name}`], `present.${name}`),
    ]),
    initializer: [],
    input: [value("from", INT64, ["n"]), value("to", INT64, [1, kvHeads, "n", 3]), ...all("past")],
    output: all("present"),
  };
}
