/** What an engine's drafts must keep to, joined with what the user asks for. */
import { describe, expect, test } from "vitest";
import { ENGINE_NAMES, loadExporter } from "../../../src/export/engines/list.js";
import type { PlannedDraft } from "../../../src/export/exporter.js";
import { requirePreset } from "../../../src/export/unsupported.js";
import { draftSpaceFor } from "../../../src/pipeline/export/preset.js";
import { type Choice, QUANTISED_KERNELS, targetChoices } from "../../../src/schema/choice.js";
import { DRAFTER_KINDS } from "../../../src/solve/index.js";

const nothing = { choices: undefined, drafters: undefined, constraints: {} };

test("without an engine the defaults are all there", async () => {
  expect(await draftSpaceFor(undefined, nothing)).toEqual({ ...nothing, choices: ["skip", "int8"] });
});

describe.each(ENGINE_NAMES)("%s", (name) => {
  test("goes by the name it is listed under, and takes its preset on top of what is asked for", async () => {
    const { preset, ...exporter } = await loadExporter(name);
    expect(exporter.name).toBe(name);
    const space = await draftSpaceFor(name, { ...nothing, constraints: { keep: ["1"], maxSkip: 4 } });
    expect(space.constraints).toEqual({
      keep: ["1"],
      maxSkip: 4,
      ...(preset.whole_layers && { wholeLayers: true }),
      ...(preset.keep_first_attention && { keepFirstAttention: true }),
    });
    expect(space.modelKernels).toEqual(["target", ...preset.kernels]);
    for (const choice of space.choices) expect(["skip", ...preset.kernels]).toContain(choice);
    for (const kind of space.drafters ?? []) expect(preset.drafters).toContain(kind);
  });

  test("refuses a kernel and a drafter that it does not have, and takes those it has", async () => {
    const { preset } = await loadExporter(name);
    for (const kernel of QUANTISED_KERNELS) {
      const asked = draftSpaceFor(name, { ...nothing, choices: ["skip", kernel] });
      if (preset.kernels.includes(kernel)) expect((await asked).choices).toEqual(["skip", kernel]);
      else await expect(asked).rejects.toMatchObject({ code: "OPTION_INVALID", what: expect.stringContaining(kernel) });
    }
    for (const kind of DRAFTER_KINDS) {
      const asked = draftSpaceFor(name, { ...nothing, drafters: [kind] });
      if (preset.drafters.includes(kind)) expect((await asked).drafters).toEqual([kind]);
      else await expect(asked).rejects.toMatchObject({ code: "OPTION_INVALID", what: expect.stringContaining(kind) });
    }
  });
});

test("an engine that does not exist is refused", async () => {
  await expect(draftSpaceFor("telepathy", nothing)).rejects.toMatchObject({
    code: "OPTION_INVALID",
    at: "--for telepathy",
  });
});

describe("a draft is refused by segment and block", () => {
  const strict = {
    name: "strict",
    preset: {
      drafters: ["self" as const],
      kernels: [],
      whole_layers: true as const,
      keep_first_attention: true as const,
    },
  };
  const drafted = (blocks: Record<number, Choice>, head: "target" | "int8" = "target"): PlannedDraft => ({
    at: "plan.yaml: segments[1]",
    index: 1,
    segment: { context_tokens: { from: 0, to: 9 }, speculate: true },
    drafter: { kind: "self" },
    choices: { blocks: targetChoices(4).blocks.map((choice, i) => blocks[i] ?? choice), head },
    draftTokens: 2,
    draftTokensByBatch: undefined,
  });
  const refusal = (draft: PlannedDraft) => {
    try {
      requirePreset(strict, draft);
    } catch (error) {
      return error;
    }
    return null;
  };

  test.each<[string, PlannedDraft, RegExp]>([
    ["a quantised block", drafted({ 3: "int8", 4: "int8" }), /1\.mlp is int8 \(and 1 more\)/],
    ["a quantised head", drafted({}, "int8"), /head is int8/],
    ["an attention without its MLP", drafted({ 4: "skip" }), /2\.attn is skipped and 2\.mlp is not/],
    ["an MLP without its attention", drafted({ 5: "skip" }), /2\.mlp is skipped and 2\.attn is not/],
    ["the first attention", drafted({ 0: "skip", 1: "skip" }), /0\.attn/],
    [
      "heads",
      { ...drafted({}), choices: null, drafter: { kind: "lookup", ngram_tokens: { min: 1, max: 2 } } },
      /lookup/,
    ],
  ])("%s", (_name, draft, what) => {
    expect(refusal(draft)).toMatchObject({
      code: "EXPORT_UNSUPPORTED",
      at: expect.stringContaining("plan.yaml: segments[1]."),
      what: expect.stringMatching(what),
      remedy: expect.stringContaining("--for strict"),
    });
  });

  test("and whole layers of the target's own kernels pass", () => {
    expect(refusal(drafted({ 2: "skip", 3: "skip", 6: "skip", 7: "skip" }))).toBeNull();
  });
});
