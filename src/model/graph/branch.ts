/** One branch of the graph under construction: its nodes, its weights, and the products that every block is made of. */
import { KERNELS, type Kernel } from "../../schema/choice.js";
import { accuracyLevel, type GraphDialect } from "./dialect.js";
import {
  constant,
  external,
  FLOAT,
  FLOAT16,
  float,
  type Graph,
  int,
  type Node,
  type Tensor,
  UINT8,
  type ValueInfo,
} from "./onnx.js";
import { kernelName, QUANT_BLOCK, type StoredType } from "./weights.js";

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
}

const ELEMENT = { float32: FLOAT, float16: FLOAT16, uint8: UINT8 } as const;
/** element type of weights, hidden states, keys and values */
export const elementOf = ({ dialect }: Context): number => (dialect.float === "fp16" ? FLOAT16 : FLOAT);

/** Nodes and weights of one branch under construction; names are unique by the branch's prefix. */
export class Branch {
  readonly nodes: Node[] = [];
  readonly initializers: Tensor[] = [];

  constructor(
    private readonly prefix: string,
    readonly context: Context,
  ) {}

  name(local: string): string {
    return `${this.prefix}/${local}`;
  }

  /** a stored weight, declared in this branch */
  weight(name: string): string {
    const place = this.context.places.get(name);
    if (place === undefined) throw new Error(`the weight file has no ${name}`);
    const local = this.name(name);
    const { file } = this.context;
    this.initializers.push(external(local, place.dims, ELEMENT[place.type], { file, ...place }));
    return local;
  }

  /** a small constant of this branch */
  constant(local: string, data: BigInt64Array): string {
    this.initializers.push(constant(this.name(local), [data.length], data));
    return this.name(local);
  }

  node(
    opType: string,
    input: string[],
    output: string | string[],
    attribute: Node["attribute"] = [],
    domain = "",
  ): string {
    const outputs = (typeof output === "string" ? [output] : output).map((o) =>
      o.startsWith("=") ? o.slice(1) : this.name(o),
    );
    this.nodes.push({ opType, input, output: outputs, name: `${outputs[0]}:${opType}`, attribute, domain });
    return outputs[0];
  }

  contrib(opType: string, input: string[], output: string | string[], attribute: Node["attribute"] = []): string {
    return this.node(opType, input, output, attribute, "com.microsoft");
  }

  rmsNorm(input: string, weight: string, output: string, eps: number): string {
    return this.node("SimplifiedLayerNormalization", [input, this.weight(weight)], output, [
      float("epsilon", eps),
      int("axis", -1),
    ]);
  }

  /** input [.., in] times a stored matrix [out, in], with the kernel's numerics */
  linear(input: string, matrix: string, kernel: Kernel, output: string, bias: boolean): string {
    if (kernel === "target") return this.product(input, matrix, output, bias);
    const label = kernelName(matrix, kernel);
    const codes = this.weight(`${label}.codes`);
    const inputs = [input, codes, this.weight(`${label}.scales`)];
    if (bias) inputs.push("", "", this.weight(`${matrix}.bias`));
    const [out, blocks] = (this.context.places.get(`${label}.codes`) as Place).dims;
    const inner = (this.context.places.get(kernelName(matrix, "target")) as Place).dims[1];
    if (blocks !== Math.ceil(inner / QUANT_BLOCK)) throw new Error(`${label}: ${blocks} blocks for ${inner} inputs`);
    return this.contrib("MatMulNBits", inputs, output, [
      int("K", inner),
      int("N", out),
      int("bits", KERNELS[kernel].bits as number),
      int("block_size", QUANT_BLOCK),
      int("accuracy_level", accuracyLevel(this.context.dialect)),
    ]);
  }

  /** input [1, q, in] times a matrix [out, in] as it is */
  private product(input: string, matrix: string, output: string, bias: boolean): string {
    const weight = this.weight(kernelName(matrix, "target"));
    if (this.context.dialect.product === "Gemm") return this.gemm(input, weight, matrix, output, bias);
    const product = bias ? `${output}.product` : output;
    this.contrib("FusedMatMul", [input, weight], product, [int("transB", 1)]);
    return bias ? this.node("Add", [this.name(product), this.weight(`${matrix}.bias`)], output) : this.name(output);
  }

  private gemm(input: string, weight: string, matrix: string, output: string, bias: boolean): string {
    const [out, inner] = (this.context.places.get(kernelName(matrix, "target")) as Place).dims.map(BigInt);
    const flat = this.constant(`${output}.flat`, BigInt64Array.of(-1n, inner));
    const full = this.constant(`${output}.full`, BigInt64Array.of(1n, -1n, out));
    const rows = this.node("Reshape", [input, flat], `${output}.rows`);
    const inputs = [rows, weight, ...(bias ? [this.weight(`${matrix}.bias`)] : [])];
    const product = this.node("Gemm", inputs, `${output}.product`, [int("transB", 1)]);
    return this.node("Reshape", [product, full], output);
  }

  /** its numbers in another type; as they are where they have it */
  cast(input: string, from: number, to: number, output: string): string {
    return this.node(from === to ? "Identity" : "Cast", [input], output, from === to ? [] : [int("to", to)]);
  }

  graph(outputs: ValueInfo[], input: ValueInfo[] = []): Graph {
    return { name: this.prefix, node: this.nodes, initializer: this.initializers, input, output: outputs };
  }
}
