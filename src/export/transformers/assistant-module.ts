/**
 * The Python module of a transformers export: builds the draft from the target that is loaded already, sharing its weights, and
 * counts acceptance, which transformers does not report. In it a layer is one attention and the MLPs behind it, so that every
 * layer has its place in the cache, whichever blocks are left out.
 */
import { blockKind, blockLayer, blockName, type ChoiceSet } from "../../schema/choice.js";
import { ASSISTANT_SOURCE } from "./assistant-source.js";
import { COUNTING_SOURCE } from "./counting-source.js";

export const ASSISTANT_FILE = "draftplan_assistant.py";

/** What the module is told of the plan. */
export interface AssistantFacts {
  targetLayers: number;
  draftTokens: number;
  /** of the model's own blocks; null: another drafts, and the module only counts */
  choices: ChoiceSet | null;
  /** of a lookup */
  ngramTokens: number | null;
  /** another model that drafts */
  assistant: string | null;
}

/** A layer of the draft: an attention of the target's, and the MLPs that run behind it; null: those before any attention. */
interface Group {
  attention: number | null;
  mlps: number[];
}

export function attentionGroups({ blocks }: Pick<ChoiceSet, "blocks">): Group[] {
  const groups: Group[] = [{ attention: null, mlps: [] }];
  blocks.forEach((choice, index) => {
    if (choice === "skip") return;
    const layer = blockLayer(index);
    if (blockKind(index) === "attn") groups.push({ attention: layer, mlps: [] });
    else groups[groups.length - 1].mlps.push(layer);
  });
  return groups;
}

export function assistantModule({ targetLayers, draftTokens, choices, ...others }: AssistantFacts): string {
  const [first, ...layers] = attentionGroups({ blocks: choices?.blocks ?? [] });
  const quantised = Object.fromEntries(
    [...(choices?.blocks ?? []).map((choice, index) => [blockName(index), choice]), ["head", choices?.head]].filter(
      ([, choice]) => choice !== undefined && choice !== "target" && choice !== "skip",
    ),
  );
  const constants = {
    TARGET_LAYERS: targetLayers,
    DRAFT_TOKENS: draftTokens,
    FIRST_MLPS: first.mlps,
    LAYERS: layers.map(({ attention, mlps }) => [attention, mlps]),
    KERNELS: quantised,
    NGRAM_TOKENS: others.ngramTokens,
    ASSISTANT: others.assistant,
  };
  // JSON of numbers, texts, lists and maps is Python as well
  const lines = Object.entries(constants).map(
    ([name, value]) => `${name} = ${JSON.stringify(value) === "null" ? "None" : JSON.stringify(value)}`,
  );
  return `${ASSISTANT_SOURCE.replace("# CONSTANTS", () => lines.join("\n"))}\n\n${COUNTING_SOURCE}`;
}
