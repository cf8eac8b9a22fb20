/** Accuracy by hand, and which tokens heads are trained to guess. */
import { expect, test } from "vitest";
import { accuracyOf } from "../../src/train/accuracy.js";
import { allPositions, fillBatch } from "../../src/train/examples.js";

test("ranks count as first guesses and among ten, and a text is gone through round by round", () => {
  // [positions, 2 heads]
  const ranks = Float32Array.of(0, 0, 0, 5, 12, 0, 0, 9, 0, 0, 3, 0);
  const losses = ranks.map((rank) => 2 * rank);
  // rounds begin at 0 (both right: 3 tokens), 3 (one right: 2), 5 (none: 1)
  expect(accuracyOf([{ losses, ranks }], 2)).toEqual({
    positions: 6,
    heads: [
      { top1: 4 / 6, top10: 5 / 6, loss: 5 },
      { top1: 4 / 6, top10: 1, loss: 28 / 6 },
    ],
    loss: 5 + 28 / 6,
    tokensPerRound: 2,
  });
});

test("head k guesses the token behind k drafted ones; Hydra's is told the pending token and those", () => {
  const text = { ids: Int32Array.of(4, 3, 2, 1), states: Float32Array.of(10, 11, 20, 21, 30, 31, 40, 41) };
  const positions = allPositions([text], 2);
  expect(positions).toEqual([
    { text: 0, index: 0 },
    { text: 0, index: 1 },
  ]);
  const embedding = Float32Array.from({ length: 10 }, (_, i) => -(i >> 1)); // of token t: -t, -t
  const batch = { inputs: new Float32Array(2 * 6), targets: new BigInt64Array(4) };
  fillBatch(batch, { kind: "hydra", heads: 2, hiddenSize: 2 }, [text], positions, embedding);
  expect([...batch.inputs]).toEqual([10, 11, -4, -4, -3, -3, 20, 21, -3, -3, -2, -2]);
  expect([...batch.targets]).toEqual([3n, 2n, 2n, 1n]);
  const medusa = { inputs: new Float32Array(4), targets: new BigInt64Array(4) };
  fillBatch(medusa, { kind: "medusa", heads: 2, hiddenSize: 2 }, [text], positions, embedding);
  expect([...medusa.inputs]).toEqual([10, 11, 20, 21]);
});
