/**
 * The part of ONNX's model format that draftplan writes (field numbers from onnx.proto3, IR version 10), and small
 * constructors for it. Weights are external data: a name, an offset and a length in one file beside the model.
 */
import protobuf from "protobufjs/light.js";

export const FLOAT = 1;
export const UINT8 = 2;
export const INT32 = 6;
export const INT64 = 7;
export const BOOL = 9;
export const FLOAT16 = 10;

const field = (id: number, type: string) => ({ id, type });
const list = (id: number, type: string) => ({ id, type, rule: "repeated" });

const schema = protobuf.Root.fromJSON({
  nested: {
    Model: {
      fields: {
        irVersion: field(1, "int64"),
        producerName: field(2, "string"),
        producerVersion: field(3, "string"),
        graph: field(7, "Graph"),
        opsetImport: list(8, "OperatorSet"),
      },
    },
    OperatorSet: { fields: { domain: field(1, "string"), version: field(2, "int64") } },
    Graph: {
      fields: {
        node: list(1, "Node"),
        name: field(2, "string"),
        initializer: list(5, "Tensor"),
        input: list(11, "ValueInfo"),
        output: list(12, "ValueInfo"),
      },
    },
    Node: {
      fields: {
        input: list(1, "string"),
        output: list(2, "string"),
        name: field(3, "string"),
        opType: field(4, "string"),
        attribute: list(5, "Attribute"),
        domain: field(7, "string"),
      },
    },
    Attribute: {
      fields: {
        name: field(1, "string"),
        f: field(2, "float"),
        i: field(3, "int64"),
        s: field(4, "bytes"),
        g: field(6, "Graph"),
        ints: list(8, "int64"),
        type: field(20, "int32"),
      },
    },
    Tensor: {
      fields: {
        dims: list(1, "int64"),
        dataType: field(2, "int32"),
        name: field(8, "string"),
        rawData: field(9, "bytes"),
        externalData: list(13, "StringEntry"),
        dataLocation: field(14, "int32"),
      },
    },
    StringEntry: { fields: { key: field(1, "string"), value: field(2, "string") } },
    ValueInfo: { fields: { name: field(1, "string"), type: field(2, "Type") } },
    Type: { fields: { tensorType: field(1, "TensorType"), optionalType: field(9, "OptionalType") } },
    OptionalType: { fields: { elemType: field(1, "Type") } },
    TensorType: { fields: { elemType: field(1, "int32"), shape: field(2, "Shape") } },
    Shape: { fields: { dim: list(1, "Dimension") } },
    Dimension: { fields: { dimValue: field(1, "int64"), dimParam: field(2, "string") } },
  },
});

export interface Tensor {
  name: string;
  dims: number[];
  dataType: number;
  rawData?: Uint8Array;
  externalData?: { key: string; value: string }[];
  dataLocation?: number;
}
interface TensorType {
  tensorType: { elemType: number; shape: { dim: ({ dimValue: number } | { dimParam: string })[] } };
}
export interface ValueInfo {
  name: string;
  type: TensorType | { optionalType: { elemType: TensorType } };
}
export interface Attribute {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  g?: Graph;
  ints?: number[];
}
export interface Node {
  input: string[];
  output: string[];
  name: string;
  opType: string;
  domain?: string;
  attribute?: Attribute[];
}
export interface Graph {
  name: string;
  node: Node[];
  initializer: Tensor[];
  input: ValueInfo[];
  output: ValueInfo[];
}

export const float = (name: string, f: number): Attribute => ({ name, type: 1, f });
export const int = (name: string, i: number): Attribute => ({ name, type: 2, i });
export const text = (name: string, s: string): Attribute => ({ name, type: 3, s: new TextEncoder().encode(s) });
export const ints = (name: string, of: readonly number[]): Attribute => ({ name, type: 7, ints: [...of] });
export const subgraph = (name: string, g: Graph): Attribute => ({ name, type: 5, g });

/** Dimensions are numbers or names of unknown extents. */
export const value = (name: string, elemType: number, dims: readonly (number | string)[]): ValueInfo => ({
  name,
  type: tensorType(elemType, dims),
});

/** A value that may be absent. */
export const optional = (name: string, elemType: number, dims: readonly (number | string)[]): ValueInfo => ({
  name,
  type: { optionalType: { elemType: tensorType(elemType, dims) } },
});

const tensorType = (elemType: number, dims: readonly (number | string)[]): TensorType => ({
  tensorType: {
    elemType,
    shape: { dim: dims.map((d) => (typeof d === "number" ? { dimValue: d } : { dimParam: d })) },
  },
});

/** A small constant written into the model itself; bytes are truth values. */
export const constant = (
  name: string,
  dims: number[],
  data: Float32Array | BigInt64Array | Int32Array | Uint8Array,
): Tensor => ({
  name,
  dims,
  dataType:
    data instanceof Float32Array
      ? FLOAT
      : data instanceof Int32Array
        ? INT32
        : data instanceof Uint8Array
          ? BOOL
          : INT64,
  rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
});

/** A tensor that lies in `file` beside the model. */
export const external = (
  name: string,
  dims: number[],
  dataType: number,
  place: { file: string; offset: number; length: number },
): Tensor => ({
  name,
  dims,
  dataType,
  dataLocation: 1,
  externalData: [
    { key: "location", value: place.file },
    { key: "offset", value: String(place.offset) },
    { key: "length", value: String(place.length) },
  ],
});

/** Serialises a model with the standard and the `com.microsoft` operators. */
export function encodeModel(graph: Graph, producerVersion: string, opset = 21): Uint8Array {
  const Model = schema.lookupType("Model");
  return Model.encode(
    Model.fromObject({
      irVersion: 10,
      producerName: "draftplan",
      producerVersion,
      graph,
      opsetImport: [
        { domain: "", version: opset },
        { domain: "com.microsoft", version: 1 },
      ],
    }),
  ).finish();
}

/** The graph of a serialised model, so far as draftplan writes it. @throws where the bytes are no such model */
export function decodeModel(bytes: Uint8Array): Graph {
  const Model = schema.lookupType("Model");
  const { graph } = Model.toObject(Model.decode(bytes), { longs: Number, arrays: true }) as { graph: Graph };
  return graph;
}
