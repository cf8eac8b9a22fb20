/** Plans with spans: what the solver picks is the best of all drafts tried one by one, and the rest of the documents know it. */
import { expect, test } from "vitest";
import type { ModelSpec } from "../../src/model/spec.js";
import { spansOfBoth, usualSpans } from "../../src/pipeline/choices.js";
import type { Calibration } from "../../src/schema/calibration.js";
import { type Choice, type DraftChoice, expandDraft, isSpanned, type SpannedKernel } from "../../src/schema/choice.js";
import { CPU_NUMERICS } from "../../src/schema/numerics.js";
import type { Predicted, Segment } from "../../src/schema/plan.js";
import type { Profile } from "../../src/schema/profile.js";
import { planDocument } from "../../src/solve/index.js";
import { bestPlan } from "../oracle/brute-force-plan.js";
import {
  blockUs,
  CONTEXTS,
  FIXED_US,
  HEAD_LOSS,
  headUs,
  LAYERS,
  LOOP,
  lossOf,
  makeCalibration,
  makeProfile,
  passUs,
  QUERIES,
} from "../support/documents.js";
import { expectFailure } from "../support/failure.js";
import { tinySpec } from "../support/tiny-checkpoint.js";

/** A model of this shape, for what its weights and its cache take. */
const shaped = (
  layers: number,
  hiddenSize: number,
  intermediateSize: number,
  vocabSize: number,
  heads: number,
  kvHeads: number,
  headDim: number,
): ModelSpec => ({
  ...tinySpec({ layers, vocab: vocabSize }),
  ...{ hiddenSize, intermediateSize, heads, kvHeads, headDim },
});

const SPAN = 32;
const SINKS = 4;
const NAME: SpannedKernel = `int8@${SPAN}`;
const CHOICES: DraftChoice[] = ["int8", NAME, "skip"];
/** beside its kernel's: twenty times as much in the first layer as in the last */
const spanLoss = (layer: number) => lossOf("attn", layer, "int8") + 0.02 / (1 + 10 * layer);

function documents(): { profile: Profile; calibration: Calibration } {
  const profile = makeProfile();
  for (const point of profile.points) {
    if (point.query_tokens !== 1) continue;
    const read = Math.min(point.context_tokens, SINKS + SPAN);
    point.attn_us[NAME] = Array.from({ length: LAYERS }, (_, layer) => blockUs("attn", layer, true, read, 1));
  }
  const calibration = makeCalibration([128]);
  for (const { attn } of calibration.contexts)
    attn[NAME] = Array.from({ length: LAYERS }, (_, layer) => ({ loss: spanLoss(layer), standard_error: 0.001 }));
  return { profile, calibration };
}

const INPUTS = { profile: { path: "p", sha256: "1".repeat(64) }, calibration: { path: "c", sha256: "2".repeat(64) } };

test("at every context the plan is as fast as the best of all drafts and lengths", () => {
  const { profile, calibration } = documents();
  const plan = planDocument({ profile, calibration, choices: CHOICES }, INPUTS);
  for (const n of CONTEXTS) {
    const cost = (layer: number, kind: "attn" | "mlp", choice: Choice): number =>
      choice === "skip"
        ? 0
        : blockUs(kind, layer, choice !== "target", choice === NAME ? Math.min(n, SINKS + SPAN) : n, 1);
    const loss = (layer: number, kind: "attn" | "mlp", choice: Choice): number =>
      choice === "target" ? 0 : choice === NAME ? spanLoss(layer) : lossOf(kind, layer, choice as "int8" | "skip");
    const blocks = Array.from({ length: 2 * LAYERS }, (_, index) => {
      const [layer, kind] = [index >> 1, index % 2 === 0 ? ("attn" as const) : ("mlp" as const)];
      return (["target", ...CHOICES] as Choice[])
        .filter((choice) => kind === "attn" || choice !== NAME)
        .map((choice) => ({ id: choice, cost: cost(layer, kind, choice), loss: loss(layer, kind, choice) }));
    });
    const best = bestPlan({
      blocks,
      head: [
        { id: "target", cost: headUs(false, 1), loss: 0 },
        { id: "int8", cost: headUs(true, 1), loss: HEAD_LOSS },
      ],
      fixedUs: FIXED_US,
      verifyUs: (d) => passUs(false, n, d + 1),
      roundUs: LOOP.round_us,
      maxDraft: Math.min(16, QUERIES[QUERIES.length - 1] - 1),
    });
    const segment = plan.segments.find(({ context_tokens: { from, to } }) => n >= from && n <= to);
    const speed =
      segment?.predicted?.along?.find((at) => at.context_tokens === n)?.tokens_per_second ??
      segment?.predicted?.tokens_per_second;
    // a merged range may serve a context by its neighbour's draft, within half a percent
    expect((speed as number) / best.tokensPerSecond).toBeGreaterThan(0.994);
    expect((speed as number) / best.tokensPerSecond).toBeLessThan(1 + 5e-6); // plans keep six digits
  }
  const last = plan.segments[plan.segments.length - 1];
  const { blocks } = expandDraft(last.draft as NonNullable<typeof last.draft>, LAYERS, "draft");
  expect(blocks.some(isSpanned)).toBe(true);
  expect(plan.choices).toContain(NAME);
});

