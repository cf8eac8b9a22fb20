/** Texts side by side, run by ONNX Runtime on the CPU (model/graph/side-by-side.ts). */
import { readFileSync } from "node:fs";
import { dirname } from "node:path";
import type { GraphDialect } from "../../model/graph/dialect.js";
import { storedHeadDim } from "../../model/graph/heads.js";
import { encodeModel } from "../../model/graph/onnx.js";
import { readPlaces } from "../../model/graph/places.js";
import { cacheName, SIDE_BY_SIDE, sideBySideGraph } from "../../model/graph/side-by-side.js";
import type { ModelSpec } from "../../model/spec.js";
import {
  ELEMENT,
  FLOAT_ARRAYS,
  FLOAT_ELEMENT,
  type FloatArray,
  Handles,
  HostTensor,
  hostTensors,
} from "../bindings.js";
import { pasteRows } from "../cache/rows.js";
import type { SavedRows } from "../cache/saved-rows.js";
import { loadOrt, type OrtApi, type Pointer } from "../ort-api.js";
import { chooseProvider, libraryFacts } from "../providers.js";
import { openSession, weightsLieIn } from "../session.js";
import type { SideBySide } from "./texts.js";

const MOST_PLACES = 16;
/** bytes that the keys and values of all texts together may take */
const CACHE_BYTES = 2 ** 29;

export interface SideBySideOptions {
  threads: number;
  ortLibrary?: string | undefined;
  dialect: GraphDialect;
  /** tokens of each text, prompt included */
  capacity: number;
  /** texts at once; default: as many as there is room for, 16 at most */
  places?: number | undefined;
}

/**
 * @param modelPath of the converted model, with the target's weights
 * @throws RUNTIME_FAILED; nothing stays open then
 */
export function openSideBySide(modelPath: string, spec: ModelSpec, options: SideBySideOptions): SideBySide {
  const api = loadOrt(options.ortLibrary);
  const handles = new Handles(api);
  try {
    return new OrtTexts(api, handles, modelPath, spec, options);
  } catch (error) {
    handles.releaseAll();
    throw error;
  }
}

class OrtTexts implements SideBySide {
  readonly places: number;
  readonly capacity: number;
  readonly tokens: BigInt64Array;
  readonly states: Float32Array;
  readonly hidden: Float32Array;
  /** [places] tokens in each cache; null: nothing has begun there */
  private readonly held: (number | null)[];
  private readonly session: Pointer;
  private readonly steps: Pointer;
  private readonly prompts: Pointer;
  private readonly lengths: Int32Array;
  private readonly promptLength = new Int32Array(new ArrayBuffer(128), 0, 1);
  private readonly total = new Int32Array(new ArrayBuffer(128), 0, 1);
  private readonly promptIds: HostTensor<BigInt64Array>;
  /** [2 layers] of [places, kvHeads, capacity, storedHeadDim]; the library looks into them by address */
  private readonly caches: FloatArray[] = [];
  private readonly kvHeads: number;
  /** [places] what a prompt at that place reads and writes */
  private readonly atPlace: { inputs: [string, Pointer][]; outputs: [string, Pointer][] }[];

  constructor(
    private readonly api: OrtApi,
    private readonly handles: Handles,
    modelPath: string,
    private readonly spec: ModelSpec,
    { threads, dialect, capacity, places }: SideBySideOptions,
  ) {
    this.capacity = capacity;
    this.kvHeads = spec.kvHeads;
    const rows = spec.kvHeads * capacity * storedHeadDim(spec); // numbers of one text's keys in one layer
    const Floats = FLOAT_ARRAYS[dialect.float];
    const room = Math.floor(CACHE_BYTES / (2 * spec.layers * rows * Floats.BYTES_PER_ELEMENT));
    this.places = places ?? Math.max(1, Math.min(MOST_PLACES, room));
    this.held = new Array(this.places).fill(null);
    this.session = sessionOf(api, handles, modelPath, spec, dialect, threads);
    [this.steps, this.prompts] = [0, 1].map(() =>
      handles.own("ReleaseIoBinding", api.create("CreateIoBinding", this.session)),
    );
    const buffer = (bytes: number) => new ArrayBuffer(Math.max(128, bytes));
    this.tokens = new BigInt64Array(buffer(8 * this.places), 0, this.places);
    this.lengths = new Int32Array(buffer(4 * this.places), 0, this.places);
    const { hiddenSize } = spec;
    const states = () => new Float32Array(buffer(4 * this.places * hiddenSize), 0, this.places * hiddenSize);
    [this.states, this.hidden] = [states(), states()];
    const make = hostTensors(api, handles);
    const tensor = (data: NodeJS.TypedArray, type: number, ...shape: number[]): Pointer =>
      make(data, data.byteLength, BigInt64Array.from(shape.map(BigInt)), type);
    this.promptIds = new HostTensor(new BigInt64Array(buffer(8 * capacity)), ELEMENT.int64, (q) => [1, q], make);
    const total = tensor(this.total, ELEMENT.int32, 1);
    const promptLength = tensor(this.promptLength, ELEMENT.int32, 1);

    // all of them in the steps, each by itself in a prompt's pass: the same memory
    const named: Named[] = [];
    const add = (names: Named["names"], data: NodeJS.TypedArray, type: number, ...shape: number[]) => {
      const each = data.length / this.places;
      const one = (place: number) => tensor(data.subarray(place * each, (place + 1) * each), type, 1, ...shape);
      named.push({
        names,
        all: tensor(data, type, this.places, ...shape),
        each: Array.from({ length: this.places }, (_, i) => one(i)),
      });
    };
    add({ output: SIDE_BY_SIDE.states }, this.states, ELEMENT.float, 1, hiddenSize);
    add({ output: SIDE_BY_SIDE.hidden }, this.hidden, ELEMENT.float, 1, hiddenSize);
    add({ output: SIDE_BY_SIDE.likeliest }, this.tokens, ELEMENT.int64, 1);
    for (let layer = 0; layer < spec.layers; layer++)
      for (const part of ["key", "value"] as const) {
        const cache = new Floats(buffer(this.places * rows * Floats.BYTES_PER_ELEMENT), 0, this.places * rows);
        this.caches.push(cache);
        const names = { input: cacheName("past", layer, part), output: cacheName("present", layer, part) };
        add(names, cache, FLOAT_ELEMENT[dialect.float], spec.kvHeads, capacity, storedHeadDim(spec));
      }
    // a step reads the tokens that the one before it wrote
    const told = new BigInt64Array(this.tokens.buffer as ArrayBuffer, 0, this.places);
    this.bindInput(this.steps, SIDE_BY_SIDE.ids, tensor(told, ELEMENT.int64, this.places, 1));
    this.bindInput(this.steps, SIDE_BY_SIDE.lengths, tensor(this.lengths, ELEMENT.int32, this.places));
    this.bindInput(this.steps, SIDE_BY_SIDE.total, total);
    this.bindInput(this.prompts, SIDE_BY_SIDE.lengths, promptLength);
    this.bindInput(this.prompts, SIDE_BY_SIDE.total, total);
    for (const { names, all } of named) {
      if (names.input !== undefined) this.bindInput(this.steps, names.input, all);
      api.check("BindOutput", this.steps, names.output, all);
    }
    this.atPlace = Array.from({ length: this.places }, (_, place) => ({
      inputs: named.flatMap(({ names, each }) => (names.input === undefined ? [] : [[names.input, each[place]]])),
      outputs: named.map(({ names, each }) => [names.output, each[place]]),
    }));
  }

