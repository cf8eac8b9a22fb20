/** Passes of heads and of trees, planted behind a fake clock and read off the profile. */
import { describe, expect, test } from "vitest";
import type { Heads } from "../../src/decode/drafters/heads.js";
import { headsCosts } from "../../src/profile/fit/heads.js";
import { profileModel } from "../../src/profile/profile.js";
import type { HeadsProfile } from "../../src/schema/heads-profile.js";
import { Profile } from "../../src/schema/profile.js";
import type { FakeClock, FakeTimes } from "../support/fake-engine.js";
import { uniform } from "../support/numbers.js";
import { asDocument, planted, plantedTimes } from "./support.js";

const LAYERS = 3;
const GRID = { contexts: [64, 256, 1024], queries: [1, 2, 5, 9], queryLine: [] };
const FREE = { budgetSeconds: 1e6 };

const treeFactor = (n: number, q: number) => 1 + q / 100 + n / 20_000;
const normal = (next: () => number) => Math.sqrt(-2 * Math.log(1 - next())) * Math.cos(2 * Math.PI * next());

interface Told {
  position: number;
  rows: number;
}

/** Heads that only take time. */
function timedHeads(
  clock: FakeClock,
  kind: Heads["kind"],
  us: (depth: number | null, rows: number) => number,
  hidden = 4,
) {
  const told: Told[] = [];
  const heads: Heads = {
    ...{ kind, heads: 3, ranks: 10, sha256: kind === "medusa" ? "1".repeat(64) : "2".repeat(64) },
    guess(states, depth, path) {
      const rows = states.length / hidden;
      expect(path).toHaveLength(rows * (depth + 1));
      clock.advance(us(depth, rows));
      return new Int32Array(rows * 10);
    },
    close() {},
  };
  if (kind === "medusa")
    heads.guessAll = (states) => {
      clock.advance(us(null, states.length / hidden));
      return new Int32Array(30);
    };
  return { heads, told };
}

const MEDUSA_US = 111;
const hydraUs = (depth: number | null, rows: number) => 50 + 10 * (depth ?? 0) + 2 * rows;

/** What the world does to a time, heads' passes included. */
function world(disturb: (us: number, pass: number) => number = (us) => us) {
  const times: FakeTimes = { ...plantedTimes(LAYERS, 0.1), treeFactor, disturbance: disturb };
  const made = planted(LAYERS, times);
  let pass = 0;
  const us = (exact: number) => disturb(exact, pass++);
  const medusa = timedHeads(made.clock, "medusa", () => us(MEDUSA_US)).heads;
  const hydra = timedHeads(made.clock, "hydra", (depth, rows) => us(hydraUs(depth, rows))).heads;
  return { ...made, medusa, hydra };
}

const readTrees = ({ tree_passes = [] }: Pick<Profile, "tree_passes">) =>
  tree_passes.map(({ context_tokens, query_tokens, times_chain }) => [context_tokens, query_tokens, times_chain]);
const passesOf = (heads: HeadsProfile) => heads.passes.map(({ depth, rows, us }) => [depth ?? null, rows, us]);

