/** One branch of the graph under construction: its nodes, its weights, and the products that every block is made of. */
import type { Kernel } from "../../schema/choice.js";
import type { Attributes, Numbers, ProductGraph, StoredType } from "../kernels/kernel.js";
import { kernelFor } from "../kernels/registry.js";
import type { GraphDialect } from "./dialect.js";
import type { MatrixShape } from "./matrices.js";
import {
  type Attribute,
  constant,
  external,
  FLOAT,
  FLOAT16,
  float,
  type Graph,
  int,
  type Node,
  subgraph,
  type Tensor,
  UINT8,
  type ValueInfo,
  value,
} from "./onnx.js";
import { kernelName } from "./weights.js";

/** Where a tensor lies in the weight file. */
export interface Place {
  dims: number[];
  type: StoredType;
  offset: number;
  length: number;
}

export interface WeightFile {
  file: string;
  places: ReadonlyMap<string, Place>;
}

/** What every part of the graph is written for. */
export interface Context extends WeightFile {
  dialect: GraphDialect;
  /** makes a stored weight an input of the graph, and gives that input's name; left out: weights are initializers */
  weightInput?: (name: string, place: Place) => string;
}

const attributeList = (attributes: Attributes): Attribute[] =>
  Object.entries(attributes).map(([name, of]) => (typeof of === "number" ? int(name, of) : float(name, of.float)));

/** element types of stored tensors */
export const ELEMENT = { float32: FLOAT, float16: FLOAT16, uint8: UINT8 } as const;
/** element type of weights, hidden states, keys and values */
export const elementOf = ({ dialect }: Context): number => (dialect.float === "fp16" ? FLOAT16 : FLOAT);

/** A matrix of the weight file, whatever kernels it is stored for. */
export interface StoredMatrix {
  /** e.g. `3.attn.qkv` */
  name: string;
  shape: MatrixShape;
  bias: boolean;
}

/** Nodes and weights of one branch under construction; names are unique by the branch's prefix. */
export class Branch implements ProductGraph {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];
  private readonly declared = new Set<string>();

  constructor(
    private readonly prefix: string,
    readonly context: Context,
  ) {}

  get numbers(): Numbers {
    return this.context.dialect;
  }

  get floatProduct(): GraphDialect["product"] {
    return this.context.dialect.product;
  }

  name(local: string): string {
    return `${this.prefix}/${local}`;
  }

  /** a stored weight, declared in this branch once */
  weight(name: string): string {
    if (this.declared.has(name)) return this.name(name);
    const place = this.context.places.get(name);
    if (place === undefined) throw new Error(`the weight file has no ${name}`);
    if (this.context.weightInput !== undefined) return this.context.weightInput(name, place);
    this.declared.add(name);
    const local = this.name(name);
    const { file } = this.context;
    this.initializers.push(external(local, place.dims, ELEMENT[place.type], { file, ...place }));
    return local;
  }

  /** a small constant of this branch */
  integers(local: string, values: readonly number[]): string {
    this.initializers.push(constant(this.name(local), [values.length], BigInt64Array.from(values, BigInt)));
    return this.name(local);
  }

  /** @param element its type; default: the hidden states' */
  number(local: string, value: number, element = elementOf(this.context)): string {
    const exact = element === FLOAT ? this.name(local) : this.name(`${local}.fp32`);
    this.initializers.push(constant(exact, [], Float32Array.of(value)));
    return element === FLOAT ? exact : this.cast(exact, FLOAT, element, local);
  }

  node(
    opType: string,
    input: string[],
    output: string | string[],
    attributes: Attributes | Attribute[] = [],
    domain = "",
  ): string {
    const outputs = (typeof output === "string" ? [output] : output).map((o) =>
      o.startsWith("=") ? o.slice(1) : this.name(o),
    );
    const attribute = Array.isArray(attributes) ? attributes : attributeList(attributes);
    this.nodes.push({ opType, input, output: outputs, name: `${outputs[0]}:${opType}`, attribute, domain });
    return outputs[0];
  }

  contrib(opType: string, input: string[], output: string | string[], attributes: Attributes = {}): string {
    return this.node(opType, input, output, attributes, "com.microsoft");
  }

  /** ONNX has the operator since version 23; ONNX Runtime's own of another name is older, and onnx.checker refuses it. */
  rmsNorm(input: string, weight: string, output: string, eps: number): string {
    const operator = this.context.dialect.opset >= 23 ? "RMSNormalization" : "SimplifiedLayerNormalization";
    return this.node(operator, [input, this.weight(weight)], output, {
      epsilon: { float: eps },
      axis: -1,
    });
  }

  /** input [.., inner] times a stored matrix [out, inner], as the kernel of this role computes it */
  linear(input: string, matrix: StoredMatrix, role: Kernel, output: string): string {
    const [out, inner] = matrix.shape;
    const bias = matrix.bias ? `${matrix.name}.bias` : null;
    const { emit } = kernelFor(role, this.context.dialect.targetPrecision);
    return emit(this, { input, label: kernelName(matrix.name, role), out, inner, bias, output });
  }

  /** its numbers in another type; as they are where they have it */
  cast(input: string, from: number, to: number, output: string): string {
    return this.node(from === to ? "Identity" : "Cast", [input], output, from === to ? {} : { to });
  }

  /**
   * What is written only where a flag says so.
   * @param flag name of a truth value [1]
   * @param yes  writes what is done then, into a branch of its own; @returns the name of its result
   * @param no   name of the result otherwise
   * @param dims of either, which is fp32
   * @returns the name of the result
   */
  onlyIf(
    flag: string,
    label: string,
    yes: (at: Branch) => string,
    no: string,
    dims: readonly (number | string)[],
  ): string {
    const [taken, left] = [label, `no_${label}`].map((name) => new Branch(this.name(name), this.context));
    const result = (name: string): ValueInfo => value(name, FLOAT, dims);
    const [made, kept] = [yes(taken), left.node("Identity", [no], "out")];
    return this.node("If", [flag], label, [
      subgraph("then_branch", taken.graph([result(made)])),
      subgraph("else_branch", left.graph([result(kept)])),
    ]);
  }

  /** takes over another branch's nodes and weights, which are named by that branch */
  take({ nodes, initializers }: Branch): void {
    this.nodes.push(...nodes);
    this.initializers.push(...initializers);
  }

  graph(outputs: ValueInfo[], input: ValueInfo[] = []): Graph {
    return { name: this.prefix, node: this.nodes, initializer: this.initializers, input, output: outputs };
  }
}
