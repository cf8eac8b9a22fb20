import { expect, test } from "vitest";
import { nonDominated } from "../../src/solve/knapsack/group.js";

const item = (costUs: number, loss: number) => ({ id: "", costUs, loss });

test.each([
  { name: "one choice", choices: [item(3, 3)], kept: [0] },
  {
    name: "dearer and worse is left out, whatever the order",
    choices: [item(2, 2), item(3, 3), item(1, 5)],
    kept: [2, 0],
  },
  { name: "of equal costs the one that loses less", choices: [item(1, 5), item(1, 2), item(1, 3)], kept: [1] },
  { name: "of equal losses the cheaper", choices: [item(4, 1), item(2, 1), item(3, 1)], kept: [1] },
  { name: "of equals the first", choices: [item(1, 1), item(1, 1)], kept: [0] },
  {
    name: "what lies above the hull stays: only the LP may pass it by",
    choices: [item(0, 8), item(1, 7), item(5, 0)],
    kept: [0, 1, 2],
  },
])("of a group's choices the non-dominated are kept: $name", ({ choices, kept }) => {
  expect(nonDominated(choices).map(({ index }) => index)).toEqual(kept);
});
