/** Bytes of quantised matrices, against what the converter really writes for the embedded model. */
import { expect, test } from "vitest";
import { weightBytes } from "../../src/model/graph/matrices.js";
import { weightParts } from "../../src/model/graph/weights.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { Kernel } from "../../src/schema/choice.js";

const KERNELS = ["target", "int8", "int4"] as const satisfies readonly Kernel[];

test("are those of the matrices as they are written, in every layer and the head", async () => {
  const checkpoint = await openCheckpoint("embedded");
  const written = new Map<string, number>();
  for (const { name, dims, bytes } of weightParts(checkpoint, KERNELS)) {
    const kernel = KERNELS.find((one) => name.includes(`.${one}`));
    if (kernel === undefined || dims.length < 2) continue;
    const part = /^\d+\.(attn|mlp)\./.exec(name) === null ? "head" : name.split(".").slice(0, 2).join(".");
    const key = `${part} ${kernel}`;
    written.set(key, (written.get(key) ?? 0) + bytes().byteLength);
  }
  const said = weightBytes(checkpoint.spec, KERNELS);
  const { layers } = checkpoint.spec;
  expect(written.size).toBe(3 * (2 * layers + 1));
  for (const kernel of KERNELS) {
    expect(written.get(`head ${kernel}`)).toBe(said.head[kernel]);
    for (let layer = 0; layer < layers; layer++) {
      expect(written.get(`${layer}.attn ${kernel}`)).toBe(said.attn[kernel]);
      expect(written.get(`${layer}.mlp ${kernel}`)).toBe(said.mlp[kernel]);
    }
  }
});
