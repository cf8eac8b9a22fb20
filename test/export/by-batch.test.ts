/** Lengths by batch in each engine's form, read back as the engine reads them, are the same function of the batch. */
import { describe, expect, test } from "vitest";
import {
  longestDraft,
  tensorRtLengthAt,
  tensorRtSchedule,
  vllmLengthAt,
  vllmSchedule,
} from "../../src/export/servers/by-batch.js";
import { type LengthByBatch, lengthAt, lengthsText } from "../../src/schema/length-by-batch.js";
import { uniform } from "../support/numbers.js";

/** @param falling as TensorRT-LLM can have them: none longer than the first */
function randomSteps(seed: number, falling: boolean): LengthByBatch {
  const next = uniform(seed);
  const count = 1 + Math.floor(5 * next());
  let to = 0;
  const first = 1 + Math.floor(7 * next());
  return Array.from({ length: count }, (_, i) => {
    to += 1 + Math.floor(20 * next());
    return { to, draft_tokens: i === 0 ? first : Math.floor((falling ? first + 1 : 9) * next()) };
  });
}

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
const BATCHES = Array.from({ length: 200 }, (_, i) => i + 1);

describe("vLLM's ranges", () => {
  test.each(SEEDS)("are the plan's function of the batch, also beyond the last: seed %i", (seed) => {
    const steps = randomSteps(seed, false);
    const schedule = vllmSchedule(steps);
    const most = longestDraft(1, steps);
    for (const batch of BATCHES) expect(vllmLengthAt(schedule, most, batch)).toBe(lengthAt(steps, batch));
    // as vLLM validates them: from 1, no gap, no overlap
    expect(schedule[0][0]).toBe(1);
    schedule.slice(1).forEach(([first], i) => {
      expect(first).toBe(schedule[i][1] + 1);
    });
  });

  test("are written with both ends, and plain decoding behind the last", () => {
    expect(
      vllmSchedule([
        { to: 16, draft_tokens: 4 },
        { to: 64, draft_tokens: 2 },
      ]),
    ).toEqual([
      [1, 16, 4],
      [17, 64, 2],
      [65, 65_536, 0],
    ]);
    expect(
      vllmSchedule([
        { to: 8, draft_tokens: 3 },
        { to: 9, draft_tokens: 0 },
      ]),
    ).toEqual([
      [1, 8, 3],
      [9, 9, 0],
    ]);
  });
});

describe("TensorRT-LLM's schedule", () => {
  test.each(SEEDS)("is the plan's function of the batch, where none is longer than the first: seed %i", (seed) => {
    const steps = randomSteps(seed, true);
    const { maxDraftLen, schedule } = tensorRtSchedule(steps);
    for (const batch of BATCHES) expect(tensorRtLengthAt(schedule, batch)).toBe(lengthAt(steps, batch));
    // as it validates them: the least key has the greatest length
    expect(schedule[String(Math.min(...Object.keys(schedule).map(Number)))]).toBe(maxDraftLen);
    expect(Math.max(...Object.values(schedule))).toBe(maxDraftLen);
  });

  test("has upper ends as keys, and cuts what is longer than the first", () => {
    const steps = [
      { to: 4, draft_tokens: 2 },
      { to: 8, draft_tokens: 5 },
      { to: 32, draft_tokens: 0 },
    ];
    expect(tensorRtSchedule(steps)).toEqual({ maxDraftLen: 2, schedule: { 4: 2, 8: 2 } });
  });
});

test("lengths read as a person would write them", () => {
  expect(
    lengthsText([
      { to: 1, draft_tokens: 5 },
      { to: 8, draft_tokens: 2 },
      { to: 9, draft_tokens: 0 },
    ]),
  ).toBe("1: 5, 2 to 8: 2, 9: 0");
});
