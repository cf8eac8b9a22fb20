/**
 * Weights of heads that are trained: one residual block a head, under the model's own LM head. They lie in one array, head
 * after head, and so do their gradients.
 */

export type TrainedKind = "medusa" | "hydra";

export interface HeadsShape {
  kind: TrainedKind;
  heads: number;
  hiddenSize: number;
}

/** A matrix [out, in] or a bias [out] of one head, and where it lies among all weights. */
export interface Parameter {
  /** `weight` and `bias` of the product inside SiLU; Hydra's `residual.weight` and `residual.bias` beside it */
  part: "weight" | "bias" | "residual.weight" | "residual.bias";
  head: number;
  shape: readonly number[];
  offset: number;
  length: number;
}

/** Numbers that a head's block takes: the state, and for Hydra the embeddings of the pending token and of those drafted. */
export const blockInputs = ({ kind, hiddenSize }: HeadsShape, head: number): number =>
  kind === "medusa" ? hiddenSize : hiddenSize * (head + 2);

/** All of them, in the order in which they lie. */
export function headParameters(shape: HeadsShape): Parameter[] {
  const parameters: Parameter[] = [];
  let offset = 0;
  const add = (head: number, part: Parameter["part"], ...dims: number[]) => {
    const length = dims.reduce((product, n) => product * n, 1);
    parameters.push({ part, head, shape: dims, offset, length });
    offset += length;
  };
  for (let head = 0; head < shape.heads; head++) {
    const inputs = blockInputs(shape, head);
    add(head, "weight", shape.hiddenSize, inputs);
    add(head, "bias", shape.hiddenSize);
    if (shape.kind === "medusa") continue;
    add(head, "residual.weight", shape.hiddenSize, inputs);
    add(head, "residual.bias", shape.hiddenSize);
  }
  return parameters;
}

export const parameterCount = (shape: HeadsShape): number =>
  headParameters(shape).reduce((sum, { length }) => sum + length, 0);
