/**
 * The loss of heads and its gradient, written out as one ONNX graph.
 *
 * For one head, with c [B, D] its inputs, x the state in it, E [V, H] the model's LM head, t [B] the tokens to guess:
 *
 *     z = c Wᵀ + b,  a = z · sigmoid(z),  h = x + a          (Hydra: h = c Rᵀ + r + a)
 *     loss = Σ_B −log softmax(h Eᵀ)[t]
 *     dh = (softmax(h Eᵀ) E − E[t]) / B                      the LM head is frozen, so no [B, V] one-hot is needed
 *     dz = dh · (s + a (1 − s)),  s = sigmoid(z)             since d(z s)/dz = s + z s (1 − s)
 *     dW = dzᵀ c,  db = Σ_B dz,  dR = dhᵀ c,  dr = Σ_B dh
 *
 * For gradients V may be classes that stand for the vocabulary (train/classes.ts): their rows of the LM head, and offsets
 * float[V] that are added to their logits.
 *
 * Inputs:  inputs float[B, most D], targets int64[B, heads], lm_head float[V, H], offsets float[V] (for gradients), and every
 *          parameter by `<head>.<part>`
 * Outputs: losses float[B, heads] and ranks float[B, heads] (tokens with a greater logit), or losses and every gradient by
 *          `d.<head>.<part>`
 */
import { constant, FLOAT, type Graph, INT64, type Node, type Tensor, value } from "../graph/onnx.js";
import { blockInputs, type HeadsShape, headParameters } from "./parameters.js";

/** What it gives beside the losses. */
export type TrainingOutput = "gradients" | "ranks";

export const parameterName = ({ head, part }: { head: number; part: string }): string => `${head}.${part}`;
export const gradientName = (parameter: { head: number; part: string }): string => `d.${parameterName(parameter)}`;

/** @param classes rows of `lm_head` */
export function trainingGraph(shape: HeadsShape, classes: number, rows: number, output: TrainingOutput): Graph {
  const { hiddenSize, heads } = shape;
  const most = blockInputs(shape, heads - 1);
  const write = new Writer(shape, rows);
  for (let head = 0; head < heads; head++) write.head(head, output);
  write.joined("losses", heads);
  if (output === "ranks") write.joined("ranks", heads);
  const parameters = headParameters(shape);
  return {
    name: "draftplan-train-heads",
    node: write.nodes,
    initializer: write.constants,
    input: [
      value("inputs", FLOAT, [rows, most]),
      value("targets", INT64, [rows, heads]),
      value("lm_head", FLOAT, [classes, hiddenSize]),
      ...(output === "gradients" ? [value("offsets", FLOAT, [classes])] : []),
      ...parameters.map((parameter) => value(parameterName(parameter), FLOAT, parameter.shape)),
    ],
    output: [
      value("losses", FLOAT, [rows, heads]),
      ...(output === "ranks"
        ? [value("ranks", FLOAT, [rows, heads])]
        : parameters.map((parameter) => value(gradientName(parameter), FLOAT, parameter.shape))),
    ],
  };
}

class Writer {
  readonly nodes: Node[] = [];
  readonly constants: Tensor[] = [];

  constructor(
    private readonly shape: HeadsShape,
    rows: number,
  ) {
    const integers = (name: string, ...values: number[]) =>
      this.constants.push(constant(name, [values.length], BigInt64Array.from(values.map(BigInt))));
    const numbers = (name: string, n: number) => this.constants.push(constant(name, [1], Float32Array.of(n)));
    integers("axis.rows", 0);
    integers("axis.columns", 1);
    integers("flat", -1);
    numbers("one", 1);
    numbers("per.row", 1 / rows);
    for (let head = 0; head <= shape.heads; head++) {
      integers(`column.${head}`, head);
      integers(`width.${head}`, blockInputs(shape, head));
    }
  }

  head(head: number, output: TrainingOutput): void {
    const name = (part: string) => `${head}.${part}`;
    const node = (opType: string, input: string[], part: string, attributes: Attributes = {}) =>
      this.node(opType, input, name(part), attributes);
    const { kind, heads } = this.shape;
    const all = kind === "medusa" || head === heads - 1;
    const inputs = all ? "inputs" : node("Slice", ["inputs", "column.0", `width.${head}`, "axis.columns"], "inputs");
    const z = node("Gemm", [inputs, name("weight"), name("bias")], "z", { transB: 1 });
    const s = node("Sigmoid", [z], "s");
    const a = node("Mul", [z, s], "a");
    const residual =
      kind === "medusa"
        ? inputs
        : node("Gemm", [inputs, name("residual.weight"), name("residual.bias")], "residual", { transB: 1 });
    const h = node("Add", [residual, a], "h");
    const logits = node("Gemm", [h, "lm_head", ...(output === "gradients" ? ["offsets"] : [])], "logits", {
      transB: 1,
    });
    const target = node("Slice", ["targets", `column.${head}`, `column.${head + 1}`, "axis.columns"], "target");
    const logProbabilities = node("LogSoftmax", [logits], "log.probabilities", { axis: -1 });
    const gathered = node("GatherElements", [logProbabilities, target], "log.probability", { axis: 1 });
    node("Neg", [gathered], "losses");
    if (output === "ranks") {
      const own = node("GatherElements", [logits, target], "logit", { axis: 1 });
      const better = node("Cast", [node("Greater", [logits, own], "greater")], "better", { to: FLOAT });
      node("ReduceSum", [better, "axis.columns"], "ranks", { keepdims: 1 });
      return;
    }
    const expected = node("MatMul", [node("Exp", [logProbabilities], "probabilities"), "lm_head"], "expected");
    const wanted = node("Gather", ["lm_head", node("Reshape", [target, "flat"], "target.flat")], "wanted", { axis: 0 });
    const dh = node("Mul", [node("Sub", [expected, wanted], "difference"), "per.row"], "dh");
    const slope = node("Add", [s, node("Mul", [a, node("Sub", ["one", s], "rest")], "bend")], "slope");
    const dz = node("Mul", [dh, slope], "dz");
    this.gradients(head, inputs, dz, "weight", "bias");
    if (kind === "hydra") this.gradients(head, inputs, dh, "residual.weight", "residual.bias");
  }

  /** of a product inputs · Wᵀ + b whose own gradient is `d` */
  private gradients(head: number, inputs: string, d: string, weight: string, bias: string): void {
    this.node("Gemm", [d, inputs], gradientName({ head, part: weight }), { transA: 1 });
    this.node("ReduceSum", [d, "axis.rows"], gradientName({ head, part: bias }), { keepdims: 0 });
  }

  /** the heads' columns side by side */
  joined(part: string, heads: number): void {
    const columns = Array.from({ length: heads }, (_, head) => `${head}.${part}`);
    this.node("Concat", columns, part, { axis: 1 });
  }

  private node(opType: string, input: string[], output: string, attributes: Attributes): string {
    const attribute = Object.entries(attributes).map(([name, i]) => ({ name, type: 2, i }));
    this.nodes.push({ input, output: [output], name: output, opType, attribute });
    return output;
  }
}

/** all are integers */
type Attributes = Record<string, number>;
