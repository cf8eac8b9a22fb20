import { describe, expect, test } from "vitest";
import { type HistoryEntry, trendsOf } from "../../src/check/history.js";
import type { Verification } from "../../src/schema/verification.js";
import { verification } from "../support/example-documents.js";
import { LONG } from "../support/long.js";

/** The verification of day i: a speedup of 1.4, an acceptance of 0.91. */
function entry(i: number, changes: Partial<Verification> = {}): HistoryEntry {
  const created = new Date(Date.UTC(2026, 0, 1 + i)).toISOString();
  return { file: `${i}.yaml`, sha256: String(i), verification: { ...verification(), created, ...changes } };
}
const speedup = (median: number) => ({ median, low: median * 0.97, high: median * 1.03 });
/** Small differences, so that no two days are the same. */
const wiggle = (i: number) => 1 + 0.004 * ((i * 7) % 5);
const days = (count: number, changes: (i: number) => Partial<Verification>): HistoryEntry[] =>
  Array.from({ length: count }, (_, i) => entry(i, changes(i)));
const device = verification().device;
const model = verification().model;

describe.skipIf(LONG)("a trend", () => {
  test("holds the verifications of one model on one device by the time they were made", () => {
    const entries = [entry(3), entry(1), entry(2)];
    const [trend, ...others] = trendsOf(entries);
    expect(trend.dated.map(({ file }) => file)).toEqual(["1.yaml", "2.yaml", "3.yaml"]);
    expect(others).toEqual([]);
    expect(trend).toMatchObject({
      model: { name: model.name },
      device: { threads: 2 },
      plan: "plan.yaml",
      changes: [],
    });
  });

  test("orders times of different precision", () => {
    const at = (created: string, i: number) => entry(i, { created });
    const [{ dated }] = trendsOf([
      at("2026-01-01T00:00:05.25Z", 0),
      at("2026-01-01T00:00:05Z", 1),
      at("2026-01-01T00:00:05.2Z", 2),
      at("2025-12-31T23:59:59.999Z", 3),
    ]);
    expect(dated.map(({ file }) => file)).toEqual(["3.yaml", "1.yaml", "2.yaml", "0.yaml"]);
  });

  test.each<[string, Partial<Verification>]>([
    ["other weights", { model: { ...model, weights_sha256: "c".repeat(64) } }],
    ["another processor", { device: { ...device, processor: "Another CPU" } }],
    ["another number of threads", { device: { ...device, threads: 4 } }],
    ["another provider", { device: { ...device, provider: "cuda" } }],
    ["another platform", { device: { ...device, platform: "linux arm64" } }],
  ])("of %s is another one", (_what, changes) => {
    expect(trendsOf([entry(0), entry(1), entry(2, changes)]).map(({ dated }) => dated.length)).toEqual([1, 2]);
  });

  test.each<[string, Partial<Verification>]>([
    ["another name", { model: { ...model, name: "the same by another name" } }],
    ["another runtime", { device: { ...device, runtime: "onnxruntime 1.31.0" } }],
    ["a plan that was made again", { plan: { path: "elsewhere/plan.yaml", sha256: "d".repeat(64) } }],
  ])("goes on with %s", (_what, changes) => {
    expect(trendsOf([entry(0), entry(1), entry(2, changes)])).toHaveLength(1);
  });

  test("tells plans apart by their file names", () => {
    const plan = (path: string) => ({ plan: { path, sha256: "a".repeat(64) } });
    const entries = days(6, (i) => plan(i % 2 === 0 ? "../plans/a.yaml" : "..\\plans\\b.yaml"));
    expect(trendsOf(entries).map((trend) => [trend.plan, trend.dated.length])).toEqual([
      ["b.yaml", 3],
      ["a.yaml", 3],
    ]);
  });

  test("is one where every plan has a name of its own", () => {
    const entries = days(6, (i) => ({ plan: { path: `2026-01-0${i + 1}.yaml`, sha256: "a".repeat(64) } }));
    expect(trendsOf(entries).map((trend) => [trend.plan, trend.dated.length])).toEqual([[null, 6]]);
  });

  test("keeps verifications without a date apart", () => {
    const undated = entry(1);
    delete undated.verification.created;
    const [{ dated, undated: apart }] = trendsOf([entry(0), undated, entry(2)]);
    expect([dated, apart].map((list) => list.map(({ file }) => file))).toEqual([["0.yaml", "2.yaml"], ["1.yaml"]]);
    expect(trendsOf([undated])[0]).toMatchObject({ dated: [], undated: [undated], changes: [] });
  });
});

