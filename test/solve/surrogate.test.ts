import { describe, expect, test } from "vitest";
import { type ChoiceSet, choiceKey, compactDraft, targetChoices } from "../../src/schema/choice.js";
import { exchanges, neighbours } from "../../src/solve/exchanges.js";
import {
  type ContextData,
  fitCorrection,
  fitSurrogate,
  improveByExchanges,
  measuredSpeed,
  openProblem,
  type Problem,
  proposals,
  rankedCandidates,
  rankedFrontier,
  type Surrogate,
} from "../../src/solve/index.js";
import { draw, seeds } from "./instances.js";
import { AT, DEPTH, type Synthetic, synthetic } from "./synthetic.js";

const CHOICES = ["skip"] as const;
const TARGET = targetChoices(DEPTH);

const skipping = (...blocks: number[]): ChoiceSet => ({
  head: "target",
  blocks: TARGET.blocks.map((choice, i) => (blocks.includes(i) ? "skip" : choice)),
});

/** Random drafts that skip up to eight blocks. */
function randomDrafts(seed: number, count: number): ChoiceSet[] {
  const random = draw(seed);
  return Array.from({ length: count }, () =>
    skipping(...Array.from({ length: random.int(1, 8) }, () => random.int(0, 2 * DEPTH - 1))),
  );
}

function measured({ profile, calibration, measure }: Synthetic, sets: readonly ChoiceSet[]): Problem {
  return openProblem({ profile, calibration: { ...calibration, measured: sets.map(measure) }, choices: CHOICES });
}

const fitOf = (problem: Problem): Surrogate => fitSurrogate(problem.contexts[0]);

describe("pair terms", () => {
  test.each(seeds(12))("are not seen where losses add up (seed %i)", (seed) => {
    expect(fitOf(measured(synthetic(seed, 0), randomDrafts(seed, 24))).pairs).toEqual([]);
  });

  test.each([
    ["more", 1.2],
    ["less", -0.8],
  ])(
    "of neighbours that lose %s together are found, with their sign, and predict other drafts better",
    (_, interaction) => {
      let found = 0;
      for (const seed of seeds(10)) {
        const world = synthetic(seed, interaction, 4000);
        const problem = measured(world, randomDrafts(seed, 40));
        const surrogate = fitOf(problem);
        found += Math.min(1, surrogate.pairs.length);
        for (const { loss, first, second } of surrogate.pairs) {
          if (first % 2 === 0 && second === first + 1) expect(Math.sign(loss)).toBe(Math.sign(interaction));
        }
        if (surrogate.pairs.length === 0) continue;
        const others = randomDrafts(seed + 500, 60).filter((set) => world.truth(set) > 0.2);
        const error = (fit: Surrogate) =>
          others.reduce((sum, set) => sum + Math.abs(rate(problem, fit, set) - world.truth(set)), 0) / others.length;
        expect(error(surrogate)).toBeLessThan(error(plain(problem.contexts[0])));
      }
      expect(found).toBeGreaterThanOrEqual(8);
    },
  );

  test("need eight drafts, and a pair three drafts with it and three without", () => {
    const world = synthetic(3, 3, 4000);
    expect(fitOf(measured(world, randomDrafts(3, 7))).pairs).toEqual([]);
    const always = randomDrafts(4, 20).map((set) => ({ ...set, blocks: set.blocks.with(4, "skip").with(5, "skip") }));
    const { pairs } = fitOf(measured(world, always));
    expect(pairs.filter(({ first, second }) => first === 4 && second === 5)).toHaveLength(
      pairs.filter(({ first, second }) => first % 2 === 0 && second === first + 1).length > 1 ? 1 : 0,
    );
  });
});

test("drafts that say nothing of pairs leave the fit as it is", () => {
  const seed = seeds(10).find((each) => pairsOf(each, []).length > 0) as number;
  const without = pairsOf(seed, []);
  const rare = (share: number) => [{ set: skipping(4, 5, 9), curve: [1, share] }];
  // one that lost nothing, and one that has nothing to lose
  expect(pairsOf(seed, [{ set: skipping(4, 5), curve: [1, 1, 1] }])).toEqual(without);
  expect(pairsOf(seed, [{ set: TARGET, curve: [1, 0.9] }])).toEqual(without);
  // one of which no more is known than that it is useless, at that bound and below it
  expect(pairsOf(seed, rare(1e-6))).toEqual(pairsOf(seed, rare(1e-7)));
});

function pairsOf(seed: number, more: { set: ChoiceSet; curve: number[] }[]): Surrogate["pairs"] {
  const world = synthetic(seed, 1.2, 4000);
  const records = randomDrafts(seed, 40).map(world.measure);
  const further = more.map(({ set, curve }) => ({ ...records[0], draft: compactDraft(set), curve }));
  const calibration = { ...world.calibration, measured: [...records, ...further] };
  return fitOf(openProblem({ profile: world.profile, calibration, choices: CHOICES })).pairs;
}

const plain = (context: ContextData): Surrogate => ({ correction: fitCorrection(context), pairs: [] });

function rate(problem: Problem, surrogate: Surrogate, set: ChoiceSet): number {
  const [context] = problem.contexts;
  const additive = set.blocks.reduce(
    (sum, choice, i) =>
      sum + (choice === "skip" ? (context.losses[i % 2 === 0 ? "attn" : "mlp"].skip?.[i >> 1].loss ?? 0) : 0),
    0,
  );
  const pairs = surrogate.pairs.reduce(
    (sum, { first, second, loss }) => sum + (set.blocks[first] === "skip" && set.blocks[second] === "skip" ? loss : 0),
    0,
  );
  const { a, gamma } = surrogate.correction;
  return Math.exp(-Math.exp(a) * Math.max(0.05 * additive, additive + pairs) ** gamma);
}

