/**
 * Heads as a graph: hidden states in, the likeliest tokens out. Logits stay inside, since a vocabulary's worth of them a
 * head is more to copy than to compute.
 *
 * Medusa, all heads at once:   hidden float[1, rows, H] -> guesses int32[rows, heads, ranks]
 * Hydra, a head a pass:        hidden float[1, rows, H]; path int64[1, rows, head + 1]; head.<k> bool[] for every k but the
 *                              last -> guesses int32[rows, 1, ranks]
 *
 * The hidden states are the target's, before its final norm; with a prefix layer that layer's own, which need none.
 */

import type { Kernel } from "../../schema/choice.js";
import { Branch, type Context, elementOf, type WeightFile } from "../graph/branch.js";
import type { GraphDialect } from "../graph/dialect.js";
import { BOOL, FLOAT, type Graph, INT32, INT64, subgraph, type ValueInfo, value } from "../graph/onnx.js";
import { kernelFor } from "../kernels/registry.js";
import type { ModelSpec } from "../spec.js";
import { guessedTokens } from "./fit.js";
import { drafted, type HeadsSpec } from "./spec.js";

/** How heads are to be written. */
export interface HeadsForm {
  /**
   * of the LM head, and of Hydra's first blocks, which read the state and every embedding: `target` as the target computes,
   * int8 in a quarter of the bytes, int4 in an eighth
   */
  lmHead: "target" | "int8" | "int4";
  /** likeliest tokens listed */
  ranks: number;
  /** for tests: `logits` float[rows, heads, tokens] go out as well */
  logits: boolean;
  dialect: GraphDialect;
}

/** Inputs that say which of Hydra's heads runs: the first that is set, the last head without one. */
export const headFlags = ({ kind, heads }: HeadsSpec): string[] =>
  kind === "medusa" ? [] : Array.from({ length: heads - 1 }, (_, head) => `head.${head}`);

/** Names of matrices in the weight file (weights.ts). */
export const matrixNames = {
  /** all of Medusa's first blocks, one under the other */
  firsts: "firsts",
  /** of one Hydra head: its residual product over its first block */
  first: (head: number) => `first.${head}`,
  block: (head: number, block: number) => `block.${head}.${block}`,
  sharedLmHead: "lm_head",
  lmHead: (head: number) => `lm_head.${head}`,
  embedding: "embedding",
  norm: "norm",
} as const;

export function headsGraph(heads: HeadsSpec, model: ModelSpec, form: HeadsForm, weights: WeightFile): Graph {
  const context: Context = { ...weights, dialect: form.dialect };
  const main = new Branch("main", context);
  const entered = main.cast("hidden", FLOAT, elementOf(context), "entered");
  const state = heads.prefix ? entered : main.rmsNorm(entered, matrixNames.norm, "state", model.rmsEps);
  const write: Write = { heads, model, form, main, context };
  const logits = heads.kind === "medusa" ? medusa(write, state) : hydra(write, state);
  const listed = guesses(write, logits);
  const medusaHeads = heads.kind === "medusa" ? heads.heads : 1;
  const outputs = [value(listed, INT32, ["rows", medusaHeads, form.ranks])];
  if (form.logits) {
    const apart = main.integers("logits.shape", [-1, medusaHeads, guessedTokens(heads, model)]);
    const shaped = main.node("Reshape", [concatenated(main, logits), apart], "logits.apart");
    outputs.push(
      value(main.cast(shaped, elementOf(context), FLOAT, "=logits"), FLOAT, ["rows", medusaHeads, "tokens"]),
    );
  }
  const paths = heads.kind === "medusa" ? [] : [value("path", INT64, [1, "rows", "length"])];
  return {
    name: "draftplan-heads",
    node: main.nodes,
    initializer: main.initializers,
    input: [
      value("hidden", FLOAT, [1, "rows", heads.hiddenSize]),
      ...paths,
      ...headFlags(heads).map((name) => value(name, BOOL, [])),
    ],
    output: outputs,
  };
}

