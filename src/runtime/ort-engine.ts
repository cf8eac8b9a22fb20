/** A model run by ONNX Runtime: every input, output and the KV cache bound once, each pass one native call. */
import { lengthNames } from "../model/graph/blocks.js";
import { choiceFlags, choiceInputNames } from "../model/graph/choice-inputs.js";
import type { GraphDialect } from "../model/graph/dialect.js";
import { foldsHeads, groupSize } from "../model/graph/folded.js";
import type { ModelSpec } from "../model/spec.js";
import { type ChoiceSet, type Kernel, type LayerSpans, layerSpans, uniformChoices } from "../schema/choice.js";
import type { Numerics } from "../schema/numerics.js";
import { type Changes, ELEMENT, Handles, type MakeTensor } from "./bindings.js";
import { KvCache } from "./cache/kv-cache.js";
import { SpanCaches } from "./cache/span-caches.js";
import { type Engine, loadedKernels, ownTerms, type Pass, type PassResult, type RuntimeOptions } from "./engine.js";
import { type NodeRecording, recordNodes } from "./node-recording.js";
import type { PassTimings } from "./node-timings.js";
import { loadOrt, type OrtApi, type Pointer } from "./ort-api.js";
import { Lengths, PassBinding, type PassTensors, passTensors } from "./pass/binding.js";
import { attendsAsTarget, isFolded } from "./pass/folding.js";
import { putIds, requirePass } from "./pass/require.js";
import { SpannedPasses, spansWithin } from "./pass/spanned.js";
import { graphKindOf } from "./programs/graph-kind.js";
import { openProgramEngine } from "./programs/open.js";
import { chooseProvider, copiedInputs, dialectFor, libraryFacts, type Provider, runsTrees } from "./providers.js";
import { openSession } from "./session.js";
import { chainParents, isChain, noTrees, requireAscendingRows } from "./tree.js";
import { type BorrowTensor, type SeenRows, TreeInputs } from "./tree-inputs.js";

/**
 * What a model is converted for that is to run with these options.
 * @throws OPTION_INVALID for a precision that the provider does not compute in
 */
export function dialectOf(
  options: Pick<RuntimeOptions, "dialect" | "provider" | "targetPrecision" | "trees" | "ortLibrary" | "fitTo">,
): GraphDialect {
  const rounded = options.dialect ?? dialectFor(options.provider, options.targetPrecision);
  const dialect: GraphDialect = options.fitTo === undefined ? rounded : { ...rounded, scales: "fitted" };
  if (options.trees !== true || dialect.trees) return dialect;
  const facts = libraryFacts(loadOrt(options.ortLibrary));
  return { ...dialect, trees: runsTrees(chooseProvider(options.provider, facts), facts) };
}

const NO_SHAPE = new BigInt64Array(0);

export function openOrtEngine(modelPath: string, spec: ModelSpec, options: RuntimeOptions): Engine {
  const api = loadOrt(options.ortLibrary);
  const provider = chooseProvider(options.provider, libraryFacts(api));
  const dialect = dialectOf(options);
  const graph = graphKindOf(options);
  if (graph !== "choices") return openProgramEngine(api, provider, modelPath, spec, dialect, { ...options, graph });
  const handles = new Handles(api);
  let recording: NodeRecording | undefined;
  try {
    const session = openSession(api, handles, provider, modelPath, options, (settings) => {
      recording = options.nodeTimings && recordNodes(api, settings, options.nodeTimings.folder);
    });
    const { capacity } = options;
    const kernels = loadedKernels(options.kernels, dialect.targetPrecision);
    const movesByGraph = options.movesByGraph ?? provider.cache.on === "device";
    const { threads, foldFrom } = options;
    const model = { capacity, kernels, dialect, movesByGraph, threads, foldFrom };
    return new OrtEngine(api, handles, session, spec, provider, model, recording);
  } catch (error) {
    handles.releaseAll();
    recording?.remove();
    throw error;
  }
}

interface OpenedModel extends Pick<Engine, "capacity" | "kernels">, Pick<RuntimeOptions, "threads" | "foldFrom"> {
  dialect: GraphDialect;
  movesByGraph: boolean;
}