describe("on a machine without noise", () => {
  test("heads and trees come out as they were planted, at both ends of the grid", async () => {
    const { medusa, hydra, engine, clock } = world();
    const heads = [
      { heads: medusa, path: "medusa" },
      { heads: hydra, path: "hydra" },
    ];
    const measured = await profileModel({ engine, clock, ...GRID, ...FREE, draws: 5, maxRounds: 6, heads });
    const [first, second] = measured.heads ?? [];
    expect(first).toMatchObject({ path: "medusa", kind: "medusa", heads: 3, ranks: 10, sha256: medusa.sha256 });
    expect(passesOf(first)).toEqual([[null, 1, MEDUSA_US]]);
    const rows = (depth: number) => (depth === 0 ? [1] : [1, 4, 16]);
    expect(passesOf(second)).toEqual([0, 1, 2].flatMap((d) => rows(d).map((r) => [d, r, hydraUs(d, r)])));
    const expected = [64, 1024].flatMap((n) => [2, 5, 9].map((q) => [n, q, expect.closeTo(treeFactor(n, q), 4)]));
    expect(readTrees(measured)).toEqual(expected);
    for (const { resampled } of [...first.passes, ...second.passes, ...(measured.tree_passes ?? [])])
      expect(new Set(resampled)).toEqual(new Set([1]));
    expect(measured.tree_passes?.every(({ pairs }) => pairs === measured.sampling.rounds)).toBe(true);
    Profile.parse(asDocument(measured, LAYERS)); // as many draws as the points have
    // a pair's second pass is a chain's as often as a tree's: behind it comes another q, before it nothing of its own
    const { passes } = engine;
    const trees = passes.flatMap(({ tree, q }, i) => (tree ? [passes[i + 1]?.q === q && !passes[i + 1].tree] : []));
    // 6 places in 6 rounds and the warm-up, which has the first round's order: a visit of three q has one tree first, or two
    expect(trees).toHaveLength(42);
    expect(trees.filter((isFirst) => isFirst)).toHaveLength(2 * (4 * 1 + 3 * 2));
  });

  test("the surface is what it is without heads, and without heads nothing is said of them", async () => {
    const drafting = world();
    const plain = world();
    const options = { ...GRID, ...FREE, draws: 0, maxRounds: 5 };
    const heads = [{ heads: drafting.medusa, path: "h" }];
    const { heads: _h, tree_passes: _t, ...rest } = await profileModel({ ...drafting, ...options, heads });
    const without = await profileModel({ ...plain, ...options });
    expect(without).not.toHaveProperty("heads");
    expect(without).not.toHaveProperty("tree_passes");
    // the clock has run longer, so sums of its times are rounded otherwise
    const surfaceOf = ({ points }: Pick<Profile, "points">) =>
      points.flatMap((p) => [p.fixed_us, p.whole_target_us, ...(p.attn_us.target ?? []), ...(p.mlp_us.int8 ?? [])]);
    const [expected, found] = [surfaceOf(without), surfaceOf(rest)];
    expect(found).toHaveLength(expected.length);
    found.forEach((us, i) => {
      expect(Math.abs(us - expected[i])).toBeLessThan(0.011); // a hundredth is what a document keeps
    });
    expect(plain.engine.passes.some(({ tree }) => tree)).toBe(false);
  });

  test("trees are timed without heads where they are asked for", async () => {
    const asked = { ...GRID, ...FREE, draws: 5, maxRounds: 5, trees: true };
    const made = world();
    const measured = await profileModel({ ...made, ...asked });
    expect(measured).not.toHaveProperty("heads");
    const trees = measured.tree_passes ?? [];
    expect(trees.map(({ context_tokens: n, query_tokens: q }) => [n, q])).toEqual([
      ...[2, 5, 9].map((q) => [64, q]),
      ...[2, 5, 9].map((q) => [1024, q]),
    ]);
    for (const { context_tokens: n, query_tokens: q, times_chain, resampled } of trees) {
      expect(times_chain).toBeCloseTo(treeFactor(n, q), 3);
      expect(resampled).toHaveLength(5);
    }
    expect(Profile.parse(asDocument(measured, LAYERS)).tree_passes).toEqual(trees);
    // and not where the engine has none
    const { engine, clock } = world();
    Object.defineProperty(engine, "keepRows", { value: undefined });
    expect(await profileModel({ engine, clock, ...asked })).not.toHaveProperty("tree_passes");
  });

  test("an engine without trees prices heads alone", async () => {
    const { engine, clock, medusa } = world();
    Object.defineProperty(engine, "keepRows", { value: undefined });
    const heads = [{ heads: medusa, path: "h" }];
    const measured = await profileModel({ engine, clock, ...GRID, ...FREE, draws: 0, maxRounds: 5, heads });
    expect(measured).not.toHaveProperty("tree_passes");
    expect(measured.heads?.[0].passes[0].us).toBe(MEDUSA_US);
    expect(engine.passes.some(({ tree }) => tree)).toBe(false);
  });

  test("heads are priced where no verification of several tokens was asked for", async () => {
    const { engine, clock, medusa } = world();
    const heads = [{ heads: medusa, path: "h" }];
    const measured = await profileModel({
      engine,
      clock,
      ...GRID,
      queries: [1],
      ...FREE,
      draws: 0,
      maxRounds: 5,
      heads,
    });
    expect(measured.heads?.[0].passes).toMatchObject([{ rows: 1, us: MEDUSA_US }]);
    expect(measured).not.toHaveProperty("tree_passes");
  });

  test("a prefix layer is told the whole context, then what each round added", async () => {
    const { engine, clock, hydra } = world();
    const told: Told[] = [];
    const prefixed: Heads = {
      ...hydra,
      states: (position, hidden) => void told.push({ position, rows: hidden.length / 4 }),
    };
    await profileModel({
      engine,
      clock,
      ...GRID,
      ...FREE,
      draws: 0,
      maxRounds: 5,
      heads: [{ heads: prefixed, path: "h" }],
    });
    expect(new Set(told.map(({ position, rows }) => `${position} ${rows}`))).toEqual(
      new Set(["0 64", "64 1", "0 1024", "1024 1"]),
    );
  });
});

