/** Which of a plan's segments an engine gets. */
import { describe, expect, test } from "vitest";
import { asChain } from "../../src/export/chains.js";
import { chooseDraft } from "../../src/export/choose.js";
import type { PlannedDraft } from "../../src/export/exporter.js";
import type { Loaded } from "../../src/schema/document.js";
import type { DrafterRef } from "../../src/schema/drafter.js";
import type { Plan, Predicted, Segment } from "../../src/schema/plan.js";
import { plan } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";
import { uniform } from "../support/numbers.js";

const [{ draft, predicted: example }] = plan().segments;

type Point = { at: number; tokensPerSecond: number; speedup: number };

/** @param points where speeds are predicted; null: nowhere */
function segment(from: number, to: number, points: Point[] | null): Segment {
  const [first, ...more] = points ?? [];
  const speed = (p: Point) => ({ tokens_per_second: p.tokensPerSecond, speedup: p.speedup });
  const along = points?.map((p) => ({ context_tokens: p.at, ...speed(p) }));
  const predicted =
    first === undefined
      ? {}
      : {
          predicted: {
            ...(example as Predicted),
            ...{ at_context: first.at, ...speed(first) },
            ...(more.length === 0 ? {} : { along }),
          },
        };
  return { context_tokens: { from, to }, speculate: true, draft, draft_tokens: 3, ...predicted };
}
const plain = (from: number, to: number): Segment => ({ context_tokens: { from, to }, speculate: false });
const loaded = (...segments: Segment[]): Loaded<Plan> => ({
  ...{ path: "plans/p.yaml", sha256: "a".repeat(64) },
  document: { ...plan(), segments },
});
const chosen = (context: number | undefined, ...segments: Segment[]) => chooseDraft(loaded(...segments), context).index;

/** µs that decoding once through the segment saves, token by token: times are straight lines between two points. */
function savedUs({ context_tokens: { from, to } }: Segment, points: readonly Point[]): number {
  let saved = 0;
  for (let n = from; n < to; n++) {
    const after = points.findIndex(({ at }) => at >= n);
    const [a, b] = after <= 0 ? [points.at(after), points.at(after)] : [points[after - 1], points[after]];
    if (a === undefined || b === undefined) throw new Error("no point");
    const share = a === b ? 0 : (n - a.at) / (b.at - a.at);
    const between = (us: (p: Point) => number) => (1 - share) * us(a) + share * us(b);
    const drafting = (p: Point) => 1e6 / p.tokensPerSecond;
    saved += between((p) => drafting(p) * p.speedup) - between(drafting);
  }
  return saved;
}

describe("without --context", () => {
  test("it is the one that saves most time, not the one of the greatest speedup", () => {
    // 100 tokens of 10 ms at twice the speed save 0.5 s; 3,000 of 20 ms at 1.2 times the speed save 10 s
    const short = segment(0, 100, [{ at: 64, tokensPerSecond: 200, speedup: 2 }]);
    const long = segment(100, 3100, [{ at: 512, tokensPerSecond: 60, speedup: 1.2 }]);
    expect(chosen(undefined, short, long)).toBe(1);
    expect(chosen(undefined, segment(0, 3000, [{ at: 64, tokensPerSecond: 200, speedup: 2 }]), long)).toBe(0);
  });

  test("equals adding up what every token saves, where speeds change along a segment: 60 random plans", () => {
    const next = uniform(7);
    let first = 0;
    for (let trial = 0; trial < 60; trial++) {
      const ends = [0, 200 + Math.floor(600 * next())];
      ends.push(ends[1] + 200 + Math.floor(600 * next()));
      const made = [0, 1].map((i) => {
        const [from, to] = [ends[i], ends[i + 1]];
        const points = [from, Math.floor((from + to) / 2), to].map((at) => ({
          ...{ at, tokensPerSecond: 40 + 100 * next(), speedup: 1 + next() },
        }));
        return { one: segment(from, to, points), points };
      });
      const [a, b] = made.map(({ one, points }) => savedUs(one, points));
      if (Math.abs(a / b - 1) < 0.02) continue; // a sum of tokens and an integral of straight lines differ by less
      if (a > b) first++;
      expect(chosen(undefined, ...made.map(({ one }) => one))).toBe(a > b ? 0 : 1);
    }
    expect(first).toBeGreaterThan(10);
  });

  test("without predictions it is the first that speculates", () => {
    expect(chosen(undefined, plain(0, 10), segment(10, 20, null), segment(20, 9000, null))).toBe(1);
  });
});

