/**
 * A program: one set of choices as a straight line of nodes, whose weights are inputs.
 *
 * The graph with choices (build.ts) holds every kernel of every block behind `If`s, which no device captures. A program
 * holds what one pass runs and nothing else. Its weights are inputs of the graph, so any number of programs share one set
 * of buffers as they share the KV cache: on an H200 a program was as fast as with initializers, gave the same bits, and
 * took 0.04 s and 70 MB to make (Llama-3.1-8B's shape, fp16 and int4). On the CPU products with weights that are no
 * constants are not packed beforehand; there it is a form for tests.
 *
 * Inputs:  input_ids int64[1, q], or hidden_in float[1, q, H]; logits_from int64[1] where some rows have logits;
 *          seqlens_k int32[1] = n + q − 1 and total_sequence_length int32[1] where an attention runs; of a tree
 *          tree_positions int64[1, q] and tree_bias T[1, 1, q, total]; of attention with a span seqlens_k@<span>,
 *          total_sequence_length@<span> and positions int64[1, q]; past.<layer>.key|value T[1, kvHeads, capacity,
 *          storedHeadDim] of layers whose attention runs; weight/<name>
 * Outputs: hidden_out float[1, q, H]; logits float[1, rows, V], or ids int64[1, rows]; present.<layer>.key|value
 */
import { type ChoiceSet, choiceKey, layerSpans, wholeHead } from "../../schema/choice.js";
import { distinctWindows } from "../layers.js";
import type { ModelSpec } from "../spec.js";
import { type AttentionNames, cacheDims, POSITIONS, TREE, treeBias } from "./blocks.js";
import { Branch, type Context, ELEMENT, elementOf, type Place } from "./branch.js";
import type { GraphDialect } from "./dialect.js";
import { changesLogits, embeddedRows, finalLogits, headMatrix } from "./ends.js";
import { constant, external, FLOAT, type Graph, INT32, INT64, type ValueInfo, value } from "./onnx.js";
import { attendingLayers, straightBlocks } from "./straight-line.js";

/** What a program is written from. */
export interface ProgramForm {
  choices: ChoiceSet;
  /** token ids, or hidden states in place of the embedding */
  entry: "ids" | "hidden";
  /** rows whose head is computed: all of them, those from `logits_from` on, or none */
  rows: "every" | "some" | "none";
  /** what is made of these rows: their logits, or the likeliest token of each, the first one on a tie */
  head: "logits" | "ids";
  /** whether its rows are a tree's: positions and bias are inputs then, and no other pass runs on it */
  tree: boolean;
  /** whether it fills the caches of these choices' spans, and computes nothing (span-refresh.ts); left out: it does not */
  refresh?: true;
}

export const PROGRAM = {
  ids: "input_ids",
  hidden: "hidden_in",
  logitsFrom: "logits_from",
  length: "seqlens_k",
  total: "total_sequence_length",
  hiddenOut: "hidden_out",
  logits: "logits",
  likeliest: "ids",
} as const;

/** Equal for forms of the same graph. */
export const programKey = ({ choices, entry, rows, head, tree, refresh }: ProgramForm): string =>
  [
    ...[entry, rows, rows === "none" ? "" : head],
    refresh ? "refresh" : tree ? "tree" : "chain",
    choiceKey(choices),
  ].join(" ");

/** Lengths of a layer whose attention has a span: as PROGRAM's, of the keys and values that its cache holds. */
export const spanLengths = (span: number): AttentionNames["lengths"] => [
  `${PROGRAM.length}@${span}`,
  `${PROGRAM.total}@${span}`,
];

export interface Program {
  graph: Graph;
  /** input of the graph -> stored tensor that belongs there */
  weights: ReadonlyMap<string, string>;
  /** layers whose keys and values are bound */
  layers: readonly number[];
}

/**
 * @param places  of every stored tensor that the choices need
 * @param dialect of the provider; its trees are programs of their own here
 */
export function writeProgram(
  spec: ModelSpec,
  form: ProgramForm,
  places: ReadonlyMap<string, Place>,
  dialect: GraphDialect,
): Program {
  const weights = new Map<string, string>();
  const infos: ValueInfo[] = [];
  const weightInput = (name: string, { dims, type }: Place): string => {
    const input = `weight/${name}`;
    if (!weights.has(input)) infos.push(value(input, ELEMENT[type], dims));
    weights.set(input, name);
    return input;
  };
  const context: Context = {
    file: "",
    places,
    dialect: { ...dialect, trees: false, spans: false, folds: false, hostInputs: false },
    weightInput,
  };
  const main = new Branch("program", context);
  const layers = attendingLayers(form.choices);
  const hidden = straightBlocks(main, spec, form.choices, entrance(main, spec, form), (layer) =>
    namesOf(main, layer, form),
  );
  main.cast(hidden, elementOf(context), FLOAT, `=${PROGRAM.hiddenOut}`);
  exit(main, spec, form, hidden);
  const cache = (side: string) =>
    layers.flatMap((layer) =>
      ["key", "value"].map((part) => value(`${side}.${layer}.${part}`, elementOf(context), cacheDims(spec, layer))),
    );
  const outputs = [value(PROGRAM.hiddenOut, FLOAT, [1, "q", spec.hiddenSize]), ...headOutputs(spec, form)];
  const inputs = [...passInputs(spec, form, elementOf(context), layers), ...cache("past"), ...infos];
  return { graph: main.graph([...outputs, ...cache("present")], inputs), weights, layers };
}

