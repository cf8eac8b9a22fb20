/** The form in which an attention stays without its MLP: what its configuration says, and when it is refused. */
import { describe, expect, test } from "vitest";
import { DECI_CODE, deciConfig, needsDeci } from "../../src/export/checkpoint/deci.js";
import { packedLayers } from "../../src/export/checkpoint/layers.js";
import type { PlannedDraft } from "../../src/export/exporter.js";
import type { ExportModel } from "../../src/export/model.js";
import type { ModelSpec } from "../../src/model/spec.js";
import { targetChoices } from "../../src/schema/choice.js";
import { tinySpec } from "../support/tiny-checkpoint.js";

const LAYERS = 4;
const modelOf = (spec: Partial<ModelSpec> = {}) =>
  ({ spec: { ...tinySpec({ layers: LAYERS, hidden: 64, intermediate: 256 }), ...spec } }) as ExportModel;
const draftOf = (...skip: number[]): PlannedDraft => ({
  at: "plan.yaml: segments[0]",
  index: 0,
  segment: { context_tokens: { from: 0, to: 9 }, speculate: true },
  drafter: { kind: "self" },
  choices: {
    head: "target",
    blocks: targetChoices(LAYERS).blocks.map((choice, block) => (skip.includes(block) ? "skip" : choice)),
  },
  draftTokens: 2,
  draftTokensByBatch: undefined,
});

/** vLLM's and SGLang's `_ffn_mult_to_intermediate_size`, as FACTS of their sources: int(2 · m · H / 3) up to a multiple of 256. */
const sizeOf = (ffnMult: number, hidden: number) => Math.ceil(Math.trunc((2 * ffnMult * hidden) / 3) / 256) * 256;

test("ffn_mult is read back as the MLP's size, for every hidden size", () => {
  for (let hidden = 64; hidden <= 8192; hidden += 64)
    for (const intermediateSize of [256, 1536, 2816, 5632, 8192, 14336, 28672]) {
      const config = deciConfig(modelOf({ hiddenSize: hidden, intermediateSize }), [{ attn: 0, mlp: 0 }]);
      const [{ ffn }] = config.block_configs as { ffn: { ffn_mult: number } }[];
      expect(sizeOf(ffn.ffn_mult, hidden)).toBe(intermediateSize);
    }
});

test("a block that is not there is a no-op, and no other is", () => {
  const layers = packedLayers(draftOf(3, 4, 5, 6).choices ?? { blocks: [] }); // 1.mlp, all of 2, 3.attn
  expect(layers).toEqual([
    { attn: 0, mlp: 0 },
    { attn: 1, mlp: 3 },
  ]);
  const half = packedLayers(draftOf(3, 6).choices ?? { blocks: [] });
  const config = deciConfig(modelOf(), half);
  const blocks = config.block_configs as { attention: { no_op: boolean }; ffn: { no_op: boolean } }[];
  expect(blocks.map(({ attention, ffn }) => [attention.no_op, ffn.no_op])).toEqual(
    half.map(({ attn, mlp }) => [attn === null, mlp === null]),
  );
  expect(half.some(({ mlp }) => mlp === null)).toBe(true);
  expect(DECI_CODE.text).toContain("class DeciLMConfig");
});

describe("is asked for where a block stays alone", () => {
  test("and not where whole layers are left", () => {
    expect(needsDeci("vllm", draftOf(2, 3), modelOf(), false)).toBe(false);
    expect(needsDeci("vllm", draftOf(3, 4), modelOf(), false)).toBe(false); // 1.attn with 2.mlp
    expect(needsDeci("vllm", draftOf(3), modelOf(), false)).toBe(true);
    expect(needsDeci("vllm", draftOf(4), modelOf(), true)).toBe(true);
  });

  test.each<[string, PlannedDraft, Partial<ModelSpec>, boolean, RegExp]>([
    ["norms of heads", draftOf(3), { qkNorm: true }, false, /1\.attn without an MLP.*norms/],
    ["a window", draftOf(4), { slidingWindow: 8 }, false, /2\.mlp stays without an attention.*window/],
    ["an MLP first", draftOf(0), {}, false, /0\.attn is skipped/],
    ["a size that ffn_mult cannot say", draftOf(3), { intermediateSize: 160 }, true, /160/],
  ])("refused: %s", (_name, draft, spec, needsFfnMult, what) => {
    let error: unknown;
    try {
      needsDeci("sglang", draft, modelOf(spec), needsFfnMult);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: "EXPORT_UNSUPPORTED", what: expect.stringMatching(what) });
  });
});