/** Weights that one pass reads, the longest of Hydra's; norms and biases left out. */
export function passBytes(
  heads: HeadsSpec,
  model: ModelSpec,
  lmHeadKernel: HeadsForm["lmHead"],
  numerics: GraphDialect,
): number {
  const { kind, hiddenSize, blocks, lmHead } = heads;
  const bytes = (kernel: Kernel, out: number, inner: number) =>
    kernelFor(kernel, numerics.targetPrecision).bytes(out, inner, numerics);
  const perPass = kind === "medusa" ? heads.heads : 1;
  const first =
    kind === "medusa"
      ? bytes("target", hiddenSize, hiddenSize)
      : bytes(lmHeadKernel, 2 * hiddenSize, hiddenSize * (1 + drafted(kind, heads.heads - 1)));
  const others = (blocks - 1) * bytes("target", hiddenSize, hiddenSize);
  const lmHeads = lmHead === "each" ? perPass : 1;
  return perPass * (first + others) + lmHeads * bytes(lmHeadKernel, guessedTokens(heads, model), hiddenSize);
}

interface Write {
  heads: HeadsSpec;
  model: ModelSpec;
  form: HeadsForm;
  main: Branch;
  context: Context;
}

/** x + SiLU(W x + b), [1, rows, H] */
function residualBlock(branch: Branch, { heads }: Write, head: number, block: number, x: string): string {
  const { hiddenSize, blockBias } = heads;
  const name = matrixNames.block(head, block);
  const product = branch.linear(
    x,
    { name, shape: [hiddenSize, hiddenSize], bias: blockBias },
    "target",
    `${name}.product`,
  );
  return branch.node("Add", [x, silu(branch, product, `${name}.silu`)], `${name}.out`);
}

const silu = (branch: Branch, x: string, output: string): string =>
  branch.contrib("QuickGelu", [x], output, { alpha: { float: 1 } }); // x · sigmoid(x)

/** Logits of one head [1, rows, tokens] by its own LM head, or by the one that all have. */
function lmHead(branch: Branch, { heads, model, form }: Write, head: number | null, x: string): string {
  const name = head === null ? matrixNames.sharedLmHead : matrixNames.lmHead(head);
  const shape = [guessedTokens(heads, model), heads.hiddenSize] as const;
  return branch.linear(x, { name, shape, bias: heads.lmHeadBias }, form.lmHead, `${name}.logits`);
}

/**
 * All heads from one state: their first blocks are one product, and heads that share an LM head go through it as rows.
 * @returns logits: one tensor [1, rows · heads, tokens], or one [1, rows, tokens] for each head
 */
function medusa(write: Write, state: string): string[] {
  const { heads: spec, main } = write;
  const { heads, hiddenSize, blocks, blockBias } = spec;
  const shape = [heads * hiddenSize, hiddenSize] as const;
  const product = main.linear(state, { name: matrixNames.firsts, shape, bias: blockBias }, "target", "firsts");
  const gated = main.node(
    "Reshape",
    [silu(main, product, "firsts.silu"), main.integers("apart", [-1, heads, hiddenSize])],
    "firsts.apart",
  );
  const lone = main.node("Reshape", [state, main.integers("lone", [-1, 1, hiddenSize])], "state.lone");
  const all = main.node("Add", [lone, gated], "firsts.out"); // [rows, heads, H]
  const asRows = main.integers("rows", [1, -1, hiddenSize]);
  if (blocks === 1 && spec.lmHead !== "each")
    return [lmHead(main, write, null, main.node("Reshape", [all, asRows], "states"))];

  const parts = Array.from({ length: heads }, (_, head) => `part.${head}`);
  main.node("Split", [all, main.integers("ones", new Array(heads).fill(1))], parts, { axis: 1 });
  const states = parts.map((part, head) => {
    let x = main.node("Reshape", [main.name(part), asRows], `${part}.rows`);
    for (let block = 1; block < blocks; block++) x = residualBlock(main, write, head, block, x);
    return x;
  });
  if (spec.lmHead === "each") return states.map((x, head) => lmHead(main, write, head, x));
  const alone = main.integers("alone", [-1, 1, hiddenSize]);
  const apart = states.map((x, head) => main.node("Reshape", [x, alone], `part.${head}.alone`));
  const joined = main.node("Concat", apart, "parts", { axis: 1 });
  return [lmHead(main, write, null, main.node("Reshape", [joined, asRows], "states"))];
}

