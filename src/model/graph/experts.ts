/**
 * A mixture of experts: a router's choice among gated MLPs, of which a pass computes those that a row of it was sent to.
 *
 * Every expert is an `If` of its own, for the reason that every block is one (build.ts): its weights are initializers of the
 * innermost branch, packed like any other, stored by whatever kernel the block has, and read only where a token needs them.
 * Rows are gathered, multiplied by their share and added up in the order of the experts, so that a token's sum does not
 * depend on what else is in the pass. ONNX Runtime 1.30 has this as one operator, com.microsoft.MoE and QMoE; on the CPU
 * those take gate and up in turns of rows alone (swiglu_fusion 1), no third matrix, and QMoE none of the codes that a
 * checkpoint or a fit gives with a rounding of inputs as MatMulNBits has it: a quantised expert would be another kernel than
 * a quantised block. An `If` whose expert is not asked for takes a few µs, so where there are many they lie in groups, with
 * an `If` around each.
 *
 * Shares as transformers computes them (modeling_mixtral.py, MixtralTopKRouter; modeling_qwen3_moe.py, Qwen3MoeTopKRouter):
 * softmax over all experts in fp32, the greatest of them, summing to 1 where the model wants it.
 */
import { emitFloatProduct } from "../kernels/floats.js";
import type { ModelSpec } from "../spec.js";
import type { Experts } from "../variations.js";
import { type Branch, elementOf } from "./branch.js";
import { expertName, routerName } from "./matrices.js";
import { FLOAT, text } from "./onnx.js";

/** One gated MLP over rows [1, n, hiddenSize]; @returns the name of what it makes of them */
export type GatedMlp = (at: Branch, rows: string, name: string) => string;

/**
 * @param normed what the block reads, [texts, q, hiddenSize]
 * @param name   of the block, `3.mlp`
 * @returns the name of what the experts make of it, in the same shape
 */
export function mixtureNodes(
  branch: Branch,
  spec: ModelSpec & { experts: Experts },
  name: string,
  normed: string,
  gated: GatedMlp,
): string {
  const { hiddenSize, experts } = spec;
  const rows = branch.node("Reshape", [normed, branch.integers("rows.shape", [-1, hiddenSize])], "rows");
  const shares = shareTable(branch, spec, name, rows);
  const most = branch.node("ReduceMax", [shares, branch.integers("over_rows", [0])], "most", { keepdims: 0 });
  const dims = ["rows", hiddenSize];
  const all = Array.from({ length: experts.count }, (_, expert) => expert);
  const add = (at: Branch, expert: number, before: string) =>
    addExpert(at, { rows, shares, sum: before, expert }, (of, sent) => gated(of, sent, expertName(name, expert)));
  const addSome = (at: Branch, some: readonly number[], before: string) => {
    const flags = askedOf(at, most, some);
    return some.reduce(
      (made, expert, i) => at.onlyIf(flags[i], `expert${expert}`, (into) => add(into, expert, made), made, dims),
      before,
    );
  };
  let sum = branch.node("ConstantOfShape", [branch.node("Shape", [rows], "rows.extent")], "nothing");
  if (experts.count < LEAST_GROUPED) sum = addSome(branch, all, sum);
  else
    for (const [group, flag] of groupsAsked(branch, most, experts.count).entries()) {
      const before = sum;
      const some = all.slice(group * GROUP, (group + 1) * GROUP);
      sum = branch.onlyIf(flag, `group${group}`, (at) => addSome(at, some, before), before, dims);
    }
  sum = branch.cast(sum, FLOAT, elementOf(branch.context), "sum");
  return branch.node("Reshape", [sum, branch.node("Shape", [normed], "extent")], "mixed");
}

/** Experts that one `If` is around, where there are many: one token leaves most groups out. */
const GROUP = 4;
const LEAST_GROUPED = 16;

/** Whether experts one behind the other are asked for: truth values [1]. @param most [experts], the greatest share of each */
function askedOf(at: Branch, most: string, some: readonly number[]): string[] {
  const [from, to, axis] = [some[0], some[0] + some.length, 0].map((n, i) => at.integers(`some.${i}`, [n]));
  return flagsOf(at, at.node("Slice", [most, from, to, axis], "some"), some.length, "asked");
}