test.each([1, 2])("noise, slow spells and outliers are seen through: seed %i", async (seed) => {
  const next = uniform(seed);
  // a spell of rounds at double time, and single passes at four times theirs
  const disturb = (us: number, pass: number) =>
    us * (1 + 0.04 * normal(next)) * (pass > 800 && pass < 1400 ? 2 : 1) * (next() < 0.03 ? 4 : 1);
  const { engine, clock, medusa } = world(disturb);
  const heads = [{ heads: medusa, path: "h" }];
  const measured = await profileModel({ engine, clock, ...GRID, ...FREE, seed, draws: 8, maxRounds: 24, heads });
  // a ratio of two passes of 4 %: the median of 24 has a standard error of 1.25 · √2 · 4 % / √24 = 1.4 %; of six places
  // the mean of their errors is below 2 % with a margin of three times that
  const errors = (measured.tree_passes ?? []).map(
    ({ context_tokens: n, query_tokens: q, times_chain }) => times_chain / treeFactor(n, q) - 1,
  );
  expect(errors).toHaveLength(6);
  expect(Math.abs(errors.reduce((sum, e) => sum + e, 0) / 6)).toBeLessThan(0.02);
  for (const error of errors) expect(Math.abs(error)).toBeLessThan(4 * 0.014);
  expect(Math.abs((measured.heads?.[0].passes[0].us ?? 0) / MEDUSA_US - 1)).toBeLessThan(0.03);
  for (const { resampled = [] } of measured.tree_passes ?? []) {
    expect(resampled).toHaveLength(8);
    expect(new Set(resampled).size).toBeGreaterThan(3); // draws differ where rounds do
  }
});

describe("pairs on a busy machine", () => {
  const QUERIES = [2, 3, 5, 9, 17];
  const ROUNDS = 6;
  const located = [{ heads: timedHeads(world().clock, "medusa", () => 1).heads, path: "h" }];

  /** root mean square of what is estimated over what was planted, in logarithms, and of the plain medians */
  function errorsOf(factor: (q: number) => number, noise: number) {
    const next = uniform(17);
    const [estimated, plain]: [number[], number[]] = [[], []];
    for (let trial = 0; trial < 150; trial++) {
      const rounds = Array.from({ length: ROUNDS }, () => ({
        pairs: QUERIES.map((query) => {
          const chainUs = 1000 * Math.exp(0.3 * normal(next));
          return { context: 64, query, chainUs, treeUs: chainUs * factor(query) * Math.exp(noise * normal(next)) };
        }),
        passes: [],
      }));
      const { tree_passes = [] } = headsCosts(located, rounds, [new Array<number>(ROUNDS).fill(1)]);
      tree_passes.forEach(({ query_tokens: q, times_chain }, i) => {
        const ratios = rounds.map(({ pairs }) => (pairs[i].treeUs as number) / pairs[i].chainUs).sort((a, b) => a - b);
        estimated.push(Math.log(times_chain / factor(q)));
        plain.push(Math.log(Math.sqrt(ratios[2] * ratios[3]) / factor(q)));
      });
    }
    const size = (errors: number[]) => Math.sqrt(errors.reduce((sum, e) => sum + e * e, 0) / errors.length);
    return size(estimated) / size(plain);
  }

  // all five pooled would be 1 / √5 = 0.45; how much noise there is has to be estimated from six pairs
  test("where every q costs alike, one q's noise is evened out by the others'", () => {
    expect(errorsOf(() => 1.05, 0.15)).toBeLessThan(0.75);
  });

  test("where they differ by more than the noise, each stays what it was measured as", () => {
    expect(errorsOf((q) => 1 + q / 10, 0.05)).toBeLessThan(1.05);
  });
});

test("heads' times are brought to one level by the chains of their rounds", () => {
  // every second round is 1.4 times as slow, and four rows are timed in those alone
  const located = [{ heads: timedHeads(world().clock, "hydra", () => 1).heads, path: "h" }];
  const rounds = Array.from({ length: 8 }, (_, round) => {
    const slow = round % 2 === 0 ? 1 : 1.4;
    return {
      pairs: [{ context: 64, query: 2, chainUs: 1000 * slow, treeUs: 1000 * slow }],
      passes: [{ heads: 0, depth: 1, rows: round % 2 === 0 ? 1 : 4, us: 100 * slow }],
    };
  });
  const { heads = [] } = headsCosts(located, rounds, [new Array<number>(8).fill(1)]);
  expect(passesOf(heads[0])).toEqual([
    [1, 1, 120],
    [1, 4, 120],
  ]);
  // a round twice as slow as usual is left out of all
  const disturbed = {
    pairs: [{ context: 64, query: 2, chainUs: 9000, treeUs: 9000 }],
    passes: [{ heads: 0, depth: 1, rows: 16, us: 1 }],
  };
  const more = headsCosts(located, [...rounds, disturbed], [new Array<number>(9).fill(1)]);
  expect(more.heads?.[0].passes.map(({ rows }) => rows)).toEqual([1, 4]);
});
