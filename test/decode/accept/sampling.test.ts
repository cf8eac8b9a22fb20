/**
 * Sampling leaves the target's distribution as it is: by enumeration of everything that chance can do, exactly, and by draws.
 *
 * With chances that are multiples of 1/6 every threshold that a uniform number is compared with is a fraction k/m, m up to 6.
 * So between two neighbours of these fractions all numbers do the same: one number of each of the 12 spaces stands for all
 * of it, with its length for a weight, and the sums of products of lengths are the probabilities.
 */
import { describe, expect, test } from "vitest";
import { atTemperature } from "../../../src/decode/accept/distribution.js";
import { sampling } from "../../../src/decode/accept/sampling.js";
import { chain, NOTHING, type Proposal } from "../../../src/decode/drafters/drafter.js";
import { type Random, seededRandom } from "../../../src/stats/random.js";
import { chiSquareDeviation } from "../../oracle/chi-square.js";
import { LONG, trials } from "../../support/long.js";

const VOCAB = 4;
const FRACTIONS = [1, 2, 3, 4, 5, 6].flatMap((m) => Array.from({ length: m + 1 }, (_, k) => k / m));
const BREAKS = [...new Set(FRACTIONS)].sort((a, b) => a - b);
const SPACES = BREAKS.slice(1).map((to, i) => ({ middle: (BREAKS[i] + to) / 2, length: to - BREAKS[i] }));

/** A random source that gives these, and says whether there were enough. */
function scripted(numbers: readonly number[]): Random & { used: number } {
  const refuse = (): never => {
    throw new Error("only uniform numbers are drawn");
  };
  const source = {
    used: 0,
    float: () => numbers[source.used++] ?? Number.NaN,
    ...{ index: refuse, normal: refuse, bits: refuse, shuffle: refuse },
  };
  return source;
}

/** logits whose softmax has these weights' shares; −∞ for 0 */
const logitsOf = (rows: readonly (readonly number[])[]): Float32Array =>
  Float32Array.from(rows.flatMap((weights) => weights.map(Math.log)));

/** Shares of what `outcome` says, over all that chance can do. */
function enumerate(outcome: (random: Random & { used: number }) => string): Map<string, number> {
  const shares = new Map<string, number>();
  const visit = (numbers: readonly number[], share: number) => {
    const random = scripted(numbers);
    const said = outcome(random);
    if (random.used <= numbers.length) shares.set(said, (shares.get(said) ?? 0) + share);
    else for (const { middle, length } of SPACES) visit([...numbers, middle], share * length);
  };
  visit([], 1);
  return shares;
}

const EVEN = [2, 2, 2, 2];

/** Every way to share 6 sixths among the tokens. */
const SIXTHS: number[][] = [];
for (let a = 0; a <= 6; a++)
  for (let b = 0; a + b <= 6; b++) for (let c = 0; a + b + c <= 6; c++) SIXTHS.push([a, b, c, 6 - a - b - c]);

const emitted = (rows: readonly (readonly number[])[], proposal: Proposal, random: Random): number[] => {
  // weights as they are, so that shares are exact
  const distribution = (logits: Float32Array) => Float64Array.from(logits, (logit) => Math.round(Math.exp(logit)));
  const { path, next } = sampling({ random, distribution }).accept(logitsOf(rows), proposal, VOCAB, [0]);
  return [...path.map((node) => proposal.tokens[node]), next];
};

describe("the token behind the pending one is the target's own draw, exactly", () => {
  const cases: [string, Proposal][] = [
    ["nothing drafted", NOTHING],
    ["one token", chain([2])],
    ["two siblings", { tokens: [1, 3], parents: [null, null] }],
    ["three siblings", { tokens: [3, 0, 2], parents: [null, null, null] }],
    ["a sibling twice", { tokens: [1, 1], parents: [null, null] }],
  ];
  test.each(cases)("%s", (_name, proposal) => {
    for (const p of SIXTHS.filter((_, i) => i % trials(proposal.tokens.length === 3 ? 24 : 6, 1) === 0)) {
      const rows = [p, ...proposal.tokens.map(() => [0, 6, 0, 0])];
      const shares = enumerate((random) => String(emitted(rows, proposal, random)[0]));
      p.forEach((sixths, token) => {
        expect(shares.get(String(token)) ?? 0).toBeCloseTo(sixths / 6, 10);
      });
    }
  });
});

