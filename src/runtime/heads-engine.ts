/**
 * Heads run by ONNX Runtime: one small graph beside the model's, in the same library and on the same provider; for Hydra's
 * prefix layer a second one with a cache of its own. Every buffer is bound once for each number of rows.
 */
import { type Progress, silentProgress } from "../core/progress.js";
import { convertHeads } from "../model/heads/convert.js";
import { guessedTokens, requireFits } from "../model/heads/fit.js";
import { type HeadsForm, headFlags, passBytes } from "../model/heads/graph.js";
import { openHeadsCheckpoint } from "../model/heads/open.js";
import type { HeadsSpec } from "../model/heads/spec.js";
import { openCheckpoint } from "../model/open.js";
import type { ModelSpec } from "../model/spec.js";
import { type FloatType, isQuantised } from "../schema/numerics.js";
import { ELEMENT, Handles, HostTensor } from "./bindings.js";
import type { RuntimeOptions } from "./engine.js";
import { BoundGraph, passThreads } from "./heads/bound-graph.js";
import { PrefixLayer } from "./heads/prefix-layer.js";
import type { Heads } from "./heads.js";
import { MAX_LOGIT_ROWS } from "./limits.js";
import type { LoadedModel } from "./load.js";
import { loadOrt } from "./ort-api.js";
import { dialectOf } from "./ort-engine.js";
import { chooseProvider, libraryFacts } from "./providers.js";
import { openSession } from "./session.js";
import { sharesThreads } from "./threads/pool.js";

/** Tokens listed unless asked otherwise: what the trees of both papers are made of. */
const DEFAULT_RANKS = 10;

/**
 * Counted on the embedded model's heads (docs/measurements.md): int4 costs Hydra's 0.3 % of a round's tokens beside int8, and
 * a pass of one row a depth takes a fifth less; it costs Medusa's 1.3 %, whose heads go through the LM head together. Of heads
 * with a prefix layer none were counted, so they stay in int8.
 */
const lmHeadOf = ({ kind, prefix }: HeadsSpec): HeadsForm["lmHead"] => (kind === "hydra" && !prefix ? "int4" : "int8");

/** What heads are run for. */
export type HeadsModel = Pick<LoadedModel, "path" | "spec"> & {
  ref: Pick<LoadedModel["ref"], "weights_sha256" | "architecture_sha256">;
  /** its cache's capacity bounds the text that a prefix layer sees */
  engine: Pick<LoadedModel["engine"], "capacity">;
};

export type HeadsOptions = Pick<
  RuntimeOptions,
  "provider" | "threads" | "ortLibrary" | "targetPrecision" | "dialect" | "allowFallback"
> & {
  /** likeliest tokens that a guess lists; default DEFAULT_RANKS, and never more than there are tokens to guess among */
  ranks?: number;
  /**
   * what LM heads compute in, and Hydra's first blocks. Ranks alone come of their logits, and rounded ones change those in near
   * ties alone (docs/heads.md), for a fraction of the bytes. Default: `lmHeadOf`
   */
  lmHead?: HeadsForm["lmHead"];
  /** of a pass of the heads; default: the model's `threads`, but one where a pass is short and those are not shared (`passThreads`) */
  passThreads?: number;
  /** for tests and diagnosis: `logits()` can be asked. Every guess then computes them into the open */
  logits?: boolean;
};

/** Heads with what tests and documents want to know of them besides. */
export interface HeadsEngine extends Heads {
  readonly spec: HeadsSpec;
  /** The logits [rows, heads (Hydra: 1), tokens] behind the last guess; of a token map's tokens, in its order. */
  logits(): Float32Array;
}

/**
 * Opens a folder of heads for a model that is loaded.
 * @throws what openHeadsCheckpoint throws; HEADS_MISMATCH where they belong to another model; FILE_UNWRITABLE;
 *   RUNTIME_FAILED, PROVIDER_UNAVAILABLE. Nothing stays open then
 */
