/** Plans that heads draft in: what a check finds of them, beside a baseline and over time. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { compareWithBaseline } from "../../src/check/baseline.js";
import { checkDocuments } from "../../src/check/check.js";
import { type Checked, toChecked } from "../../src/check/documents.js";
import { trendsOf } from "../../src/check/history.js";
import { readForCheck } from "../../src/pipeline/check/read.js";
import { solver } from "../../src/pipeline/check/solver.js";
import { sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { planDocument } from "../../src/solve/index.js";
import { alone, HEADS_SHA, planted } from "../solve/trees/planted.js";
import { verification } from "../support/example-documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { codesOf, placesOf } from "./support.js";

const texts = alone([
  [[0, 0, 0], 500],
  [[0, 1], 150],
  [[1, 0], 150],
  [[], 200],
]);
const contexts = (["choose", "report"] as const).map((part) => ({ at_context: 256, part, texts }));
const world = planted({ heads: 3, passes: 40, contexts });

const folder = temporaryFolder();
const written = (name: string, document: Parameters<typeof stringifyDocument>[0]) => {
  const text = stringifyDocument(document);
  writeFileSync(join(folder, name), text);
  return { path: name, sha256: sha256(text) };
};
const inputs = {
  profile: written("profile.yaml", world.profile),
  calibration: written("calibration.yaml", world.calibration),
};
const solved = planDocument({ ...world, choices: ["int8"], drafters: ["heads"] }, inputs);

/** The plan with its first segment changed, checked in its folder. */
function checkedWith(change: (segment: Segment & { drafter: { kind: "heads"; tree: number[][] } }) => void) {
  const plan = structuredClone(solved);
  change(plan.segments[0] as never);
  const file = join(folder, "plan.yaml");
  writeFileSync(file, stringifyDocument(plan));
  const { documents, open, faults } = readForCheck([file]);
  const found = [...faults, ...checkDocuments({ documents, open, solver, model: null })];
  return found.map((one) => ({ ...one, file: one.file.slice(folder.length + 1) }));
}

describe("a committed plan of heads", () => {
  test("as it was solved has no finding", () => {
    expect(solved.segments[0].drafter?.kind).toBe("heads");
    expect(checkedWith(() => {})).toEqual([]);
  });

  test("with another tree is not what its inputs give, and the nodes are named", () => {
    const found = checkedWith(({ drafter }) => {
      drafter.tree = drafter.tree.filter((ranks) => ranks.join() !== "1,0").concat([[2]]);
    });
    const [differs] = found.filter(({ code }) => code === "PLAN_DIFFERS");
    expect(differs).toMatchObject({ where: "segments[0]", severity: "error" });
    expect(differs.message).toMatch(/solved again: heads: \[2\] removed, \[1, 0\] added$/);
    // nor does it accept what the calibration says of this tree
    expect(codesOf(found)).toEqual(["PLAN_DIFFERS", "PREDICTED_DIFFERS"]);
  });

  test("of other heads is another plan", () => {
    const found = checkedWith((segment) => {
      segment.drafter = { ...segment.drafter, sha256: "0".repeat(64) } as never;
    });
    expect(found.find(({ code }) => code === "PLAN_DIFFERS")?.message).toContain("heads: other heads");
  });

  test("whose figures promise a loss: its round is drafted at once, whatever its depth", () => {
    // as the formulas have it: tokens / (draft + verify + round), the draft counted once
    const found = checkedWith(({ predicted: p }) => {
      if (p === undefined) throw new Error("the segment predicts");
      p.draft_us = 5 * p.target_step_us;
      p.tokens_per_second = (1e6 * p.accepted_length) / (p.draft_us + p.verify_us + p.round_us);
      p.speedup = (p.tokens_per_second * p.target_step_us) / 1e6;
    });
    expect(codesOf(found)).toEqual(["PREDICTED_DIFFERS", "PREDICTED_LOSS"]);
    const [loss] = found.filter(({ code }) => code === "PREDICTED_LOSS");
    expect(loss).toMatchObject({ where: "segments[0].predicted.speedup", severity: "error" });
    const once = checkedWith(({ predicted: p }) => {
      if (p === undefined) throw new Error("the segment predicts");
      p.tokens_per_second = (1e6 * p.accepted_length) / (3 * p.draft_us + p.verify_us + p.round_us);
    });
    expect(codesOf(once)).toEqual(["PREDICTED_DIFFERS", "PREDICTED_INCONSISTENT"]);
  });
});

const side = (file: string, plan: Plan) => ({
  ...{ file, verification: null },
  plan: toChecked(file, plan, sha256(stringifyDocument(plan))) as Checked as Checked<Plan>,
});
const firstSegment = (change: (segment: Segment) => Segment): Plan => ({
  ...solved,
  segments: [change(solved.segments[0]), ...solved.segments.slice(1)],
});

describe("a plan of heads beside a baseline", () => {
  const compared = (candidate: Plan, baseline = solved) =>
    compareWithBaseline([side("new.yaml", candidate)], side("old.yaml", baseline), 0.05);

  test("says which nodes came and went", () => {
    const smaller = firstSegment((segment) => {
      if (segment.drafter?.kind !== "heads") throw new Error("heads draft there");
      const tree = segment.drafter.tree.filter((ranks) => ranks.join() !== "1,0");
      return { ...segment, drafter: { ...segment.drafter, tree } };
    });
    const { findings, regressed } = compared(smaller);
    expect(placesOf(findings)).toEqual(["BLOCKS_CHANGED new.yaml: segments[0]"]);
    expect(findings[0].message).toMatch(/since old\.yaml: heads: \[1, 0\] removed, (\d+) -> \d+ nodes$/);
    expect(regressed).toBe(false);
  });

  test("that is predicted slower is a regression, and one that decodes plainly is named as such", () => {
    const slower = firstSegment(({ predicted: p, ...segment }) => {
      if (p === undefined) throw new Error("the segment predicts");
      const along = p.along?.map((point) => ({ ...point, tokens_per_second: 0.8 * point.tokens_per_second }));
      const predicted = { ...p, tokens_per_second: 0.8 * p.tokens_per_second, speedup: 0.8 * p.speedup };
      return { ...segment, predicted: along === undefined ? predicted : { ...predicted, along } };
    });
    const { findings, regressed } = compared(slower);
    expect(regressed).toBe(true);
    expect(codesOf(findings)).toContain("SLOWER_PREDICTED");
    const plain = firstSegment(({ context_tokens }) => ({ context_tokens, speculate: false }));
    expect(
      compared(plain)
        .findings.map(({ message }) => message)
        .join(),
    ).toMatch(/heads, a tree of \d+ nodes -> plain/);
  });
});

test("over time, a verification that another drafter stood in for says so where the level changes", () => {
  const drafter = { kind: "heads" as const, path: "heads", sha256: HEADS_SHA };
  const day = (i: number, median: number, changes: Partial<Verification>) => ({
    file: `${i}.yaml`,
    sha256: `${i}`,
    verification: {
      ...verification(),
      created: new Date(Date.UTC(2027, 0, 1 + i)).toISOString(),
      speedup: { median, low: median - 0.03, high: median + 0.03 },
      ...changes,
    },
  });
  const days = Array.from({ length: 20 }, (_, i) => (i < 10 ? day(i, 1.4, {}) : day(i, 2.1, { drafter })));
  const [trend] = trendsOf(days);
  expect(trend.changes.map(({ quantity, first, alsoChanged }) => ({ quantity, first, alsoChanged }))).toEqual([
    { quantity: "speedup", first: 10, alsoChanged: ["drafter"] },
  ]);
});
