/**
 * A provider other than the CPU, on the machine that has it:
 *
 *     DRAFTPLAN_TEST_PROVIDER=cuda DRAFTPLAN_TEST_ORT_LIBRARY=/path/libonnxruntime.so \
 *       npx vitest run --project acceptance test/acceptance/provider.acceptance.test.ts
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { decode } from "../../src/decode/loop.js";
import { DEFAULTS, profileModel } from "../../src/profile/profile.js";
import { systemClock } from "../../src/runtime/device.js";
import { argmax, type Engine } from "../../src/runtime/engine.js";
import { loadModel } from "../../src/runtime/load.js";
import { localProbes } from "../../src/runtime/probe.js";
import { KERNEL_NAMES, targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { TIE_MARGINS } from "../../src/schema/verification.js";

const provider = process.env.DRAFTPLAN_TEST_PROVIDER;
const ortLibrary = process.env.DRAFTPLAN_TEST_ORT_LIBRARY;
const PROMPT = [0, 2819, 506, 268];
const TOKENS = 96;
const why = provider === undefined ? " (skipped: set DRAFTPLAN_TEST_PROVIDER)" : "";

describe.skipIf(provider === undefined)(`the provider ${provider ?? "of the environment"}${why}`, () => {
  let engine: Engine;
  let cpu: Engine;
  let margin: number;
  beforeAll(async () => {
    const open = async (name: string) =>
      (await loadModel("embedded", { provider: name, threads: 4, capacity: 1024, kernels: KERNEL_NAMES, ortLibrary }))
        .engine; // refuses a provider that lacks an operator
    engine = await open(provider as string);
    cpu = await open("cpu");
    margin = TIE_MARGINS[engine.numerics.targetPrecision];
  });
  afterAll(() => {
    engine?.close();
    cpu?.close();
  });

  /** Logits of single passes of the target over given ids, after the prompt. */
  const singles = (of: Engine, ids: readonly number[]): Float32Array[] =>
    [...PROMPT, ...ids]
      .map((id, position) =>
        of.run({ position, input: [id], choices: targetChoices(of.spec.layers), logitRows: 1 }).logits.slice(),
      )
      .slice(PROMPT.length - 1);

  const plain = (of: Engine) =>
    decode(of, PROMPT, { maxTokens: TOKENS, endTokens: [], policy: null, clock: systemClock });

  const belowMaximum = (row: Float32Array, token: number): number => row[argmax(row, 0, row.length)] - row[token];

  test("a tiny model computes what it does on the CPU", async () => {
    expect(await localProbes(ortLibrary).provider(provider as string)).toMatchObject({ ok: true });
  });

  test("greedy tokens are the CPU's, up to ties", async () => {
    const { ids } = await plain(cpu);
    const expected = singles(cpu, ids);
    singles(engine, ids).forEach((row, i) => {
      expect(belowMaximum(expected[i], argmax(row, 0, row.length)), `token ${i}`).toBeLessThanOrEqual(margin);
    });
  });

  test("a pass of several tokens gives what passes of one give", async () => {
    const { ids } = await plain(engine);
    const expected = singles(engine, ids);
    for (const q of [2, 5, 8, 16]) {
      for (let at = 0; at + q <= ids.length; at += q) {
        const input = ids.slice(at, at + q);
        const position = PROMPT.length + at;
        const { logits } = engine.run({ position, input, choices: targetChoices(engine.spec.layers), logitRows: q });
        for (let i = 0; i < q; i++) {
          const row = logits.subarray(i * engine.spec.vocabSize, (i + 1) * engine.spec.vocabSize);
          const worst = row.reduce((most, value, k) => Math.max(most, Math.abs(value - expected[at + i + 1][k])), 0);
          expect(worst, `q ${q}, token ${at + i}`).toBeLessThanOrEqual(margin);
        }
      }
    }
  });

  test.each(KERNEL_NAMES)("drafts in %s leave plain decoding's tokens, up to ties", async (kernel) => {
    const draft = { choices: uniformChoices(engine.spec.layers, kernel), draftTokens: 5 };
    const { ids, rounds } = await decode(engine, PROMPT, {
      ...{ maxTokens: TOKENS, endTokens: [], clock: systemClock },
      policy: () => draft,
    });
    expect(rounds.reduce((sum, { accepted }) => sum + accepted, 0)).toBeGreaterThan(0);
    const judged = singles(engine, ids);
    ids.forEach((id, i) => {
      expect(belowMaximum(judged[i], id), `token ${i}`).toBeLessThanOrEqual(margin);
    });
  });

  test("a pass that skips every block leaves the cache, and its hidden states are the embedding's", () => {
    const { layers } = engine.spec;
    engine.run({ position: 0, input: PROMPT, choices: targetChoices(layers), logitRows: 0 });
    const read = () => [engine.readCache(layers - 1, "key", 0, 4), engine.readCache(0, "value", 0, 4)];
    const before = read();
    expect(before[0].some((value) => value !== 0)).toBe(true);
    engine.run({ position: 0, input: PROMPT, choices: uniformChoices(layers, "skip"), logitRows: 1 });
    expect(read()).toEqual(before);
  });

  test("a profile of ten seconds has positive, finite costs", async () => {
    const measured = await profileModel({
      ...{ engine, clock: systemClock, contexts: [64, 512], queries: [1, 5], queryLine: [1, 5] },
      ...{ progress: silentProgress, seed: DEFAULTS.seed, budgetSeconds: 10 },
    });
    for (const { head_us, attn_us, mlp_us } of measured.points) {
      const costs = [head_us, attn_us, mlp_us].flatMap((part) => Object.values(part).flat());
      expect(costs.every((us) => Number.isFinite(us) && us >= 0)).toBe(true);
      expect(costs.some((us) => us > 0)).toBe(true);
    }
  });
});