export async function openHeads(
  folder: string,
  model: HeadsModel,
  options: HeadsOptions,
  progress: Progress = silentProgress,
): Promise<HeadsEngine> {
  const checkpoint = await openHeadsCheckpoint(folder);
  try {
    const { spec } = checkpoint;
    requireFits(checkpoint, model.spec);
    const ranks = Math.min(options.ranks ?? DEFAULT_RANKS, guessedTokens(spec, model.spec));
    const { lmHead = lmHeadOf(spec), logits = false } = options;
    // heads and prefix layer run over chains alone, whatever the model runs
    const dialect = { ...dialectOf(inFloats(options)), trees: false, spans: false, folds: false };
    const target = {
      spec: model.spec,
      weightsSha256: model.ref.weights_sha256,
      architectureSha256: model.ref.architecture_sha256,
      open: () => openCheckpoint(model.path),
    };
    const converted = await convertHeads(checkpoint, target, { lmHead, ranks, logits, dialect }, progress);
    const made = { spec, ranks, sha256: checkpoint.sha256, model: model.spec, float: dialect.float, logits };
    const bytes = passBytes(spec, model.spec, lmHead, dialect);
    const shared = sharesThreads(loadOrt(options.ortLibrary), options.threads);
    const threads = options.passThreads ?? passThreads(bytes, options.threads, shared);
    return open(made, converted, model.engine.capacity, { ...options, threads });
  } finally {
    checkpoint.close();
  }
}

/** Beside a quantised target, heads compute in the provider's own floats: they were trained in such, and are small. */
const inFloats = <Options extends HeadsOptions>({
  targetPrecision,
  ...options
}: Options): Omit<Options, "targetPrecision"> =>
  targetPrecision === undefined || isQuantised(targetPrecision) ? options : { ...options, targetPrecision };

interface Made {
  spec: HeadsSpec;
  ranks: number;
  sha256: string;
  model: ModelSpec;
  float: FloatType;
  logits: boolean;
}

function open(
  made: Made,
  converted: Awaited<ReturnType<typeof convertHeads>>,
  capacity: number,
  options: HeadsOptions,
): HeadsEngine {
  const api = loadOrt(options.ortLibrary);
  const provider = chooseProvider(options.provider, libraryFacts(api));
  const handles = new Handles(api);
  try {
    const session = (path: string) => {
      const opened = openSession(api, handles, provider, path, options);
      return new BoundGraph(api, handles, opened, provider);
    };
    const prefix =
      converted.prefix === null
        ? null
        : new PrefixLayer(session(converted.prefix.modelPath), made.model, capacity, made.float);
    return new OrtHeads(session(converted.heads.modelPath), made, prefix, handles);
  } catch (error) {
    handles.releaseAll();
    throw error;
  }
}

/** Rows of a pass: a verification's, which bounds the paths of a tree as well. */
const MAX_ROWS = MAX_LOGIT_ROWS;
const NO_SHAPE = new BigInt64Array(0);

class OrtHeads implements HeadsEngine {
  readonly kind: HeadsSpec["kind"];
  readonly heads: number;
  readonly ranks: number;
  readonly sha256: string;
  readonly spec: HeadsSpec;
  readonly guessAll?: (hidden: Float32Array) => Int32Array;
  readonly states?: (position: number, hidden: Float32Array) => void;
  /** heads that a pass runs */
  private readonly perPass: number;
  private readonly hidden: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly listed: HostTensor<Int32Array<ArrayBuffer>>;
  private readonly scores: HostTensor<Float32Array<ArrayBuffer>> | null;
  /** [head] the path's ids, as long as that head's */
  private readonly paths: HostTensor<BigInt64Array<ArrayBuffer>>[];
  /** which head runs; 128 bytes, for memory that never moves (bindings.ts) */
  private readonly flags = new Uint8Array(new ArrayBuffer(128));
  /** tokens guessed among, and all there are */
  private readonly tokens: number;
  private readonly vocabSize: number;
  private rows = 0;
  private closed = false;

