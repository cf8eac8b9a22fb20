import { expect, test } from "vitest";
import { otherDraftersLines } from "../../src/output/other-drafters-lines.js";
import { calibration } from "../support/example-documents.js";

test("nothing is said of what was not measured", () => {
  expect(otherDraftersLines(calibration())).toEqual([]);
});

test("lookups, other models and drafts with a cache of their own, on the text that is chosen on alone", () => {
  const draft = { default: "int8" as const, head: "int8" as const, skip: ["0.attn"], choices: {} };
  const at = { at_context: 128, part: "choose" as const, positions: 5 };
  const lines = otherDraftersLines({
    ...calibration(),
    lookup: {
      ...{ max_ngram_tokens: 4, draft_tokens: 8 },
      contexts: [
        { ...at, matched: [[0, 2, 3, 4], [1]], followed: [[0, 2, 1, 0], [0]] },
        { ...at, part: "report", matched: [[0, 0, 0, 0, 0]], followed: [[0, 0, 0, 0, 0]] },
      ],
    },
    models: [
      {
        ...{ name: "small", weights_sha256: "a".repeat(64), path: "small", kernel: "int8" },
        contexts: [{ ...at, hits: [[1, 0, 1, 1], [1]] }],
      },
    ],
    measured: [
      ...calibration().measured,
      ...(["choose", "report"] as const).map((part) => ({
        ...{ at_context: 128, part, draft, draft_cache: "own" as const, tokens: 300, curve: [1, 0.8, 0.6] },
      })),
    ],
  });
  expect(lines).toEqual([
    "A lookup at 128 tokens: something at the text's end stood before at 80.0 % of 5 positions, and the next token is then as it was at 50.0 %",
    "small in int8 at 128 tokens: its likeliest token is the target's at 80.0 % of 5 positions",
    "With a cache of its own at 128 tokens: int8 3, skip 1, head int8: 77.8 % accepted, of 300 positions",
  ]);
});
