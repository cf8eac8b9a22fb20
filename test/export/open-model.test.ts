/** A GGUF's tensors as an export writes them: piece by piece, and the same bytes as read whole. */
import { mkdtempSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { openExportModel } from "../../src/export/open-model.js";
import { temporaryFolder, writeTinyGguf } from "../support/tiny-checkpoint.js";

const root = temporaryFolder();

/** A piece may hold the process up for some tens of milliseconds: a signal waits no longer. */
const PIECE_BYTES = 4 << 20;

test.each([
  ["a large vocabulary", { hidden: 64, heads: 4, kvHeads: 2, vocab: 40_000 }, "model.embed_tokens.weight"],
  [
    "rows of heads that lie interleaved, several pieces of whole heads",
    { hidden: 1088, heads: 17, kvHeads: 1, vocab: 96 },
    "model.layers.0.self_attn.q_proj.weight",
  ],
])("%s", async (_, shape, name) => {
  const path = writeTinyGguf(join(mkdtempSync(join(root, "m-")), "m.gguf"), { layers: 1, intermediate: 64, ...shape });
  const model = await openExportModel(path);
  try {
    const tensor = model.tensors.get(name);
    if (tensor === undefined) throw new Error(`no ${name}`);
    const pieces = [...tensor.chunks()];
    const whole = model.tensor(name, tensor.shape);
    expect(pieces.length).toBeGreaterThan(1);
    expect(Math.max(...pieces.map(({ byteLength }) => byteLength))).toBeLessThanOrEqual(PIECE_BYTES);
    expect(Buffer.concat(pieces).equals(Buffer.from(whole.buffer, whole.byteOffset, whole.byteLength))).toBe(true);
  } finally {
    model.close();
  }
});