test("a drafted token stands with the target's probability, whatever its siblings are: the closed form", () => {
  const proposal: Proposal = { tokens: [3, 0], parents: [null, null] };
  for (const p of SIXTHS.filter((_, i) => i % trials(6, 1) === 0)) {
    const rows = [p, [0, 0, 0, 6], [0, 0, 0, 6]];
    const distribution = (logits: Float32Array) => Float64Array.from(logits, (logit) => Math.round(Math.exp(logit)));
    const shares = enumerate((random) =>
      sampling({ random, distribution }).accept(logitsOf(rows), proposal, VOCAB, [0]).path.join(),
    );
    expect(shares.get("0") ?? 0).toBeCloseTo(p[3] / 6, 10);
    expect(shares.get("1") ?? 0).toBeCloseTo(p[0] / 6, 10);
    expect(shares.get("") ?? 0).toBeCloseTo((p[1] + p[2]) / 6, 10);
  }
});

test("behind an accepted token the next one is drawn from the target's distribution there, exactly", () => {
  const proposal: Proposal = { tokens: [1, 2], parents: [null, 0] };
  const rows = [
    [0, 3, 0, 3],
    [2, 0, 4, 0],
    [0, 0, 3, 3],
  ];
  const shares = enumerate((random) => emitted(rows, proposal, random).join());
  expect(Object.fromEntries(shares)).toEqual({
    "3": expect.closeTo(1 / 2, 10),
    "1,0": expect.closeTo(1 / 6, 10),
    "1,2,2": expect.closeTo(1 / 6, 10),
    "1,2,3": expect.closeTo(1 / 6, 10),
  });
});

describe("a token that was drawn from a distribution", () => {
  test("leaves the target's, whatever the two are (Leviathan et al., theorem of appendix A.1)", () => {
    for (const [i, p] of SIXTHS.entries()) {
      const q = SIXTHS[(i * 37 + 11) % SIXTHS.length];
      const shares = new Array(VOCAB).fill(0);
      let stands = 0;
      q.forEach((sixths, token) => {
        if (sixths === 0) return;
        const proposal = { ...chain([token]), distributions: [Float64Array.from(q)] };
        const seen = enumerate((random) => emitted([p, [6, 0, 0, 0]], proposal, random).join());
        for (const [said, share] of seen) {
          const [first, ...more] = said.split(",").map(Number);
          shares[first] += (share * sixths) / 6;
          if (more.length > 0) stands += (share * sixths) / 6;
        }
      });
      p.forEach((sixths, token) => {
        expect(shares[token]).toBeCloseTo(sixths / 6, 10);
      });
      // and stands with the overlap of the two
      expect(stands).toBeCloseTo(p.reduce((sum, sixths, token) => sum + Math.min(sixths, q[token]), 0) / 6, 10);
    }
  });

  /** A deviation of 4 comes by chance once in 30,000, and these are six; the seeds are fixed. */
  test.each(LONG ? [1, 2, 3, 4, 5, 6] : [1])(
    "does so with a second and a third draw beside it, by 30,000 draws: %i",
    (seed) => {
      const random = seededRandom(seed, 11);
      const p = SIXTHS[random.index(SIXTHS.length)];
      const q = SIXTHS[random.index(SIXTHS.length)];
      const drawnFrom = Float64Array.from(q);
      const tickets = q.flatMap((sixths, token) => new Array<number>(sixths).fill(token));
      const counts = new Array(VOCAB).fill(0);
      for (let i = 0; i < 30_000; i++) {
        const tokens = [0, 0, 0].map(() => tickets[random.index(6)]);
        const proposal = { tokens, parents: [null, null, null], distributions: tokens.map(() => drawnFrom) };
        counts[emitted([p, EVEN, EVEN, EVEN], proposal, random)[0]]++;
      }
      const deviation = chiSquareDeviation(
        counts,
        p.map((sixths) => sixths / 6),
      );
      expect(Math.abs(deviation)).toBeLessThan(4);
    },
  );

  test("is refused where that distribution does not have it", () => {
    const proposal = { ...chain([1]), distributions: [Float64Array.of(1, 0, 0, 0)] };
    expect(() =>
      emitted(
        [
          [3, 3, 0, 0],
          [6, 0, 0, 0],
        ],
        proposal,
        scripted([0.5]),
      ),
    ).toThrow(/token 1 was drawn from/);
  });

  test("stands where the two are equal, and there is nothing beyond to draw from", () => {
    const thirds = [1, 1, 1, 0];
    const proposal = { ...chain([1]), distributions: [Float64Array.from(thirds.map((x) => x / 3))] };
    const almostOne = 1 - 2 ** -53;
    expect(emitted([thirds, [6, 0, 0, 0]], proposal, scripted([almostOne, 0]))).toEqual([1, 0]);
  });
});