/** Measures what is proposed until nothing is, and takes the best measured: what `solve --model` does. */
function chosen(world: Synthetic, fit: (context: ContextData) => Surrogate): ChoiceSet {
  let calibration = world.calibration;
  for (let round = 0; round < 6; round++) {
    const problem = openProblem({ profile: world.profile, calibration, choices: CHOICES });
    const sets = proposals(problem, problem.contexts[0], round === 0, fit);
    if (sets.length === 0) break;
    calibration = { ...calibration, measured: [...calibration.measured, ...sets.map(world.measure)] };
  }
  const problem = openProblem({ profile: world.profile, calibration, choices: CHOICES });
  const speed = (m: Measured) => measuredSpeed(problem, AT, m);
  return problem.contexts[0].measured.reduce((a, b) => (speed(b) > speed(a) ? b : a)).set;
}
type Measured = Problem["contexts"][number]["measured"][number];

describe("the choice, by its true tokens per second", () => {
  const ratios = (interaction: number, count: number) =>
    seeds(count).map((seed) => {
      // a world each, from the same seed: the noise is drawn in the order of measuring
      const [one, other] = [synthetic(seed, interaction), synthetic(seed, interaction)];
      return one.trueSpeed(chosen(one, fitSurrogate)) / other.trueSpeed(chosen(other, plain));
    });
  const mean = (xs: readonly number[]) => xs.reduce((a, b) => a + b, 0) / xs.length;

  test("is the same with pair terms where there are no interactions", () => {
    for (const ratio of ratios(0, 15)) expect(ratio).toBeCloseTo(1, 6);
  });

  test.each([1.5, -0.9])("is as good or better with pair terms where neighbours interact (%f)", (interaction) => {
    const found = ratios(interaction, 15);
    expect(mean(found)).toBeGreaterThan(0.999);
    expect(Math.min(...found)).toBeGreaterThan(0.98);
  });
});

describe("candidates under pair terms", () => {
  const pairs = [
    { first: 4, second: 5, loss: 0.2, standardErrors: 9 },
    { first: 6, second: 7, loss: -0.04, standardErrors: 9 },
  ];
  const surrogate: Surrogate = { correction: { a: 0, gamma: 1 }, pairs };

  test.each(seeds(6))(
    "the best is no worse by the whole surrogate than any point of the plain frontier (seed %i)",
    (seed) => {
      const problem = measured(synthetic(seed, 0), []);
      const ranked = rankedCandidates(problem, AT, surrogate);
      const keys = new Set(ranked.map(({ key }) => key));
      for (const { key } of rankedFrontier(problem, AT, surrogate.correction)) expect(keys.has(key)).toBe(true);
      ranked.slice(1).forEach(({ tokensPerSecond }, i) => {
        expect(tokensPerSecond).toBeLessThanOrEqual(ranked[i].tokensPerSecond);
      });
      // no neighbour of the best is expected to be faster
      const [next] = exchanges(problem, AT, surrogate, ranked[0].set, new Set());
      expect(next.gain).toBeLessThanOrEqual(1e-9);
    },
  );

  test("without pairs they are the frontier itself", () => {
    const problem = measured(synthetic(1, 0), []);
    expect(rankedCandidates(problem, AT, { ...surrogate, pairs: [] })).toEqual(
      rankedFrontier(problem, AT, surrogate.correction),
    );
  });
});

describe("exchanges", () => {
  test("are every single change and every exchange of two blocks' choices, and nothing else", () => {
    const problem = measured(synthetic(1, 0), []);
    const set = skipping(3, 9);
    const found = neighbours(problem, set);
    const differs = (other: ChoiceSet) => other.blocks.flatMap((choice, i) => (choice === set.blocks[i] ? [] : [i]));
    expect(new Set(found.map(choiceKey)).size).toBe(found.length);
    expect(found.filter((other) => differs(other).length === 1)).toHaveLength(2 * DEPTH);
    const swapped = found.filter((other) => differs(other).length === 2);
    expect(swapped).toHaveLength(2 * (2 * DEPTH - 2));
    for (const other of swapped) expect(other.blocks.filter((choice) => choice === "skip")).toHaveLength(2);
    expect(found).toHaveLength(2 * DEPTH + swapped.length);
  });

  test("are ordered by expected gain, leave out what is known, and say what they change", () => {
    const problem = measured(synthetic(2, 0), []);
    const surrogate: Surrogate = { correction: { a: 0, gamma: 1 }, pairs: [] };
    const all = exchanges(problem, AT, surrogate, TARGET, new Set());
    all.slice(1).forEach(({ gain }, i) => {
      expect(gain).toBeLessThanOrEqual(all[i].gain);
    });
    expect(all[0].what).toMatch(/^\d\.(attn|mlp) skip$/);
    expect(exchanges(problem, AT, surrogate, TARGET, new Set([all[0].key]))).toEqual(all.slice(1));
    const [best] = rankedFrontier(problem, AT, surrogate.correction);
    expect(choiceKey(improveByExchanges(problem, AT, surrogate, best.set))).toBe(best.key);
  });
});
