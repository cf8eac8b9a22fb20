/** Writes the safetensors format, well-formed or deliberately not. */

export interface RawTensor {
  dtype: string;
  shape: readonly number[];
  bytes: Uint8Array;
}

export function safetensorsBytes(tensors: ReadonlyMap<string, RawTensor>): Buffer {
  let offset = 0;
  const header: Record<string, unknown> = { __metadata__: { format: "pt" } };
  for (const [name, { dtype, shape, bytes }] of tensors) {
    header[name] = { dtype, shape, data_offsets: [offset, offset + bytes.length] };
    offset += bytes.length;
  }
  return withHeader(JSON.stringify(header), Buffer.concat([...tensors.values()].map((t) => t.bytes)));
}

/** Any text as the header, followed by `data`; padded with spaces to 8 bytes, as the reference writer does. */
export function withHeader(header: string, data: Uint8Array): Buffer {
  const text = Buffer.from(header.padEnd(Math.ceil(header.length / 8) * 8, " "));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(text.length));
  return Buffer.concat([length, text, data]);
}
