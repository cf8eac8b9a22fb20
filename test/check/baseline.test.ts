/** Candidates against a baseline, by documents alone. */
import { describe, expect, test } from "vitest";
import { compareWithBaseline, type Side, sidesOf } from "../../src/check/baseline.js";
import { type Checked, type Opened, toChecked } from "../../src/check/documents.js";
import { sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import type { Verification } from "../../src/schema/verification.js";
import { verification as exampleVerification } from "../support/example-documents.js";
import { codesOf, placesOf } from "./support.js";

const A = "a".repeat(64);
const model = { name: "tiny", layers: 3, architecture_sha256: A, weights_sha256: A };
const device = { processor: "cpu", provider: "cpu", threads: 2, runtime: "runtime 1", platform: "linux x64" };

interface Range {
  from?: number;
  to: number;
  at?: number;
  speedup?: number;
  /** tokens per second of plain decoding; the plan's are `speedup` times as many */
  target?: number;
  skip?: string[];
}

const drafting = ({ from = 0, to, at = from + 1, speedup = 1.5, target = 100, skip = [] }: Range): Segment => ({
  context_tokens: { from, to },
  speculate: true,
  draft: { default: "int8", head: "int8", skip, choices: {} },
  draft_tokens: 2,
  predicted: {
    ...{ at_context: at, acceptance: 0.9, acceptance_curve: [1, 0.9, 0.81], accepted_length: 2.71 },
    ...{ draft_us: 1, verify_us: 1, round_us: 1, target_step_us: 1e6 / target, lp_gap_percent: 0 },
    ...{ tokens_per_second: target * speedup, speedup },
  },
});
const plain = (from: number, to: number): Segment => ({ context_tokens: { from, to }, speculate: false });

const planOf = (segments: Segment[], changes: Partial<Plan> = {}): Plan => ({
  ...{ kind: "draftplan/plan", version: 1, model, device, segments },
  ...changes,
});

const checked = <T extends Plan | Verification>(file: string, document: T): Checked<T> =>
  toChecked(file, document, sha256(stringifyDocument(document))) as Checked as Checked<T>;

const planSide = (file: string, plan: Plan): Side => ({ file, plan: checked(file, plan), verification: null });

const compare = (candidate: Plan, baseline: Plan, tolerance = 0.05) =>
  compareWithBaseline([planSide("new.yaml", candidate)], planSide("old.yaml", baseline), tolerance);

const measured = (speedup: [number, number, number], changes: Partial<Verification> = {}): Verification => ({
  ...{ ...exampleVerification(), model, device },
  speedup: { low: speedup[0], median: speedup[1], high: speedup[2] },
  ...changes,
});

const verified = (candidate: Verification, baseline: Verification, tolerance = 0.05) => {
  const side = (file: string, document: Verification) => ({ file, plan: null, verification: checked(file, document) });
  return compareWithBaseline([side("new.yaml", candidate)], side("old.yaml", baseline), tolerance);
};

describe("predictions", () => {
  const old = planOf([drafting({ to: 1024 })]);

  test("the same plan twice has no finding, and what decided is said", () => {
    const { findings, regressed, decided, compared } = compare(old, old);
    expect(findings).toEqual([]);
    expect(regressed).toBe(false);
    expect(decided).toEqual([
      "new.yaml: predicted tokens per second at 1 tokens of context: 150 against 150 (0.0 %), within the tolerance 5 %",
    ]);
    expect(compared.map(({ name, changePercent }) => [name, changePercent])).toEqual([
      ["draft tokens", null],
      ["predicted speedup", 0],
      ["predicted tokens per second", 0],
      ["predicted acceptance", 0],
    ]);
  });

  test.each([1.1, 2, 100])("%s times as fast has no finding", (factor) => {
    expect(compare(planOf([drafting({ to: 1024, speedup: 1.5 * factor })]), old).findings).toEqual([]);
  });

  test("slower by less than the tolerance has none either; by more is a regression", () => {
    const slower = (share: number) => compare(planOf([drafting({ to: 1024, speedup: 1.5 * (1 - share) })]), old);
    expect(slower(0.049).findings).toEqual([]);
    const { findings, regressed } = slower(0.051);
    expect(regressed).toBe(true);
    expect(placesOf(findings)).toEqual(["SLOWER_PREDICTED new.yaml: segments[0].predicted.tokens_per_second"]);
    expect(findings[0]).toMatchObject({ severity: "error" });
    expect(compare(planOf([drafting({ to: 1024, speedup: 1.4 })]), old, 0.1).findings).toEqual([]);
    expect(compare(planOf([drafting({ to: 1024, speedup: 1.499 })]), old, 0).regressed).toBe(true);
  });

  test("on the same device tokens per second count, even where the speedup is the same", () => {
    const slow = planOf([drafting({ to: 1024, target: 80 })]);
    expect(codesOf(compare(slow, old).findings)).toEqual(["SLOWER_PREDICTED"]);
  });

  test("on another device they never do: speedups are compared, and a note says so", () => {
    const elsewhere = { ...device, processor: "another" };
    const slow = planOf([drafting({ to: 1024, target: 10 })], { device: elsewhere });
    const { findings, regressed, compared, decided } = compare(slow, old);
    expect(regressed).toBe(false);
    expect(findings).toMatchObject([{ code: "DEVICE_DIFFERS", severity: "note" }]);
    expect(decided.join()).toContain("predicted speedup");
    const perSecond = compared.find(({ name }) => name === "predicted tokens per second");
    expect(perSecond).toMatchObject({ changePercent: null, baseline: { value: 150 }, candidate: { value: 15 } });
    const worse = planOf([drafting({ to: 1024, target: 1000, speedup: 1.2 })], { device: elsewhere });
    expect(compare(worse, old).regressed).toBe(true);
  });

  test("a plan that records no device might be from anywhere", () => {
    const { device: _device, ...bare } = planOf([drafting({ to: 1024, target: 10 })]);
    expect(compare(bare, old)).toMatchObject({ regressed: false, findings: [{ code: "DEVICE_DIFFERS" }] });
  });

  test("another runtime version on the same device is what a comparison is to show", () => {
    const updated = { ...device, runtime: "runtime 2" };
    const { findings } = compare(planOf([drafting({ to: 1024, target: 80 })], { device: updated }), old);
    expect(codesOf(findings)).toEqual(["SLOWER_PREDICTED"]);
  });

  test("a draft given up counts as plain decoding", () => {
    const { findings, regressed } = compare(planOf([plain(0, 1024)]), old);
    expect(regressed).toBe(true);
    expect(codesOf(findings)).toEqual(["BLOCKS_CHANGED", "SLOWER_PREDICTED"]);
    expect(compare(old, planOf([plain(0, 1024)])).regressed).toBe(false);
  });

  test("so does what lies past the last segment", () => {
    const { findings } = compare(planOf([drafting({ to: 512 })]), old);
    expect(placesOf(findings)).toEqual(["SLOWER_PREDICTED new.yaml: segments", "BLOCKS_CHANGED new.yaml: segments"]);
  });

  test("ranges cut otherwise predict for other contexts, and only the mean decides", () => {
    // a speedup that falls with the context from 2 to 1: the baseline's one segment stands for its middle
    const one = planOf([drafting({ to: 1024, at: 32, speedup: 1.5 })]);
    const two = planOf([
      drafting({ to: 32, at: 6, speedup: 1.75, target: 120 }),
      drafting({ from: 32, to: 1024, at: 180, speedup: 1.28, target: 60 }),
    ]);
    const { findings, decided } = compare(two, one);
    expect(findings).toEqual([]);
    expect(decided).toHaveLength(1);
    // ln 33 and ln (1025 / 33) of ln 1025: about half each, √(1.75 · 1.28) = 1.497
    expect(decided[0]).toMatch(/speedup, mean over all contexts: 1\.49\d+ against 1\.5 /);
    const worse = planOf([
      drafting({ to: 32, at: 6, speedup: 1.5 }),
      drafting({ from: 32, to: 1024, at: 180, speedup: 1 }),
    ]);
    expect(compare(worse, one).regressed).toBe(true);
  });

  test("blocks that changed are named, range by range", () => {
    const changed = planOf([
      drafting({ to: 512, at: 1, skip: ["1.attn"] }),
      { ...drafting({ from: 512, to: 1024, at: 1, skip: [] }), draft_tokens: 3 },
    ]);
    const notes = compare(changed, old).findings;
    expect(notes).toMatchObject([
      { code: "BLOCKS_CHANGED", severity: "note", where: "segments[0]" },
      { code: "BLOCKS_CHANGED", severity: "note", where: "segments[1]" },
    ]);
    expect(notes[0].message).toBe("at context 0 to 512, since old.yaml: 1.attn int8 -> skip");
    expect(notes[1].message).toBe("at context 512 to 1024, since old.yaml: 2 -> 3 tokens drafted");
  });

  test("drafts without predictions cannot be compared, and passing in silence would be wrong", () => {
    const bare = planOf(old.segments.map(({ predicted: _predicted, ...segment }) => segment));
    const longer = { ...bare, segments: bare.segments.map((segment) => ({ ...segment, draft_tokens: 9 })) };
    const { findings, regressed } = compare(longer, old);
    expect(regressed).toBe(false);
    expect(findings.find(({ code }) => code === "NOTHING_COMPARED")).toMatchObject({
      severity: "error",
      file: "old.yaml",
    });
  });

  test("without predictions, and the same in what they do: nothing is slower", () => {
    const bare = planOf(old.segments.map(({ predicted: _predicted, ...segment }) => segment));
    for (const other of [bare, structuredClone(bare)]) {
      const { findings, regressed, decided } = compare(bare, other);
      expect({ codes: codesOf(findings), regressed }).toEqual({ codes: [], regressed: false });
      expect(decided).toEqual([expect.stringMatching(/does the same as .* at every context/)]);
    }
  });

  test("another model is not compared; other weights of the same architecture are", () => {
    const other = planOf(old.segments, { model: { ...model, architecture_sha256: "b".repeat(64) } });
    expect(codesOf(compare(other, old).findings)).toEqual(["NOTHING_COMPARED", "NOT_COMPARED"]);
    const tuned = planOf([drafting({ to: 1024, speedup: 1 })], { model: { ...model, weights_sha256: "b".repeat(64) } });
    expect(codesOf(compare(tuned, old).findings)).toEqual(["SLOWER_PREDICTED"]);
  });
});

describe("verifications", () => {
  const old = measured([1.3, 1.4, 1.5]);

  test("the same twice has no finding", () => {
    const { findings, decided, compared } = verified(old, old);
    expect(findings).toEqual([]);
    expect(decided[0]).toContain("does not lie below");
    expect(compared[0]).toMatchObject({ name: "measured speedup", candidate: { value: 1.4, interval: [1.3, 1.5] } });
  });

  // 1.3 less 5 % is 1.235
  test.each([
    { name: "faster", speedup: [1.9, 2, 2.1], regressed: false },
    { name: "slower, intervals overlapping", speedup: [1.2, 1.3, 1.4], regressed: false },
    { name: "slower, up to the tolerance", speedup: [1.1, 1.2, 1.24], regressed: false },
    { name: "slower, the whole interval beyond the tolerance", speedup: [1.1, 1.2, 1.23], regressed: true },
  ])("$name", ({ speedup, regressed }) => {
    const result = verified(measured(speedup as [number, number, number]), old);
    expect(result.regressed).toBe(regressed);
    expect(placesOf(result.findings)).toEqual(regressed ? ["SLOWER_VERIFIED new.yaml: speedup"] : []);
  });

  test("a wider tolerance lets more pass", () => {
    const slower = measured([1.1, 1.2, 1.23]);
    expect(verified(slower, old, 0.06).regressed).toBe(false);
  });

  test("on another device speedups and acceptance are compared, tokens per second are not", () => {
    const elsewhere = { device: { ...device, threads: 8 }, tokens_per_second: { target: 1, plan: 1.4 } };
    const { findings, compared } = verified(measured([1.3, 1.4, 1.5], elsewhere), old);
    expect(findings).toMatchObject([{ code: "DEVICE_DIFFERS", severity: "note" }]);
    const change = (name: string) => compared.find((row) => row.name === name)?.changePercent;
    expect(change("measured speedup")).toBe(0);
    expect(change("measured acceptance")).toBe(0);
    expect(change("measured tokens per second")).toBeNull();
    expect(verified(measured([1, 1.1, 1.2], elsewhere), old).regressed).toBe(true);
  });

  test("of other prompts are shown and decide nothing", () => {
    const { findings, regressed, compared } = verified(measured([1, 1, 1], { prompts_sha256: A }), old);
    expect(regressed).toBe(false);
    expect(codesOf(findings)).toEqual(["NOTHING_COMPARED", "NOT_COMPARED"]);
    expect(compared.every(({ changePercent }) => changePercent === null)).toBe(true);
  });
});

describe("which documents stand for a side", () => {
  const plan = planOf([drafting({ to: 1024 })]);
  const planDocument = checked("plan.yaml", plan);
  const of = (planSha256: string) =>
    checked("v.yaml", measured([1.3, 1.4, 1.5], { plan: { path: "plan.yaml", sha256: planSha256 } }));
  const open = (): Opened => ({ state: "read", checked: planDocument });

  test("a verification with its plan, and the plan is not taken twice", () => {
    const sides = sidesOf([planDocument, of(planDocument.sha256)], open);
    expect(sides.map(({ file, plan, verification }) => [file, plan?.file, verification?.file])).toEqual([
      ["v.yaml", "plan.yaml", "v.yaml"],
    ]);
  });

  test("a verification of another state of the plan says nothing of the plan as it is", () => {
    const sides = sidesOf([planDocument, of(A)], open);
    expect(sides.map(({ file, plan }) => [file, plan?.file])).toEqual([
      ["v.yaml", undefined],
      ["plan.yaml", "plan.yaml"],
    ]);
  });

  test("two verifications of one plan compare its predictions once", () => {
    const sides = sidesOf([of(planDocument.sha256), of(planDocument.sha256)], open);
    const { decided } = compareWithBaseline(sides, planSide("old.yaml", plan), 0.05);
    expect(decided).toHaveLength(1);
  });

  test("a plan that names unknown blocks stands for nothing", () => {
    const broken = checked("broken.yaml", planOf([drafting({ to: 9, skip: ["77.attn"] })]));
    expect(sidesOf([broken], open)).toEqual([]);
  });
});
