/** A model run by ONNX Runtime: every input, output and the KV cache bound once, each pass one native call. */
import { choiceFlags, choiceInputNames } from "../model/graph/choice-inputs.js";
import type { GraphDialect } from "../model/graph/dialect.js";
import type { ModelSpec } from "../model/spec.js";
import { blockKind, type ChoiceSet, type Kernel, uniformChoices } from "../schema/choice.js";
import type { Numerics } from "../schema/numerics.js";
import { BoundInputs, ELEMENT, Handles, HostTensor, type MakeTensor } from "./bindings.js";
import { KvCache } from "./cache/kv-cache.js";
import { type Engine, loadedKernels, ownTerms, type Pass, type PassResult, type RuntimeOptions } from "./engine.js";
import { MAX_LOGIT_ROWS, MAX_PASS_TOKENS } from "./limits.js";
import { type NodeRecording, recordNodes } from "./node-recording.js";
import type { PassTimings } from "./node-timings.js";
import { loadOrt, type OrtApi, type Pointer } from "./ort-api.js";
import { putIds, requirePass } from "./pass/require.js";
import { graphKindOf } from "./programs/graph-kind.js";
import { openProgramEngine } from "./programs/open.js";
import { chooseProvider, copiedInputs, dialectFor, libraryFacts, type Provider, runsTrees } from "./providers.js";
import { openSession } from "./session.js";
import { isChain, noTrees, requireAscendingRows } from "./tree.js";
import { type BorrowTensor, TreeInputs } from "./tree-inputs.js";

/**
 * What a model is converted for that is to run with these options.
 * @throws OPTION_INVALID for a precision that the provider does not compute in
 */
export function dialectOf(
  options: Pick<RuntimeOptions, "dialect" | "provider" | "targetPrecision" | "trees" | "ortLibrary">,
): GraphDialect {
  const dialect = options.dialect ?? dialectFor(options.provider, options.targetPrecision);
  if (options.trees !== true || dialect.trees) return dialect;
  const facts = libraryFacts(loadOrt(options.ortLibrary));
  return { ...dialect, trees: runsTrees(chooseProvider(options.provider, facts), facts) };
}

const NO_SHAPE = new BigInt64Array(0);

export function openOrtEngine(modelPath: string, spec: ModelSpec, options: RuntimeOptions): Engine {
  const api = loadOrt(options.ortLibrary);
  const provider = chooseProvider(options.provider, libraryFacts(api));
  const dialect = dialectOf(options);
  if (graphKindOf(options) === "programs") return openProgramEngine(api, provider, modelPath, spec, dialect, options);
  const handles = new Handles(api);
  let recording: NodeRecording | undefined;
  try {
    const session = openSession(api, handles, provider, modelPath, options, (settings) => {
      recording = options.nodeTimings && recordNodes(api, settings, options.nodeTimings.folder);
    });
    const { capacity } = options;
    const kernels = loadedKernels(options.kernels, dialect.targetPrecision);
    const movesByGraph = options.movesByGraph ?? provider.cache.on === "device";
    const model = { capacity, kernels, dialect, movesByGraph };
    return new OrtEngine(api, handles, session, spec, provider, model, recording);
  } catch (error) {
    handles.releaseAll();
    recording?.remove();
    throw error;
  }
}

interface OpenedModel extends Pick<Engine, "capacity" | "kernels"> {
  dialect: GraphDialect;
  movesByGraph: boolean;
}

class OrtEngine implements Engine {
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly numerics: Numerics;
  private readonly ownTerms: (choices: ChoiceSet) => ChoiceSet;
  private readonly binding: Pointer;
  private readonly inputs: BoundInputs;
  private readonly flags: Uint8Array;
  private readonly useHiddenAt: number;
  private readonly cache: KvCache;
  private readonly tree: TreeInputs | undefined;
  private readonly ids: HostTensor<BigInt64Array<ArrayBuffer>>;
  private readonly hiddenIn: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly hiddenOut: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly logits: HostTensor<Float32Array<ArrayBuffer>>;
  private readonly logitsFrom = new BigInt64Array(16);
  private readonly lengths = new Int32Array(32); // [0] seqlens_k, [16] total_sequence_length
  private readonly flagPatterns = new WeakMap<ChoiceSet, Uint8Array>();
  private lastChoices: ChoiceSet | undefined;
  private boundTokens = -1;
  private boundRows = -1;
  private closed = false;
  /** engines over the same session, each with a cache of its own */
  private readonly others = new Set<OrtEngine>();