  begin(place: number, prompt: readonly number[], like?: { place: number; shared: number }): void {
    if (prompt.length === 0 || prompt.length >= this.capacity)
      throw new RangeError(`a prompt of ${prompt.length} tokens in room for ${this.capacity}`);
    const shared = like?.shared ?? 0;
    if (shared < 0 || shared >= prompt.length) throw new RangeError(`${shared} shared tokens of ${prompt.length}`);
    if (like !== undefined && like.place !== place) this.copyRows(like.place, place, shared);
    const input = prompt.slice(shared);
    this.promptIds.data.set(input.map(BigInt));
    this.bindInput(this.prompts, SIDE_BY_SIDE.ids, this.promptIds.of(input.length));
    for (const [name, tensor] of this.atPlace[place].inputs) this.bindInput(this.prompts, name, tensor);
    for (const [name, tensor] of this.atPlace[place].outputs) this.api.check("BindOutput", this.prompts, name, tensor);
    this.promptLength[0] = prompt.length - 1;
    this.total[0] = prompt.length;
    this.api.check("RunWithBinding", this.session, null, this.prompts);
    this.held[place] = prompt.length;
  }

  hold(place: number, rows: SavedRows): void {
    const { capacity, caches, places, spec } = this;
    if (rows.position !== 0 || rows.count > capacity)
      throw new RangeError(`rows of ${rows.count} tokens from ${rows.position} in room for ${capacity}`);
    for (const [i, cache] of caches.entries()) {
      const each = cache.length / places;
      pasteRows(cache.subarray(place * each, (place + 1) * each), spec, capacity, rows, rows.parts[i] as FloatArray);
    }
  }

  /** Keys and values of the first tokens of one place to another. */
  private copyRows(from: number, to: number, tokens: number): void {
    const { kvHeads, capacity, places } = this;
    for (const cache of this.caches) {
      const each = cache.length / places;
      const width = each / kvHeads / capacity;
      for (let head = 0; head < kvHeads; head++) {
        const start = from * each + head * capacity * width;
        cache.copyWithin(to * each + head * capacity * width, start, start + tokens * width);
      }
    }
  }

  step(): void {
    let total = 1;
    this.held.forEach((held, place) => {
      const at = Math.min(held ?? 0, this.capacity - 1); // where nothing has begun its one row is written and never read
      this.lengths[place] = at;
      total = Math.max(total, at + 1);
      if (held !== null) this.held[place] = Math.min(held + 1, this.capacity);
    });
    this.total[0] = total;
    this.api.check("RunWithBinding", this.session, null, this.steps);
  }

  close(): void {
    this.handles.releaseAll();
  }

  private bindInput(binding: Pointer, name: string, tensor: Pointer): void {
    this.api.check("BindInput", binding, name, tensor);
  }
}

/** What the graph reads or writes for every text: one tensor over all, and one over each. */
interface Named {
  names: { input?: string; output: string };
  all: Pointer;
  each: Pointer[];
}

function sessionOf(
  api: OrtApi,
  handles: Handles,
  modelPath: string,
  spec: ModelSpec,
  dialect: GraphDialect,
  threads: number,
): Pointer {
  const graph = sideBySideGraph(spec, readPlaces(readFileSync(modelPath)), dialect);
  const provider = chooseProvider("cpu", libraryFacts(api));
  const model = encodeModel(graph, "1", dialect.opset);
  return openSession(api, handles, provider, model, { threads }, (settings) =>
    weightsLieIn(api, settings, dirname(modelPath)),
  );
}