/**
 * The same with its weights as initializers, under the names that they have as inputs: constants, which the CPU packs for
 * its products. Who makes a session of it hands the tensors over; the places in the file are not read.
 */
export function withConstantWeights(
  { graph, weights, layers }: Program,
  { file, places }: { file: string; places: ReadonlyMap<string, Place> },
): Program {
  const constants = Array.from(weights, ([input, stored]) => {
    const place = places.get(stored) as Place;
    return external(input, place.dims, ELEMENT[place.type], { file, ...place });
  });
  const input = graph.input.filter(({ name }) => !weights.has(name));
  return { graph: { ...graph, initializer: [...graph.initializer, ...constants], input }, weights, layers };
}

function passInputs(spec: ModelSpec, form: ProgramForm, element: number, layers: readonly number[]): ValueInfo[] {
  const { choices, entry, rows, tree } = form;
  const ofLayers = layerSpans(choices);
  const spans = [...new Set(ofLayers)].filter((span) => span !== null);
  const attends = layers.some((layer) => (ofLayers?.[layer] ?? null) === null); // over the whole context
  return [
    entry === "ids" ? value(PROGRAM.ids, INT64, [1, "q"]) : value(PROGRAM.hidden, FLOAT, [1, "q", spec.hiddenSize]),
    ...(rows === "some" ? [value(PROGRAM.logitsFrom, INT64, [1])] : []),
    ...(attends ? [value(PROGRAM.length, INT32, [1]), value(PROGRAM.total, INT32, [1])] : []),
    ...spans.flatMap((span) => spanLengths(span).map((name) => value(name, INT32, [1]))),
    ...(spans.length > 0 ? [value(POSITIONS, INT64, [1, "q"])] : []),
    ...(attends && tree
      ? [
          value(TREE.positions, INT64, [1, "q"]),
          ...distinctWindows(spec).map((_, i) => value(treeBias(i), element, [1, 1, "q", "total"])),
        ]
      : []),
  ];
}

function headOutputs(spec: ModelSpec, { rows, head }: ProgramForm): ValueInfo[] {
  if (rows === "none") return [];
  const extent = rows === "every" ? "q" : "rows";
  return [
    head === "ids"
      ? value(PROGRAM.likeliest, INT64, [1, extent])
      : value(PROGRAM.logits, FLOAT, [1, extent, spec.vocabSize]),
  ];
}

function namesOf(main: Branch, layer: number, { tree, choices }: ProgramForm): AttentionNames {
  const span = layerSpans(choices)?.[layer] ?? null;
  return {
    past: [`past.${layer}.key`, `past.${layer}.value`],
    present: [`=present.${layer}.key`, `=present.${layer}.value`],
    lengths: span === null ? [PROGRAM.length, PROGRAM.total] : spanLengths(span),
    table: (stored) => main.weight(stored),
    treesAlone: tree,
    ...(span === null ? {} : { positions: POSITIONS }), // its cache counts others
  };
}

/** Embedding rows, or the hidden states that stand in for them. */
function entrance(main: Branch, spec: ModelSpec, { entry }: ProgramForm): string {
  if (entry === "hidden") return main.cast(PROGRAM.hidden, FLOAT, elementOf(main.context), "entered");
  return embeddedRows(main, spec, PROGRAM.ids);
}

/** Final norm and head over the rows that are asked for. */
function exit(main: Branch, spec: ModelSpec, { choices, rows, head }: ProgramForm, hidden: string): void {
  if (rows === "none") return;
  let states = hidden;
  if (rows === "some") {
    main.initializers.push(
      constant(main.name("far"), [1], BigInt64Array.of(BigInt(2 ** 31))),
      constant(main.name("axis"), [1], BigInt64Array.of(1n)),
    );
    states = main.node("Slice", [hidden, PROGRAM.logitsFrom, main.name("far"), main.name("axis")], "last");
  }
  const normed = main.rmsNorm(states, "norm", "normed", spec.rmsEps);
  const product = main.linear(normed, headMatrix(spec), wholeHead(choices), "logits");
  // what is made of logits is made in fp32, as in the graph with choices; where nothing is, they are compared as they are
  const own = elementOf(main.context);
  const element = changesLogits(spec) ? FLOAT : own;
  const exact = changesLogits(spec) ? main.cast(product, own, FLOAT, "logits.fp32") : product;
  const logits = finalLogits(main, spec, exact, element);
  if (head === "ids") main.node("ArgMax", [logits], `=${PROGRAM.likeliest}`, { axis: -1, keepdims: 0 });
  else main.cast(logits, element, FLOAT, `=${PROGRAM.logits}`);
}
