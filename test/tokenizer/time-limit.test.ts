import { expect, test } from "vitest";
import { withinTimeLimit } from "../../src/tokenizer/time-limit.js";

const endless = (count: { runs: number }) => () => {
  count.runs += 1;
  for (;;);
};

test("what does not end is stopped once it has had its time", () => {
  const count = { runs: 0 };
  let ms = 0;
  const computed = () => (ms += 20);
  expect(() => withinTimeLimit(20, endless(count), computed)).toThrow(/timed out/);
  expect(count.runs).toBe(1);
});

test("a process that a busy machine gave no time begins anew, and not for ever", () => {
  const count = { runs: 0 };
  expect(() => withinTimeLimit(20, endless(count), () => 0)).toThrow(/timed out after 640ms/);
  expect(count.runs).toBe(6);
  let runs = 0;
  const slowAtFirst = () => {
    runs += 1;
    if (runs === 1) for (;;);
    return "done";
  };
  expect(withinTimeLimit(20, slowAtFirst, () => 0)).toBe("done");
});

test("what it may compute does not grow with the time that it may wait", () => {
  const count = { runs: 0 };
  // little in the first try, all that it may in the second
  const computed = () => (count.runs < 2 ? 3 * count.runs : 40);
  expect(() => withinTimeLimit(20, endless(count), computed)).toThrow(/timed out after 40ms/);
  expect(count.runs).toBe(2);
});

test("what the work throws is thrown, once", () => {
  let runs = 0;
  const work = () => {
    runs += 1;
    throw new TypeError("its own");
  };
  expect(() => withinTimeLimit(1000, work)).toThrow("its own");
  expect(runs).toBe(1);
});