class OrtEngine implements Engine {
  readonly capacity: number;
  readonly kernels: readonly Kernel[];
  readonly numerics: Numerics;
  private readonly ownTerms: (choices: ChoiceSet) => ChoiceSet;
  private readonly pass: PassBinding;
  /** the choices, and behind them whether hidden states are given */
  private readonly flags: Uint8Array;
  private readonly useHiddenAt: number;
  private readonly cache: KvCache;
  private readonly tree: TreeInputs | undefined;
  private readonly tensors: PassTensors;
  private readonly logitsFrom = new BigInt64Array(16);
  private readonly lengths: Lengths;
  /** caches of spans, and the binding that reads them, made when the first pass asks for it; undefined: none run here */
  private readonly spanCaches: SpanCaches | undefined;
  private readonly openSpanned: (() => { pass: PassBinding; spans: SpannedPasses }) | undefined;
  private spanned: ReturnType<NonNullable<typeof this.openSpanned>> | undefined;
  private readonly spans = new WeakMap<ChoiceSet, LayerSpans | null>();
  private readonly flagPatterns = new WeakMap<ChoiceSet, Uint8Array>();
  private lastChoices: ChoiceSet | undefined;
  readonly rows: Engine["rows"];
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
    this.useHiddenAt = choiceInputNames(spec.layers, kernels).length;
    this.flags = new Uint8Array(new ArrayBuffer(Math.max(this.useHiddenAt + 1, 128)));
    this.ownTerms = ownTerms(dialect.targetPrecision, kernels, dialect.spans ? null : provider.name);
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
    const copied = copiedInputs(api, session, provider);
    this.tensors = passTensors(spec, dialect, make);
    this.pass = new PassBinding(api, session, handles, copied, this.tensors);
    const shared = this.sharedInputs(make);
    const share = ({ inputs }: PassBinding) => {
      for (const { name, tensor, changes } of shared) inputs.bind(name, tensor, changes);
    };
    share(this.pass);
    this.lengths = new Lengths(make);
    const lengthsOf = (layer: number) => lengthNames(layer, dialect);
    for (let layer = 0; layer < (dialect.spans ? spec.layers : 1); layer++)
      this.lengths.bind(this.pass.inputs, lengthsOf(layer));
    this.tree = dialect.trees
      ? new TreeInputs(spec, capacity, dialect.float, this.pass.inputs, make, borrow, foldsHeads(spec, dialect))
      : undefined;
    const { binding, inputs } = this.pass;
    const mover = movesByGraph ? { api, provider, handles, make } : undefined;
    const owner = { api, session, binding, inputs, handles, memory: provider.cache, mover };
    this.cache = new KvCache(owner, spec, capacity, dialect.float);
    this.rows = this.cache.rows((position) => {
      this.assertOpen();
      this.spanCaches?.written(position);
    });
    if (!dialect.spans) return;
    this.spanCaches = new SpanCaches(api, spec, this.cache, this.cache.allocator);
    const { spanCaches, cache, tensors, tree } = this;
    this.openSpanned = () => {
      const pass = new PassBinding(api, session, handles, copied, tensors);
      share(pass);
      tree?.bindTo(pass.inputs);
      return { pass, spans: new SpannedPasses(pass, cache, spanCaches, lengthsOf, make, spec.layers) };
    };
  }

  /** Inputs that every binding has alike. */
  private sharedInputs(make: MakeTensor): { name: string; tensor: Pointer; changes: Changes }[] {
    const names = choiceInputNames(this.spec.layers, this.kernels);
    const flag = (index: number) => make(this.flags.subarray(index, index + 1), 1, NO_SHAPE, ELEMENT.bool);
    const from = make(this.logitsFrom, 8, BigInt64Array.of(1n), ELEMENT.int64);
    return [
      ...names.map((name, i) => ({ name, tensor: flag(i), changes: "with the choices" as const })),
      { name: "use_hidden", tensor: flag(names.length), changes: "every pass" },
      { name: "logits_from", tensor: from, changes: "every pass" },
    ];
  }

  run(asked: Pass): PassResult {
    this.assertOpen();
    const choices = this.ownTerms(asked.choices);
    const pass = choices === asked.choices ? asked : { ...asked, choices };
    const q = requirePass(this, pass);
    const hidden = "hidden" in pass.input ? pass.input.hidden : undefined;
    const { position, logitRows } = pass;
    const { ids, hiddenIn, hiddenOut, logits, positions } = this.tensors;
    if (hidden === undefined) putIds(ids.data, pass.input as ArrayLike<number>, this.spec);
    else hiddenIn.data.set(hidden);
    if (positions !== null) for (let i = 0; i < q; i++) positions.tensor.data[i] = BigInt(position + i);
    const at = this.bindingFor(pass, q, this.setRows(pass, q));
    this.setChoices(choices, hidden !== undefined, at);
    this.spanCaches?.written(position);
    this.logitsFrom[0] = BigInt(q - logitRows);
    at.inputs.refresh("every pass");
    at.bindShapes(q, logitRows, hidden !== undefined);
    this.api.check("RunWithBinding", this.session, null, at.binding);
    // A run waits for its device before it returns, but only by default, and keys and values stay on the device: a pass
    // is over when they are written, and its time is then known.
    if (this.provider.cache.on === "device") this.api.check("SynchronizeBoundOutputs", at.binding);
    this.recording?.countPass();
    return {
      logits: logits.data.subarray(0, logitRows * this.spec.vocabSize),
      hidden: hiddenOut.data.subarray(0, q * this.spec.hiddenSize),
    };
  }

  /** The binding that this pass runs with, its lengths set: one where layers have spans, and one where none has. */
  private bindingFor({ position, choices, round = position }: Pass, q: number, { rows, total }: SeenRows): PassBinding {
    const spans = this.spansOf(choices);
    if (spans === null) {
      this.lengths.set(position, rows, total);
      return this.pass;
    }
    if (this.openSpanned === undefined) throw new Error("spans were refused");
    this.spanned ??= this.openSpanned();
    this.spanned.spans.prepare(spans, { round, position, q });
    return this.spanned.pass;
  }

  private spansOf(choices: ChoiceSet): LayerSpans | null {
    let spans = this.spans.get(choices);
    if (spans === undefined) {
      spans = spansWithin(this.spec, layerSpans(choices));
      this.spans.set(choices, spans);
    }
    return spans;
  }

  private assertOpen(): void {
    if (this.closed) throw new Error("the engine is closed");
  }

  private setChoices(choices: ChoiceSet, useHidden: boolean, { inputs }: PassBinding): void {
    if (choices !== this.lastChoices) {
      let pattern = this.flagPatterns.get(choices);
      if (pattern === undefined) {
        pattern = choiceFlags(choices, this.kernels);
        this.flagPatterns.set(choices, pattern);
      }
      this.flags.set(pattern);
      inputs.refresh("with the choices");
      this.lastChoices = choices;
    }
    this.flags[this.useHiddenAt] = useHidden ? 1 : 0;
  }

  /** Says which rows attention sees: those of a tree, of heads that are folded, or of a chain. */
  private setRows({ position, parents, choices }: Pass, q: number): SeenRows {
    this.tree?.clear();
    const { spec, model } = this;
    const isTree = parents !== undefined && !isChain(parents);
    const folds = foldsHeads(spec, model.dialect) && isFolded(spec, { position, q, ...model }, model.foldFrom);
    if (!isTree && !(folds && attendsAsTarget(choices))) return { rows: q, total: position + q };
    if (this.tree === undefined)
      throw noTrees(`the model as it was loaded for ${this.provider.name} runs chains alone`);
    if (!attendsAsTarget(choices))
      throw noTrees("attention in other kernels than the target's, or with a span, runs chains alone");
    return this.tree.set(position, parents ?? chainParents(q), folds ? groupSize(spec) : 1);
  }

  keepRows(position: number, rows: ArrayLike<number>): void {
    this.assertOpen();
    requireAscendingRows(rows, this.capacity - position);
    this.spanCaches?.written(position);
    this.cache.keepRows(position, rows);
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
