/** The knapsack under what engines ask of a draft, against every draft of small models. */
import { describe, expect, test } from "vitest";
import { constrainedGroups, NO_LIMITS } from "../../src/solve/constraints.js";
import { constrainedFrontier, type Group, type Limits, paretoFrontier, satisfies } from "../../src/solve/index.js";
import { toChoiceSet } from "../../src/solve/problem.js";
import { keepsRules, type Rules, withinRules } from "../oracle/brute-force-limits.js";
import { type Draw, draw, recompute, seeds } from "./instances.js";

const KERNELS = ["int8", "int4"] as const;
type Bytes = { attn: Record<string, number>; mlp: Record<string, number>; head: Record<string, number> };

interface Constrained {
  groups: Group[];
  limits: Limits;
  rules: Rules;
}

/** A small model with random costs and losses, and a random set of constraints; sums are exact in floating point. */
function constrainedInstance(seed: number): Constrained {
  const random = draw(seed);
  const layers = random.int(1, 3);
  const offered = ["target", "int8", "int4", "skip"].filter((id) => id === "target" || random.chance(0.7));
  const groups = seeds(2 * layers + 1, 0).map((g): Group => {
    const isHead = g === 2 * layers;
    const ids = offered.filter((id) => !isHead || id !== "skip");
    const choices = ids.map((id) => ({ id, costUs: random.int(0, 60) / 4, loss: random.int(0, 60) / 64 }));
    return { id: isHead ? "head" : `${g >> 1}.${g % 2 === 0 ? "attn" : "mlp"}`, choices };
  });
  const unit = random.chance(0.5) ? 1 : 640;
  const part = () => Object.fromEntries(KERNELS.map((kernel) => [kernel, unit * random.int(1, 9)]));
  const weightBytes: Bytes = { attn: part(), mlp: part(), head: part() };
  const wholeLayers = random.chance(0.4);
  const kept = new Set(seeds(2 * layers, 0).filter(() => random.chance(0.25)));
  if (wholeLayers) for (const index of [...kept]) kept.add(index ^ 1);
  const maxSkip = random.chance(0.5) ? random.int(0, 2 * layers) : null;
  const mostBytes = random.chance(0.6) ? mostOf(layers, unit, random) : null;
  return {
    groups,
    limits: {
      ...{ wholeLayers, kept, maxSkip },
      memory: mostBytes === null ? null : { mostBytes, weightBytes },
    },
    rules: {
      ...{ wholeLayers, maxSkip, mostBytes },
      kept: seeds(2 * layers, 0).map((index) => kept.has(index)),
      bytesOf: (index, choice) =>
        (index === 2 * layers ? weightBytes.head : index % 2 === 0 ? weightBytes.attn : weightBytes.mlp)[choice] ?? 0,
    },
  };
}

const mostOf = (layers: number, unit: number, random: Draw): number =>
  random.chance(0.2) ? random.float() * unit : random.int(0, 6 * (2 * layers + 1)) * unit + random.int(0, 1);

const values = (points: readonly { costUs: number; loss: number }[]) =>
  points.map(({ costUs, loss }) => ({ costUs, loss }));

describe("the knapsack under constraints", () => {
  const instances = seeds(400).map((seed) => ({ seed, ...constrainedInstance(seed) }));

  test.each(instances)("is every non-dominated draft that keeps them: seed $seed", ({ groups, limits, rules }) => {
    const frontier = constrainedFrontier(limits, groups);
    expect(values(frontier)).toEqual(withinRules(groups, rules));
    expect(frontier.map(({ chosen }) => recompute(groups, chosen))).toEqual(values(frontier));
    for (const { chosen } of frontier) {
      expect(keepsRules(chosen, rules)).toBe(true);
      expect(satisfies(limits, toChoiceSet(chosen))).toBe(true);
    }
  });

  test("drafts keep the limits exactly where they keep the rules in words", () => {
    let [kept, broken] = [0, 0];
    for (const { groups, limits, rules, seed } of instances) {
      const random = draw(seed);
      for (let i = 0; i < 20; i++) {
        const drawn = groups.map(({ choices }) => choices[random.int(0, choices.length - 1)].id);
        const chosen = random.chance(0.5) ? drawn : drawn.map((id, g) => (g % 2 === 1 ? drawn[g - 1] : id));
        const expected = keepsRules(chosen, rules);
        expect(satisfies(limits, toChoiceSet(chosen))).toBe(expected);
        if (expected) kept++;
        else broken++;
      }
    }
    expect(Math.min(kept, broken)).toBeGreaterThan(1000);
  });

  test("without one, or with such as all drafts keep, is the frontier itself", () => {
    for (const { groups, limits } of instances) {
      const plain = paretoFrontier(groups);
      expect(constrainedFrontier(NO_LIMITS, groups)).toEqual(plain);
      const { weightBytes } = limits.memory ?? { weightBytes: { attn: {}, mlp: {}, head: {} } };
      const wide = { ...NO_LIMITS, maxSkip: groups.length, memory: { mostBytes: 1e9, weightBytes } };
      expect(values(constrainedFrontier(wide, groups))).toEqual(values(plain));
    }
  });

  test("one constraint less, or a looser one, never loses: every draft is as quick and loses as little", () => {
    for (const { groups, limits } of instances) {
      const tight = constrainedFrontier(limits, groups);
      const looser: Limits[] = [
        { ...limits, wholeLayers: false },
        { ...limits, kept: new Set([...limits.kept].filter((index) => index > 1)) },
        { ...limits, maxSkip: limits.maxSkip === null ? null : limits.maxSkip + 1 },
        { ...limits, memory: limits.memory && { ...limits.memory, mostBytes: 2 * limits.memory.mostBytes } },
      ];
      for (const other of looser) {
        const loose = constrainedFrontier(other, groups);
        for (const { costUs, loss } of tight)
          expect(loose.some((point) => point.costUs <= costUs && point.loss <= loss)).toBe(true);
      }
    }
  });

  test("a joined layer costs and loses what its two blocks do", () => {
    const { groups } = constrainedInstance(3);
    const joined = constrainedGroups({ ...NO_LIMITS, wholeLayers: true, kept: new Set([0, 1]) }, groups);
    expect(joined.map(({ id }) => id)).toEqual([
      ...groups.slice(0, -1).flatMap((_, g) => (g % 2 ? [] : `${g / 2}`)),
      "head",
    ]);
    expect(joined[0].choices.map(({ id }) => id)).not.toContain("skip");
    for (const choice of joined[0].choices) {
      const parts = [0, 1].map((g) => groups[g].choices.find(({ id }) => id === choice.id));
      expect(choice.costUs).toBe((parts[0]?.costUs ?? 0) + (parts[1]?.costUs ?? 0));
      expect(choice.loss).toBe((parts[0]?.loss ?? 0) + (parts[1]?.loss ?? 0));
    }
  });
});
