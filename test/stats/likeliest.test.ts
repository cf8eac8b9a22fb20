/** The likeliest tokens and ranks, against sorting. */
import fc from "fast-check";
import { expect, test } from "vitest";
import { likeliestTokens, rankOf } from "../../src/stats/likeliest.js";

test("are those of sorting, ties in order, of any row", () => {
  const values = fc.oneof(fc.integer({ min: -3, max: 3 }), fc.constant(Number.NEGATIVE_INFINITY));
  fc.assert(
    fc.property(
      fc.array(fc.tuple(values, values, values), { minLength: 1, maxLength: 12 }),
      fc.nat(2),
      fc.nat(14),
      (columns, row, count) => {
        const vocab = columns.length;
        const logits = Float32Array.from([0, 1, 2].flatMap((r) => columns.map((column) => column[r])));
        const own = columns.map((column) => column[row]);
        const order = own
          .map((_, token) => token)
          .sort((a, b) => (own[b] === own[a] ? a - b : own[b] > own[a] ? 1 : -1));
        expect(order.map((token) => rankOf(token, logits, row, vocab))).toEqual(order.map((_, rank) => rank));
        const possible = order.filter((token) => own[token] > Number.NEGATIVE_INFINITY);
        expect(likeliestTokens(logits, row, vocab, count)).toEqual(possible.slice(0, count));
      },
    ),
    { seed: 5, numRuns: 400 },
  );
});
