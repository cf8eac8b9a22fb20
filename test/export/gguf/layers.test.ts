/** A draft's blocks packed into layers, against running the blocks one by one. */
import { expect, test } from "vitest";
import { areWhole, packLayers } from "../../../src/export/gguf/layers.js";
import { blockIndex, type Choice } from "../../../src/schema/choice.js";

const LAYERS = 4;
/** every way to skip blocks of four layers */
const skippings = Array.from({ length: 2 ** (2 * LAYERS) }, (_, bits) =>
  Array.from({ length: 2 * LAYERS }, (_x, block): Choice => ((bits >> block) & 1 ? "skip" : "target")),
);

test("packed layers run the blocks that are kept, in their order, and nothing else", () => {
  for (const blocks of skippings) {
    const layers = packLayers({ blocks });
    const run = layers.flatMap(({ attn, mlp }) => [attn, mlp].flatMap((kept) => (kept === null ? [] : [kept])));
    expect(run.map(({ block }) => block)).toEqual(blocks.flatMap((choice, i) => (choice === "skip" ? [] : [i])));
    for (const { block, layer } of run) expect(layer).toBe(block >> 1);
    for (const { attn, mlp } of layers) {
      if (attn !== null) expect(attn.block).toBe(blockIndex(attn.layer, "attn"));
      if (mlp !== null) expect(mlp.block).toBe(blockIndex(mlp.layer, "mlp"));
    }
    expect(layers.length).toBeGreaterThan(0);
  }
});

test("no layer of which both halves could stand together is split", () => {
  for (const blocks of skippings) {
    const layers = packLayers({ blocks });
    for (const [i, { mlp }] of layers.entries())
      if (mlp === null && i + 1 < layers.length) expect(layers[i + 1].attn).not.toBeNull();
  }
});

test.each<[string, Choice[], boolean]>([
  ["whole layers", ["target", "target", "skip", "skip", "int8", "int4"], true],
  ["an MLP and the attention after it", ["target", "skip", "skip", "target", "target", "target"], true],
  ["an attention and the MLP after it", ["target", "target", "skip", "target", "target", "target"], false],
  ["the last MLP", ["target", "target", "target", "skip"], false],
  ["the first attention", ["skip", "target", "target", "target"], false],
  ["everything", ["skip", "skip"], false],
])("%s", (_, blocks, whole) => {
  expect(areWhole(packLayers({ blocks }))).toBe(whole);
});

test("kernels travel with their blocks", () => {
  const layers = packLayers({ blocks: ["int8", "skip", "skip", "int4", "target", "int8"] });
  expect(layers.map(({ attn, mlp }) => [attn?.kernel, mlp?.kernel])).toEqual([
    ["int8", "int4"],
    ["target", "int8"],
  ]);
});