/** The head that the flags say, over the state and the embeddings of the tokens drafted so far. */
function hydra(write: Write, state: string): string[] {
  const { heads: spec, main, context } = write;
  const table = main.weight(matrixNames.embedding);
  const embedded = main.node("Gather", [table, "path"], "embedded"); // [1, rows, head + 1, H]
  const flat = main.node("Reshape", [embedded, main.integers("flat", [0, 0, -1])], "embedded.flat");
  const input = main.node("Concat", [state, flat], "input", { axis: -1 });
  const own = spec.lmHead === "each";
  const out: readonly (string | number)[] = [1, "rows", own ? guessedTokens(spec, write.model) : spec.hiddenSize];
  const body = (branch: Branch, head: number): string => {
    const x = hydraState(branch, write, head, input);
    return own ? lmHead(branch, write, head, x) : x;
  };
  const chosen = whichHead(main, context, spec.heads, (branch, head) =>
    value(body(branch, head), elementOf(context), out),
  );
  return [own ? chosen.name : lmHead(main, write, null, chosen.name)];
}

/** R E + r + SiLU(W E + b), then the blocks behind it */
function hydraState(branch: Branch, write: Write, head: number, input: string): string {
  const { kind, hiddenSize, blocks } = write.heads;
  const name = matrixNames.first(head);
  const shape = [2 * hiddenSize, hiddenSize * (1 + drafted(kind, head))] as const;
  const both = branch.linear(input, { name, shape, bias: true }, write.form.lmHead, name);
  branch.node("Split", [both], [`${name}.residual`, `${name}.inner`], { axis: -1, num_outputs: 2 });
  const gated = silu(branch, branch.name(`${name}.inner`), `${name}.silu`);
  let x = branch.node("Add", [branch.name(`${name}.residual`), gated], `${name}.out`);
  for (let block = 1; block < blocks; block++) x = residualBlock(branch, write, head, block, x);
  return x;
}

/** Nested `If`s over the heads from `head` on, as over a block's kernels (graph/build.ts). @returns what the chosen one gives */
function whichHead(
  branch: Branch,
  context: Context,
  heads: number,
  body: (branch: Branch, head: number) => ValueInfo,
  head = 0,
): ValueInfo {
  if (head === heads - 1) return body(branch, head);
  const [taken, rest] = [new Branch(`head.${head}`, context), new Branch(`head.${head}?`, context)];
  const output = body(taken, head);
  const others = whichHead(rest, context, heads, body, head + 1);
  const chosen = branch.node("If", [`head.${head}`], "chosen", [
    subgraph("then_branch", taken.graph([output])),
    subgraph("else_branch", rest.graph([others])),
  ]);
  return { ...output, name: chosen };
}

/** The likeliest tokens of each row, by falling logits; of equal ones the first. [rows, heads, ranks] */
function guesses({ heads, form, main }: Write, logits: readonly string[]): string {
  const count = main.integers("ranks", [form.ranks]);
  const medusaHeads = heads.kind === "medusa" ? heads.heads : 1;
  const perTensor = logits.length === 1 ? medusaHeads : 1;
  const apart = main.integers("guesses.apart", [-1, perTensor, form.ranks]);
  const found = logits.map((tensor, i) => {
    main.node("TopK", [tensor, count], [`best.${i}`, `ids.${i}`], { axis: -1, largest: 1, sorted: 1 });
    return main.node("Reshape", [main.name(`ids.${i}`), apart], `guesses.${i}`);
  });
  const ids = found.length === 1 ? found[0] : main.node("Concat", found, "guesses.all", { axis: 1 });
  const { tokenMap } = heads;
  const tokens =
    tokenMap === null ? ids : main.node("Gather", [main.integers("token_map", Array.from(tokenMap)), ids], "mapped");
  return main.node("Cast", [tokens], "=guesses", { to: INT32 });
}

/** [rows · heads, …] of tensors that hold a head each */
function concatenated(main: Branch, logits: readonly string[]): string {
  if (logits.length === 1) return logits[0];
  const apart = logits.map((tensor, i) =>
    main.node("Unsqueeze", [tensor, main.integers(`logits.${i}.axis`, [2])], `logits.${i}.alone`),
  );
  return main.node("Concat", apart, "logits.all", { axis: 2 }); // [1, rows, heads, tokens]
}