/** Whether a group has one that is asked for. */
function groupsAsked(branch: Branch, most: string, count: number): string[] {
  const groups = Math.ceil(count / GROUP);
  const full = branch.node("Pad", [most, branch.integers("groups.pad", [0, groups * GROUP - count])], "groups.full");
  const apart = branch.node("Reshape", [full, branch.integers("groups.shape", [groups, GROUP])], "groups.apart");
  const greatest = branch.node("ReduceMax", [apart, branch.integers("in_group", [1])], "groups.most", { keepdims: 0 });
  return flagsOf(branch, greatest, groups, "groups.asked");
}

/** Whether each of so many shares [count] is above 0. */
function flagsOf(at: Branch, shares: string, count: number, name: string): string[] {
  const all = at.node("Greater", [shares, at.number(`${name}.none`, 0, FLOAT)], name);
  const flags = Array.from({ length: count }, (_, i) => `${name}.${i}`);
  at.node("Split", [all], flags, { axis: 0, num_outputs: count });
  return flags.map((flag) => at.name(flag));
}

/** [rows, experts]: what of each expert goes into a row; 0 where it is not asked. */
function shareTable(
  branch: Branch,
  { hiddenSize, experts }: ModelSpec & { experts: Experts },
  name: string,
  rows: string,
) {
  const { count, perToken, normalised } = experts;
  const product = { input: rows, label: routerName(name), out: count, inner: hiddenSize, bias: null, output: "scores" };
  const apart = branch.node(
    "Reshape",
    [emitFloatProduct(branch, product), branch.integers("scores.apart.shape", [-1, count])],
    "scores.apart",
  );
  const scores = branch.cast(apart, elementOf(branch.context), FLOAT, "scores.fp32");
  const all = branch.node("Softmax", [scores], "shares", { axis: -1 });
  branch.node("TopK", [all, branch.integers("per_token", [perToken])], ["greatest", "chosen"], { axis: -1 });
  let greatest = branch.name("greatest"); // [rows, perToken]
  if (normalised) {
    const total = branch.node("ReduceSum", [greatest, branch.integers("over_chosen", [-1])], "total", { keepdims: 1 });
    greatest = branch.node("Div", [greatest, total], "greatest.of_one");
  }
  const none = branch.node("ConstantOfShape", [branch.node("Shape", [all], "shares.extent")], "shares.none");
  return branch.node("ScatterElements", [none, branch.name("chosen"), greatest], "shares.chosen", { axis: 1 });
}

interface Asked {
  /** [rows, hiddenSize] */
  rows: string;
  /** [rows, experts] fp32 */
  shares: string;
  /** [rows, hiddenSize] fp32, of the experts before */
  sum: string;
  expert: number;
}

/** The sum with what an expert makes of the rows that were sent to it. */
function addExpert(
  at: Branch,
  { rows, shares, sum, expert }: Asked,
  gated: (at: Branch, rows: string) => string,
): string {
  const share = at.node("Gather", [shares, at.integers("expert", [expert])], "share", { axis: 1 }); // [rows, 1]
  const places = at.node("NonZero", [share], "places"); // [2, n]: row, and 0
  const [from, to] = [at.integers("first", [0]), at.integers("second", [1])];
  const listed = at.node("Slice", [places, from, to, from], "listed"); // [1, n]
  const where = at.node("Reshape", [listed, at.integers("where.shape", [1, -1, 1])], "where"); // [1, n, 1]
  const made = gated(at, at.node("GatherND", [rows, where], "sent")); // [1, n, hiddenSize]
  const own = at.node("GatherND", [share, where], "own"); // [1, n, 1]
  const weighed = at.node("Mul", [at.cast(made, elementOf(at.context), FLOAT, "made"), own], "weighed");
  return at.node("ScatterND", [sum, where, weighed], "sum", [text("reduction", "add")]);
}
