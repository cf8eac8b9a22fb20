/** What the Python module is told of a draft; what it does is tried with transformers (test/acceptance). */
import { expect, test } from "vitest";
import { assistantModule, attentionGroups } from "../../src/export/transformers/assistant-module.js";
import { blockIndex, type Choice, targetChoices } from "../../src/schema/choice.js";

const LAYERS = 4;

test("groups, run one behind the other, are the blocks that stay, in order; each but the first begins with an attention", () => {
  for (let bits = 0; bits < 2 ** (2 * LAYERS); bits++) {
    const blocks = Array.from({ length: 2 * LAYERS }, (_, i): Choice => ((bits >> i) & 1 ? "skip" : "target"));
    const groups = attentionGroups({ blocks });
    const order = groups.flatMap(({ attention, mlps }) => [
      ...(attention === null ? [] : [blockIndex(attention, "attn")]),
      ...mlps.map((layer) => blockIndex(layer, "mlp")),
    ]);
    expect(order).toEqual(blocks.flatMap((choice, i) => (choice === "skip" ? [] : [i])));
    expect(groups.map(({ attention }) => attention === null)).toEqual(groups.map((_, i) => i === 0));
  }
});

test("constants are Python, and nothing of a name is taken for code", () => {
  const { blocks } = targetChoices(3);
  const choices = {
    head: "int8" as const,
    blocks: blocks.map((choice, i): Choice => (i === 1 ? "skip" : i === 4 ? "int8" : choice)),
  };
  const facts = { targetLayers: 3, draftTokens: 5, choices, ngramTokens: null, assistant: "a\"\n$& 'b" };
  const lines = assistantModule(facts).split("\n");
  const value = (name: string) => lines.find((line) => line.startsWith(`${name} = `))?.slice(name.length + 3);
  expect(value("DRAFT_TOKENS")).toBe("5");
  expect(value("FIRST_MLPS")).toBe("[]");
  expect(value("LAYERS")).toBe("[[0,[]],[1,[1]],[2,[2]]]");
  expect(value("KERNELS")).toBe('{"2.attn":"int8","head":"int8"}');
  expect(value("NGRAM_TOKENS")).toBe("None");
  expect(value("ASSISTANT")).toBe(String.raw`"a\"\n$& 'b"`);
});