test("documents that have no span are refused by its name, and those that have one solve without it as before", async () => {
  const { profile, calibration } = documents();
  const plan = (choices: DraftChoice[], p = profile, c = calibration) =>
    planDocument({ profile: p, calibration: c, choices }, INPUTS);
  await expectFailure(() => plan(CHOICES, makeProfile()), "CHOICE_UNAVAILABLE", /profile has no int8@32/);
  await expectFailure(() => plan(CHOICES, profile, makeCalibration([128])), "CHOICE_UNAVAILABLE", /calibration has no/);
  expect(plan(["int8", "skip"])).toEqual(plan(["int8", "skip"], makeProfile(), makeCalibration([128])));
});

test("losses of spans count as much as they were found to lose together, and as they are where that was not measured", () => {
  const { profile, calibration } = documents();
  const drafts = [{ layers: LAYERS, summed: 0.1, loss: 0.05, standard_error: 0 }];
  const plan = (change: (context: Calibration["contexts"][number]) => object) => {
    const contexts = calibration.contexts.map((context) => ({ ...context, ...change(context) }));
    return planDocument({ profile, calibration: { ...calibration, contexts }, choices: CHOICES }, INPUTS);
  };
  const scaled = (factor: number) =>
    plan(({ attn }) => ({
      attn: {
        ...attn,
        [NAME]: attn[NAME]?.map(({ loss, standard_error }) => ({
          loss: factor * loss,
          standard_error: factor * standard_error,
        })),
      },
    }));
  for (const factor of [0.25, 3])
    expect(plan(() => ({ together: { [NAME]: { factor, drafts } } }))).toEqual(scaled(factor));
  expect(scaled(0.25)).not.toEqual(scaled(3));
  expect(plan(() => ({}))).toEqual(scaled(1));
});

test("what spans' caches take over is charged once a round for each layer that has one, and nothing is where none has", () => {
  const { profile, calibration } = documents();
  const at = (spanUs?: number) => {
    const loop = { ...LOOP, ...(spanUs === undefined ? {} : { span_us: spanUs }) };
    return planDocument({ profile: { ...profile, loop }, calibration, choices: CHOICES }, INPUTS).segments;
  };
  const spanned = ({ draft }: Segment) =>
    draft === undefined ? 0 : expandDraft(draft, LAYERS, "").blocks.filter(isSpanned).length;
  const free = at();
  const dear = at(0.5);
  expect(Math.max(...free.map(spanned))).toBeGreaterThan(0);
  for (const segment of dear.filter((one) => spanned(one) > 0)) {
    const { at_context: n, round_us } = segment.predicted as Predicted;
    expect(round_us).toBeCloseTo(LOOP.round_us + (n > SINKS + SPAN ? 0.5 * spanned(segment) : 0), 6);
  }
  expect(dear.some((one) => spanned(one) > 0 && (one.predicted?.at_context ?? 0) > SINKS + SPAN)).toBe(true);
  expect(at(1e6).map(spanned)).toEqual(at(1e6).map(() => 0));
  expect(at(0)).toEqual(free);
});

test("what both documents measured is offered, and measured by default only where contexts are long and spans run", () => {
  const { profile, calibration } = documents();
  expect(spansOfBoth(profile, calibration)).toEqual([NAME]);
  expect(spansOfBoth(profile, makeCalibration([128]))).toEqual([]);
  const [cpu, kernels] = [{ provider: "cpu" } as const, ["target", "int8"] as const];
  const small = { kernels, spec: shaped(30, 576, 1536, 49_152, 9, 3, 64), numerics: CPU_NUMERICS };
  expect(usualSpans(2048, small, cpu)).toEqual([]);
  expect(usualSpans(4096, small, cpu)).toEqual(["int8@1024", "int8@256"]);
  expect(usualSpans(8192, small, { provider: "cuda" })).toEqual([]);
});

test("the usual spans are as wide as the model's weights are many beside its keys and values", () => {
  const cpu = { provider: "cpu" } as const;
  // 8.0 billion weights of int8, some 9 GB, and 32 · 2 · 8 · 128 · 4 bytes of keys and values a token: 34,000 tokens weigh as much
  const large = {
    kernels: ["target", "int8"] as const,
    spec: shaped(32, 4096, 14_336, 128_256, 32, 8, 128),
    numerics: CPU_NUMERICS,
  };
  expect(usualSpans(4096, large, cpu)).toEqual([]); // 2,048 is not a small part of it
  expect(usualSpans(8192, large, cpu)).toEqual(["int8@2048"]);
  expect(usualSpans(32_768, large, cpu)).toEqual(["int8@8192", "int8@2048"]);
  // a sixteenth of the keys and values: at 8,192 tokens they are 1.5 % of what a step reads
  const hardly = { ...large, spec: shaped(32, 4096, 14_336, 128_256, 32, 1, 64) };
  expect(usualSpans(8192, hardly, cpu)).toEqual([]);
  // of so few weights that the shares come to a few tokens
  const tiny = { ...large, spec: shaped(2, 64, 64, 256, 4, 4, 16) };
  expect(usualSpans(4096, tiny, cpu)).toEqual(["int8@256"]);
  // drafts of the target alone read its weights, four times as many bytes
  const alone = { kernels: ["target"] as const, spec: shaped(30, 576, 1536, 49_152, 9, 3, 64), numerics: CPU_NUMERICS };
  expect(usualSpans(16_384, alone, cpu)).toEqual(["target@4096", "target@1024"]);
});