test("--context names the segment, its end excluded; where it does not speculate or ends, nothing is exported", async () => {
  const segments = [segment(0, 64, null), plain(64, 128), segment(128, 256, null)];
  expect([0, 63, 128, 255].map((n) => chosen(n, ...segments))).toEqual([0, 0, 2, 2]);
  for (const n of [64, 127, 256])
    await expectFailure(
      () => chosen(n, ...segments),
      "NOTHING_TO_EXPORT",
      "contexts 0 to 64, 128 to 256, and not there",
    );
  await expectFailure(() => chosen(undefined, plain(0, 64)), "NOTHING_TO_EXPORT", "at no context");
});

test("heads and models lie beside the plan, wherever it lies; the model that travels with draftplan is a name", () => {
  const heads = { kind: "heads" as const, path: "../heads", sha256: "b".repeat(64), tree: [[0]] };
  const drafted = (drafter: NonNullable<Segment["drafter"]>) => {
    const [{ context_tokens }] = plan().segments;
    return chooseDraft(loaded({ context_tokens, speculate: true, drafter, draft_tokens: 1 }), undefined).drafter;
  };
  expect(drafted(heads)).toMatchObject({ path: "heads" });
  const model = { kind: "model" as const, name: "m", weights_sha256: "b".repeat(64), kernel: "int8" as const };
  expect(drafted({ ...model, path: "small.gguf" })).toMatchObject({ path: "plans/small.gguf" });
  expect(drafted({ ...model, path: "embedded" })).toMatchObject({ path: "embedded" });
  const lookup = { min_match: 3, ngram_tokens: { min: 2, max: 4 } };
  expect(drafted({ kind: "hybrid", lookup, otherwise: heads })).toMatchObject({ otherwise: { path: "heads" } });
});

test("an engine's lookup goes on from one place, and what is lost is said", () => {
  const ngram_tokens = { min: 2, max: 4 };
  const branches = { count: 3, draft_tokens: 2 };
  const otherwise = { kind: "self" as const };
  const planned = (drafter: DrafterRef) => asChain({ drafter } as PlannedDraft);
  const alone = planned({ kind: "lookup", ngram_tokens, branches });
  expect(alone.draft.drafter).toEqual({ kind: "lookup", ngram_tokens });
  expect(alone.note).toMatch(/several places .* from one/);
  const beside = planned({ kind: "hybrid", lookup: { min_match: 3, ngram_tokens, branches }, otherwise });
  expect(beside.draft.drafter).toEqual({ kind: "hybrid", lookup: { min_match: 3, ngram_tokens }, otherwise });
  expect(beside.note).toBe(alone.note);
  const siblings = planned({ kind: "self", siblings: 2 });
  expect(siblings.draft.drafter).toEqual({ kind: "self" });
  expect(siblings.note).toMatch(/last draft step .* is a chain/);
  const both = planned({
    ...{ kind: "hybrid", lookup: { min_match: 3, ngram_tokens, branches } },
    otherwise: { kind: "self", siblings: 2 },
  });
  expect(both.draft.drafter).toEqual({ kind: "hybrid", lookup: { min_match: 3, ngram_tokens }, otherwise });
  expect(both.note).toMatch(/several places .* is a chain/);
  for (const drafter of [
    { kind: "lookup" as const, ngram_tokens },
    { kind: "hybrid" as const, lookup: { min_match: 3, ngram_tokens }, otherwise },
    otherwise,
  ])
    expect(planned(drafter)).toEqual({ draft: { drafter }, note: null });
});