  constructor(
    private readonly api: OrtApi,
    private readonly handles: Handles,
    private readonly session: Pointer,
    readonly spec: ModelSpec,
    private readonly provider: Provider,
    private readonly model: OpenedModel,
    private readonly recording: NodeRecording | undefined,
  ) {
    const { capacity, kernels, dialect, movesByGraph } = model;
    this.capacity = capacity;
    this.kernels = kernels;
    this.numerics = dialect;
    this.ownTerms = ownTerms(dialect.targetPrecision, kernels);
    // OrtDeviceAllocator 0 (no arena bookkeeping of ours), default memory
    const hostInfo = handles.own("ReleaseMemoryInfo", api.create("CreateMemoryInfo", "Cpu", 0, 0, 0));
    const create: MakeTensor = (data, bytes, shape, type) =>
      api.create("CreateTensorWithDataAsOrtValue", hostInfo, data, bytes, shape, shape.length, type);
    const make: MakeTensor = (...place) => handles.own("ReleaseValue", create(...place));
    const borrow: BorrowTensor = (data, bytes, shape, type, use) => {
      const tensor = create(data, bytes, shape, type);
      use(tensor);
      api.release("ReleaseValue", tensor);
    };
    const { hiddenSize, vocabSize } = spec;
    this.ids = new HostTensor(new BigInt64Array(MAX_PASS_TOKENS), ELEMENT.int64, (q) => [1, q], make);
    const states = () =>
      new HostTensor(new Float32Array(MAX_PASS_TOKENS * hiddenSize), ELEMENT.float, (q) => [1, q, hiddenSize], make);
    this.hiddenIn = states();
    this.hiddenOut = states();
    this.logits = new HostTensor(
      new Float32Array(MAX_LOGIT_ROWS * vocabSize),
      ELEMENT.float,
      (rows) => [1, rows, vocabSize],
      make,
    );

    this.binding = handles.own("ReleaseIoBinding", api.create("CreateIoBinding", session));
    this.inputs = new BoundInputs(api, this.binding, copiedInputs(api, session, provider));
    const names = choiceInputNames(spec.layers, kernels);
    this.flags = new Uint8Array(new ArrayBuffer(Math.max(names.length + 1, 128)));
    const flag = (index: number) => make(this.flags.subarray(index, index + 1), 1, NO_SHAPE, ELEMENT.bool);
    names.forEach((name, i) => this.inputs.bind(name, flag(i), "with the choices"));
    this.inputs.bind("use_hidden", flag(names.length), "every pass");
    this.useHiddenAt = names.length;
    const one = BigInt64Array.of(1n);
    const [length, total] = [this.lengths.subarray(0, 1), this.lengths.subarray(16, 17)];
    this.inputs.bind("logits_from", make(this.logitsFrom, 8, one, ELEMENT.int64), "every pass");
    this.inputs.bind("seqlens_k", make(length, 4, one, ELEMENT.int32), "every pass");
    this.inputs.bind("total_sequence_length", make(total, 4, one, ELEMENT.int32), "every pass");
    this.tree = dialect.trees ? new TreeInputs(spec, capacity, dialect.float, this.inputs, make, borrow) : undefined;
    const mover = movesByGraph ? { api, provider, handles, make } : undefined;
    const owner = { api, session, binding: this.binding, inputs: this.inputs, handles, memory: provider.cache, mover };
    this.cache = new KvCache(owner, spec, capacity, dialect.float);
  }