  constructor(
    private readonly graph: BoundGraph,
    { spec, ranks, sha256, model, logits }: Made,
    private readonly prefix: PrefixLayer | null,
    private readonly handles: Handles,
  ) {
    const { kind, heads, hiddenSize } = spec;
    this.kind = kind;
    this.heads = heads;
    this.ranks = ranks;
    this.sha256 = sha256;
    this.spec = spec;
    this.tokens = guessedTokens(spec, model);
    this.vocabSize = model.vocabSize;
    this.perPass = kind === "medusa" ? heads : 1;
    const { perPass, tokens } = this;
    const make = graph.tensor;
    const states = new Float32Array(MAX_ROWS * hiddenSize + 32);
    this.hidden = new HostTensor(states, ELEMENT.float, (rows) => [1, rows, hiddenSize], make);
    const ids = new Int32Array(MAX_ROWS * perPass * ranks + 32);
    this.listed = new HostTensor(ids, ELEMENT.int32, (rows) => [rows, perPass, ranks], make);
    this.scores = logits
      ? new HostTensor(new Float32Array(MAX_ROWS * perPass * tokens), ELEMENT.float, (n) => [n, perPass, tokens], make)
      : null;
    this.paths = Array.from({ length: kind === "medusa" ? 0 : heads }, (_, head) => {
      const path = new BigInt64Array(MAX_ROWS * (head + 1) + 16);
      return new HostTensor(path, ELEMENT.int64, (rows) => [1, rows, head + 1], make);
    });
    headFlags(spec).forEach((name, head) => {
      graph.inputs.bind(name, make(this.flags.subarray(head, head + 1), 1, NO_SHAPE, ELEMENT.bool), "every pass");
    });
    if (kind === "medusa") this.guessAll = (hidden) => this.medusa(hidden);
    if (prefix !== null) this.states = (position, states) => prefix.add(position, states);
  }

  guess(hidden: Float32Array, depth: number, path: ArrayLike<number>): Int32Array {
    const { heads, ranks } = this;
    if (!Number.isInteger(depth) || depth < 0 || depth >= heads)
      throw new RangeError(`there is no head ${depth} of ${heads}`);
    if (this.kind === "hydra") return this.hydra(hidden, depth, path);
    const all = this.medusa(hidden); // [rows, heads, ranks]
    const rows = all.length / (heads * ranks);
    const guesses = new Int32Array(rows * ranks);
    for (let row = 0; row < rows; row++) {
      const from = (row * heads + depth) * ranks;
      guesses.set(all.subarray(from, from + ranks), row * ranks);
    }
    return guesses;
  }

  logits(): Float32Array {
    if (this.scores === null) throw new Error("the heads were opened without logits");
    return this.scores.data.subarray(0, this.rows * this.perPass * this.tokens);
  }

  private medusa(hidden: Float32Array): Int32Array {
    this.setRows(hidden);
    return this.run();
  }

  private hydra(hidden: Float32Array, depth: number, path: ArrayLike<number>): Int32Array {
    const rows = this.setRows(hidden);
    const length = depth + 1;
    if (path.length !== rows * length) throw new RangeError(`${path.length} tokens in ${rows} paths of ${length}`);
    const { data } = this.paths[depth];
    for (let i = 0; i < path.length; i++) data[i] = BigInt(this.checkedId(path[i]));
    this.flags.fill(0);
    this.flags[depth] = 1; // the last head has no flag, and this byte of its own no input
    this.graph.inputs.refresh("every pass");
    this.graph.bindInput("path", this.paths[depth].of(rows));
    return this.run();
  }

  /** Puts the states where the graph reads them. With a prefix layer that layer's last one takes their place. */
  private setRows(hidden: Float32Array): number {
    if (this.closed) throw new Error("the heads are closed");
    const { hiddenSize } = this.spec;
    const rows = hidden.length / hiddenSize;
    if (!Number.isInteger(rows) || rows < 1 || rows > MAX_ROWS)
      throw new RangeError(`${hidden.length} numbers are not 1 to ${MAX_ROWS} states of ${hiddenSize}`);
    if (this.prefix === null) this.hidden.data.set(hidden);
    else for (let row = 0; row < rows; row++) this.hidden.data.set(this.prefix.last(), row * hiddenSize);
    const other = rows !== this.rows;
    if (other || this.graph.inputs.isCopied("hidden")) this.graph.bindInput("hidden", this.hidden.of(rows));
    if (other) {
      this.graph.bindOutput("guesses", this.listed.of(rows));
      if (this.scores !== null) this.graph.bindOutput("logits", this.scores.of(rows));
    }
    this.rows = rows;
    return rows;
  }

  private run(): Int32Array {
    this.graph.run();
    return this.listed.data.subarray(0, this.rows * this.perPass * this.ranks);
  }

  /** The embedding would take -1 for its last row. */
  private checkedId(id: number): number {
    if (id >= 0 && id < this.vocabSize) return id;
    throw new RangeError(`token ${id} is not in a vocabulary of ${this.vocabSize}`);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    this.handles.releaseAll();
  }
}
