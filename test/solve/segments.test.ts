import { describe, expect, test } from "vitest";
import type { MeasuredDraft } from "../../src/schema/calibration.js";
import { type ChoiceSet, compactDraft, expandDraft, uniformChoices } from "../../src/schema/choice.js";
import { speedOf } from "../../src/solve/gain.js";
import { curveFromRate, openProblem, planSegments } from "../../src/solve/index.js";
import { CONTEXTS, LAYERS, makeCalibration, makeProfile } from "../support/documents.js";
import { draw, seeds } from "./instances.js";

const int8 = uniformChoices(LAYERS, "int8");
const SETS: ChoiceSet[] = [int8, { ...int8, blocks: int8.blocks.with(5, "skip") }, { ...int8, head: "target" }];

/** Every draft measured at every context, at rates that make lengths and drafts compete. */
function instance(seed: number) {
  const random = draw(seed);
  const measured: MeasuredDraft[] = CONTEXTS.flatMap((at_context) =>
    SETS.map((set) => ({
      at_context,
      part: "choose" as const,
      draft: compactDraft(set),
      tokens: 1_000_000,
      curve: curveFromRate(0.86 + 0.13 * random.float(), 16),
    })),
  );
  const calibration = makeCalibration(CONTEXTS, measured);
  const problem = openProblem({ profile: makeProfile(), calibration, choices: ["int8", "skip"] });
  const speed = (n: number, draft: ChoiceSet, d: number) => {
    const record = measured.find(
      (m) => m.at_context === n && JSON.stringify(m.draft) === JSON.stringify(compactDraft(draft)),
    );
    return speedOf(problem.latency, n, draft, (record?.curve ?? []).slice(0, d + 1));
  };
  const options = SETS.flatMap((set) => Array.from({ length: 16 }, (_, i) => ({ set, d: i + 1 })));
  return { problem, speed, options };
}

/** The last range ends at the last profiled context, which belongs to it. */
const contextsIn = ({ from, to }: { from: number; to: number }) =>
  CONTEXTS.filter((n) => n >= from && (n < to || n === CONTEXTS[CONTEXTS.length - 1]) && n <= to);

describe("merged ranges", () => {
  test.each(seeds(25))(
    "are within 1 % of the best measured draft and length at every profiled context, and as few as possible (seed %i)",
    (seed) => {
      const { problem, speed, options } = instance(seed);
      const segments = planSegments(problem);
      const best = (n: number) => Math.max(...options.map(({ set, d }) => speed(n, set, d)));
      for (const { context_tokens, draft, draft_tokens } of segments) {
        if (draft === undefined || draft_tokens === undefined) throw new Error("every draft gains here");
        const set = expandDraft(draft, LAYERS, "test");
        for (const n of contextsIn(context_tokens))
          expect(speed(n, set, draft_tokens)).toBeGreaterThanOrEqual(0.99 * best(n));
      }
      // the fewest runs by trying every way to cut the three contexts
      const shared = (run: readonly number[]) =>
        options.some(({ set, d }) => run.every((n) => speed(n, set, d) >= 0.99 * best(n)));
      const [a, b, c] = CONTEXTS;
      const cuts = [[[a, b, c]], [[a], [b, c]], [[a, b], [c]], [[a], [b], [c]]];
      const fewest = Math.min(...cuts.filter((runs) => runs.every(shared)).map((runs) => runs.length));
      expect(segments).toHaveLength(fewest);
    },
  );

  test("one draft with another best length at each end is one range where a length between serves both", () => {
    const measured: MeasuredDraft[] = [64, 1024].map((at_context, i) => ({
      at_context,
      part: "choose",
      draft: compactDraft(int8),
      tokens: 1_000_000,
      curve: curveFromRate([0.93, 0.94][i], 16),
    }));
    const problem = openProblem({
      profile: makeProfile(),
      calibration: makeCalibration([64, 1024], measured),
      choices: ["int8"],
    });
    const [only, ...others] = planSegments(problem);
    expect(others).toEqual([]);
    expect(expandDraft(only.draft as never, LAYERS, "test")).toEqual(int8);
  });
});
