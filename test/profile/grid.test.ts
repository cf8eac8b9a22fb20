import { describe, expect, test } from "vitest";
import { parseAxis, resolveGrid } from "../../src/profile/grid.js";
import { expectFailure } from "../support/failure.js";

const grid = (context: string | null, query: string, limit = 8192) =>
  resolveGrid(context === null ? null : parseAxis("--context", context), parseAxis("--query", query), limit);

describe("contexts", () => {
  test.each([
    { text: "64..4096", contexts: [64, 256, 1024, 4096] },
    { text: "64..2031", contexts: [64, 256, 1024, 2031] },
    { text: "64..1100", contexts: [64, 256, 1100] },
    { text: "0..300", contexts: [0, 64, 300] },
    { text: "10..20", contexts: [10, 20] },
    { text: "512..512", contexts: [512] },
    { text: "64,512,4096", contexts: [64, 512, 4096] },
    { text: " 7 , 9", contexts: [7, 9] },
    { text: "100", contexts: [100] },
  ])("$text are $contexts", ({ text, contexts }) => {
    expect(grid(text, "1..17").contexts).toEqual(contexts);
  });

  test("both ends of every range are points, and the points rise", () => {
    for (let from = 0; from < 400; from += 7) {
      for (const to of [from, from + 1, from + 50, 3 * from + 5, 4000]) {
        const { contexts } = grid(`${from}..${to}`, "1..2");
        expect([contexts[0], contexts.at(-1)]).toEqual([from, to]);
        expect(contexts.every((n, i) => i === 0 || n > contexts[i - 1])).toBe(true);
      }
    }
  });

  test("without --context they go from 64 as far as the model does, up to 4096", () => {
    expect(grid(null, "1..17", 131072).contexts).toEqual([64, 256, 1024, 4096]);
    expect(grid(null, "1..17", 2048).contexts).toEqual([64, 256, 1024, 2031]);
    expect(grid(null, "1..5", 32).contexts).toEqual([27]);
  });

  test("a pass at the last context must fit the model", async () => {
    expect(grid("64..2031", "1..17", 2048).contexts.at(-1)).toBe(2031);
    await expectFailure(() => grid("64..2032", "1..17", 2048), "CONTEXT_LIMIT", "the limit is 2048");
    await expectFailure(() => grid("64,9000", "1", 2048), "CONTEXT_LIMIT", "9001");
  });
});

describe("query lengths", () => {
  test.each([
    { text: "1..17", queries: [1, 2, 3, 5, 9, 17] },
    { text: "1..10", queries: [1, 2, 3, 5, 10] },
    { text: "1..6", queries: [1, 2, 3, 6] },
    { text: "1..2", queries: [1, 2] },
    { text: "1..1", queries: [1] },
    { text: "1,5,64", queries: [1, 5, 64] },
  ])("$text are $queries", ({ text, queries }) => {
    expect(grid("64", text).queries).toEqual(queries);
  });

  test("of a range every length is verified at one context, of exact points only they are", () => {
    expect(grid("64", "1..6").queryLine).toEqual([1, 2, 3, 4, 5, 6]);
    expect(grid("64", "1..3").queryLine).toEqual([]); // all of them are on the grid
    expect(grid("64", "1,5,17").queryLine).toEqual([]);
  });

  test.each(["2..17", "5", "0..4", "0,1"])("%s does not begin at 1, and drafting needs q = 1", async (text) => {
    await expectFailure(() => grid("64", text), "OPTION_INVALID", /--query/);
  });

  test("more than a pass can verify is refused", async () => {
    await expectFailure(() => grid("64", "1..65"), "OPTION_INVALID", "at most 64");
  });
});

test.each([
  "",
  "a",
  "64..",
  "..64",
  "64...4096",
  "1..2..3",
  "-1",
  "1.5",
  "4096..64",
  "64,64",
  "512,64",
  "1,,2",
  "1e3",
  "999999999999",
])("'%s' is no axis", async (text) => {
  await expectFailure(() => parseAxis("--context", text), "OPTION_INVALID", "--context");
});
