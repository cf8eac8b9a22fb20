import { expect, test } from "vitest";
import { greedy } from "../../src/decode/accept/greedy.js";
import { Output } from "../../src/decode/output.js";
import { fakeEngine } from "../support/fake-model.js";

const output = (maxTokens: number, endTokens: number[] = []) =>
  new Output(fakeEngine().engine, [1, 2], { maxTokens, endTokens }, greedy);

test("takes what there is room for, and is done then", () => {
  const text = output(3);
  expect([text.push([5, 6]), text.room, text.done]).toEqual([[5, 6], 1, false]);
  expect([text.push([7, 8, 9]), text.room, text.done]).toEqual([[7], 0, true]);
  expect([text.ids(), text.text, text.context, text.pending]).toEqual([[5, 6, 7], [1, 2, 5, 6, 7], 4, 7]);
});

test("takes an end token and nothing behind it", () => {
  const text = output(10, [4]);
  expect([text.push([5, 4, 4, 6]), text.room, text.done]).toEqual([[5, 4], 8, true]);
});

test("an end token behind the limit ends nothing that the limit does not", () => {
  const text = output(2, [4]);
  expect([text.push([5, 6, 4]), text.done]).toEqual([[5, 6], true]);
  expect(output(0).done).toBe(true);
});