describe.skipIf(LONG)("a change", () => {
  test("of speedup says from what to what, since when, and what changed as well", () => {
    const [{ changes, tooFew }] = trendsOf(
      days(20, (i) => ({
        speedup: speedup((i < 12 ? 1.5 : 1.35) * wiggle(i)),
        plan: { path: "plan.yaml", sha256: (i < 12 ? "a" : "b").repeat(64) },
        device: { ...device, runtime: i < 12 ? "onnxruntime 1.30.0" : "onnxruntime 1.31.0" },
      })),
    );
    expect(tooFew).toEqual([]);
    expect(changes).toHaveLength(1);
    expect(changes[0]).toMatchObject({ quantity: "speedup", last: 11, first: 12, alsoChanged: ["plan", "runtime"] });
    expect(changes[0].changePercent).toBeCloseTo(-10, 0);
    expect(changes[0].before / 1.5).toBeCloseTo(1.008, 2);
    expect(changes[0].pValue).toBeLessThan(0.01);
  });

  test.each<[string, Partial<Verification>]>([
    ["prompts", { prompts_sha256: "e".repeat(64) }],
    ["token limit", { max_tokens: 32 }],
    ["draftplan version", { versions: { draftplan: "9.9.9", node: "24" } }],
  ])("names other %s", (name, later) => {
    const [{ changes }] = trendsOf(
      days(20, (i) => ({ speedup: speedup(i < 10 ? 1.5 : 1.2), ...(i < 10 ? {} : later) })),
    );
    expect(changes.map(({ alsoChanged }) => alsoChanged)).toEqual([[name]]);
  });

  test("of acceptance is found by itself", () => {
    const [{ changes }] = trendsOf(days(20, (i) => ({ acceptance: i < 10 ? 0.95 : 0.9, speedup: speedup(1.4) })));
    expect(
      changes.map(({ quantity, first, before, after, changePercent }) => [
        quantity,
        first,
        before,
        after,
        changePercent,
      ]),
    ).toEqual([["acceptance", 10, expect.closeTo(0.95, 6), expect.closeTo(0.9, 6), null]]);
  });

  test("is looked for among verifications whose output was right, and named by the place among all", () => {
    const wrong = (i: number) => i % 4 === 3;
    const [{ changes, dated }] = trendsOf(
      days(32, (i) => ({ lossless: !wrong(i), speedup: speedup(wrong(i) ? 9 : i < 16 ? 1.5 : 1.2) })),
    );
    expect(dated).toHaveLength(32);
    expect(changes.map(({ last, first }) => [last, first])).toEqual([[14, 16]]);
  });

  test("cannot be told from few; of acceptance, from few that drafted", () => {
    const [few] = trendsOf(days(9, (i) => ({ speedup: speedup(i < 5 ? 2 : 1) })));
    expect([few.changes, few.tooFew]).toEqual([[], ["speedup", "acceptance"]]);
    const [plain] = trendsOf(days(20, (i) => ({ acceptance: i < 9 ? 0.9 : null })));
    expect(plain.tooFew).toEqual(["acceptance"]);
  });

  test("is found beside a figure that no run gives", () => {
    const [{ changes }] = trendsOf(days(21, (i) => ({ speedup: speedup(i === 4 ? 0 : i < 11 ? 1.5 : 1.2) })));
    expect(changes.map(({ last, first }) => [last, first])).toEqual([[10, 11]]);
  });

  test("survives figures that no run gives", () => {
    const strange = [0, -1, 1e308, 5e-324];
    const entries = days(40, (i) => ({
      speedup: { median: strange[i % 4], low: strange[(i + 1) % 4], high: strange[(i + 2) % 4] },
      acceptance: i % 3 === 0 ? null : i % 2,
    }));
    for (const { before, after } of trendsOf(entries)[0].changes) {
      expect([before, after].every((value) => !Number.isNaN(value))).toBe(true);
    }
  });
});

test.runIf(LONG)("of more verifications than can be searched the latest are", () => {
  const level = (i: number) => (i < 20 ? 3 : i < 1020 ? 1.4 : 1.2);
  const [{ changes, dated }] = trendsOf(days(1040, (i) => ({ speedup: speedup(level(i)) })));
  expect(dated).toHaveLength(1040);
  expect(changes.map(({ last, first }) => [last, first])).toEqual([[1019, 1020]]);
});