/**
 * Whole texts of three tokens by rounds over a random tree, at a temperature: each of 4³ texts as often as the target alone
 * would write it. Four tests at a deviation of 4 fail by chance once in 8,000; the seeds are fixed.
 */
test.each(LONG ? [1, 2, 3, 4] : [1])(
  "texts of several rounds are the target's own, by 40,000 draws: tree %i",
  (seed) => {
    const shape = seededRandom(seed);
    const logits = new Map<string, Float32Array>();
    const rowOf = (text: readonly number[]) => {
      const key = text.join();
      const row = logits.get(key) ?? Float32Array.from({ length: VOCAB }, () => shape.normal());
      logits.set(key, row);
      return row;
    };
    const temperature = 0.8;
    // independent of the code: softmax written out
    const chanceOf = (text: readonly number[], token: number) => {
      const weights = Array.from(rowOf(text), (logit) => Math.exp(logit / temperature));
      return weights[token] / weights.reduce((a, b) => a + b, 0);
    };
    const nodes = 6;
    const parents = Array.from({ length: nodes }, (_, i) =>
      i === 0 ? null : [null, ...Array(i).keys()][shape.index(i + 1)],
    );
    const tokens = parents.map(() => shape.index(VOCAB));
    const textTo = (node: number | null): number[] => (node === null ? [] : [...textTo(parents[node]), tokens[node]]);
    const random = seededRandom(seed, 7);
    const accept = sampling({ random, distribution: temperature });
    const write = (): number[] => {
      const text: number[] = [];
      while (text.length < 3) {
        const rows = [null, ...parents.keys()].map((node) => rowOf([...text, ...textTo(node)]));
        const all = new Float32Array(rows.length * VOCAB);
        rows.forEach((row, i) => {
          all.set(row, i * VOCAB);
        });
        const { path, next } = accept.accept(all, { tokens, parents }, VOCAB, text);
        text.push(...path.map((node) => tokens[node]), next);
      }
      return text.slice(0, 3);
    };
    const counts = new Array(VOCAB ** 3).fill(0);
    for (let i = 0; i < 40_000; i++) counts[write().reduce((index, token) => index * VOCAB + token, 0)]++;
    const chances = counts.map((_, index) => {
      const text = [Math.floor(index / VOCAB ** 2), Math.floor(index / VOCAB) % VOCAB, index % VOCAB];
      return text.reduce((chance, token, i) => chance * chanceOf(text.slice(0, i), token), 1);
    });
    // rare texts share a cell, so that every cell expects five at least
    const rare = chances.map((chance) => chance * 40_000 < 5);
    const joined = (of: number[]) => [
      ...of.filter((_, i) => !rare[i]),
      of.reduce((sum, x, i) => (rare[i] ? sum + x : sum), 0),
    ];
    const [observed, expected] = [joined(counts), joined(chances)];
    if (expected[expected.length - 1] * 40_000 < 5) {
      observed[0] += observed.pop() as number;
      expected[0] += expected.pop() as number;
    }
    expect(Math.abs(chiSquareDeviation(observed, expected))).toBeLessThan(4);
  },
);

test("a temperature is the softmax of logits divided by it, and 0 is none", () => {
  const logits = Float32Array.of(1, 3, -2, 200);
  for (const temperature of [0.5, 1, 2]) {
    const p = atTemperature(temperature)(logits);
    expect(p.reduce((a, b) => a + b, 0)).toBeCloseTo(1, 12);
    expect(Math.log(p[0] / p[2])).toBeCloseTo(3 / temperature, 9);
  }
  expect(() => sampling({ random: scripted([]), distribution: 0 })).toThrow(RangeError);
  expect(() => sampling({ random: scripted([]), distribution: Number.NaN })).toThrow(RangeError);
});

test("the same seed gives the same tokens", () => {
  const run = () => {
    const accept = sampling({ random: seededRandom(5), distribution: 1 });
    return Array.from({ length: 20 }, () => accept.accept(new Float32Array(3 * VOCAB), chain([1, 2]), VOCAB, [0]));
  };
  expect(run()).toEqual(run());
  expect(new Set(run().map(({ next }) => next)).size).toBe(VOCAB);
});