  run(asked: Pass): PassResult {
    this.assertOpen();
    const choices = this.ownTerms(asked.choices);
    const pass = choices === asked.choices ? asked : { ...asked, choices };
    const q = requirePass(this, pass);
    const hidden = "hidden" in pass.input ? pass.input.hidden : undefined;
    if (hidden === undefined) putIds(this.ids.data, pass.input as ArrayLike<number>, this.spec);
    else this.hiddenIn.data.set(hidden);
    this.setChoices(pass.choices, hidden !== undefined);
    this.lengths[0] = pass.position + q - 1;
    this.lengths[16] = this.setTree(pass, q);
    this.logitsFrom[0] = BigInt(q - pass.logitRows);
    this.inputs.refresh("every pass");
    this.bindShapes(q, pass.logitRows, hidden !== undefined);
    this.api.check("RunWithBinding", this.session, null, this.binding);
    // A run waits for its device before it returns, but only by default, and keys and values stay on the device: a pass
    // is over when they are written, and its time is then known.
    if (this.provider.cache.on === "device") this.api.check("SynchronizeBoundOutputs", this.binding);
    this.recording?.countPass();
    return {
      logits: this.logits.data.subarray(0, pass.logitRows * this.spec.vocabSize),
      hidden: this.hiddenOut.data.subarray(0, q * this.spec.hiddenSize),
    };
  }

  private assertOpen(): void {
    if (this.closed) throw new Error("the engine is closed");
  }

  private setChoices(choices: ChoiceSet, useHidden: boolean): void {
    if (choices !== this.lastChoices) {
      let pattern = this.flagPatterns.get(choices);
      if (pattern === undefined) {
        pattern = choiceFlags(choices, this.kernels);
        this.flagPatterns.set(choices, pattern);
      }
      this.flags.set(pattern);
      this.inputs.refresh("with the choices");
      this.lastChoices = choices;
    }
    this.flags[this.useHiddenAt] = useHidden ? 1 : 0;
  }

  /** @returns the total length that the operator is to be told */
  private setTree({ position, parents, choices }: Pass, q: number): number {
    this.tree?.clear();
    if (parents === undefined || isChain(parents)) return position + q;
    if (this.tree === undefined)
      throw noTrees(`the model as it was loaded for ${this.provider.name} runs chains alone`);
    if (choices.blocks.some((choice, block) => blockKind(block) === "attn" && choice !== "target" && choice !== "skip"))
      throw noTrees("attention in other kernels than the target's runs chains alone");
    return this.tree.set(position, parents);
  }

  keepRows(position: number, rows: ArrayLike<number>): void {
    this.assertOpen();
    requireAscendingRows(rows, this.capacity - position);
    this.cache.keepRows(position, rows);
  }

  /** Binds what has another length now, and what is to be copied to a device: of ids and hidden states, the one in use. */
  private bindShapes(q: number, rows: number, useHidden: boolean): void {
    const sizes = q !== this.boundTokens;
    const input = (name: string, tensor: Pointer, isUsed: boolean) => {
      if (sizes || (isUsed && this.inputs.isCopied(name))) this.api.check("BindInput", this.binding, name, tensor);
    };
    input("input_ids", this.ids.of(q), !useHidden);
    input("hidden_in", this.hiddenIn.of(q), useHidden);
    if (sizes) this.api.check("BindOutput", this.binding, "hidden_out", this.hiddenOut.of(q));
    this.boundTokens = q;
    if (rows !== this.boundRows) {
      this.api.check("BindOutput", this.binding, "logits", this.logits.of(rows));
      this.boundRows = rows;
    }
  }

  readCache(layer: number, part: "key" | "value", position: number, count: number): Float32Array {
    this.assertOpen();
    const nothing = uniformChoices(this.spec.layers, "skip");
    return this.cache.read(layer, part, position, count, () => {
      this.run({ position: 0, input: [0], choices: nothing, logitRows: 0 });
    });
  }

  withOwnCache(): Engine {
    this.assertOpen();
    if (this.recording !== undefined) throw new Error("an engine that records its nodes has one cache");
    const handles = new Handles(this.api);
    try {
      const other = new OrtEngine(this.api, handles, this.session, this.spec, this.provider, this.model, undefined);
      this.others.add(other);
      return other;
    } catch (error) {
      handles.releaseAll();
      throw error;
    }
  }

  endNodeTimings(): PassTimings[] {
    this.assertOpen();
    if (this.recording === undefined) throw new Error("the engine was opened without nodeTimings");
    return this.recording.end(this.session);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const other of this.others) other.close(); // they run this one's session
    this.others.clear();
    this.handles.releaseAll();
    this.recording?.remove(); // the library writes the trace at the latest when it releases the session
  }
}
