import { expect, test } from "vitest";
import { headsAccuracyLines, headsCostLines } from "../../src/output/heads-lines.js";
import { calibration, profile } from "../support/example-documents.js";
import { headsCalibration, headsProfile } from "../support/heads-documents.js";

test("a profile says what a round of heads takes, Hydra's depth by depth, and what a tree adds", () => {
  expect(headsCostLines(headsProfile())).toEqual([
    "heads (medusa, 2 tokens ahead, 10 ranks): 111 µs a round",
    "heads (hydra, 2 tokens ahead, 10 ranks), depth by depth: 90.0 µs for 1 node, 120 µs for 4 nodes; 95.0 µs",
    "a tree's verification over a chain's of as many rows: 1.02 at 64 tokens of context, 1.05 at 512 tokens of context",
  ]);
});

test("a calibration says what heads yield as a chain, and at most", () => {
  // texts [0 0 | 0 0, 0 | none] and [0 0 | 0, 0 0]: chains of two go over three positions a hit
  expect(headsAccuracyLines(headsCalibration().heads)).toEqual([
    "Heads (medusa, 2 tokens ahead), tokens of a round on the text that is chosen on:",
    "  128 tokens of context: 2.33 as a chain, at most 2.33 with 10 ranks of each head (7 positions)",
  ]);
});

test("without heads nothing is said", () => {
  expect(headsCostLines(profile())).toEqual([]);
  expect(headsAccuracyLines(calibration().heads)).toEqual([]);
});
