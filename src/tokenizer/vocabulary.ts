/** A tokenizer's tokens by their ids, and whether two models mean the same by them. */
import { DraftplanError } from "../core/errors.js";
import type { TokenizerDefinition } from "./definition.js";
import { readDefinition } from "./open.js";

export interface Vocabulary {
  /** text of every token, as the tokenizer's file spells it */
  tokens: ReadonlyMap<number, string>;
  /** ids of tokens that were added to the vocabulary proper: marks of a chat, or reserved */
  added: ReadonlySet<number>;
}

/** @returns null where the model has no tokenizer; what else is wrong with one throws as openTokenizer does */
export async function readVocabulary(modelPath: string): Promise<Vocabulary | null> {
  try {
    return vocabularyOf(await readDefinition(modelPath));
  } catch (error) {
    if (error instanceof DraftplanError && error.code === "TOKENIZER_MISSING") return null;
    throw error;
  }
}

function vocabularyOf({ json }: TokenizerDefinition): Vocabulary {
  const tokens = new Map(Object.entries(json.model.vocab).map(([token, id]) => [id, token]));
  for (const { id, content } of json.added_tokens) if (content !== "") tokens.set(id, content);
  return { tokens, added: new Set(json.added_tokens.map(({ id }) => id)) };
}

/** Rows of the embedding that no text leads to, as GGUF files name them. */
const PADDING = /^\[PAD\d+\]$/;

/**
 * The first token that two vocabularies do not share: an id that means something else, or one of the vocabulary proper that
 * the other lacks. Tokens that were added to one alone are let be: such a token is not drafted well, and nothing else.
 * @returns null where every text has the same ids in both
 */
export function differingToken(
  target: Vocabulary,
  draft: Vocabulary,
): { id: number; target: string | null; draft: string | null } | null {
  const ids = [...new Set([...target.tokens.keys(), ...draft.tokens.keys()])].sort((a, b) => a - b);
  const [ours, theirs] = [spelled(target), spelled(draft)];
  for (const id of ids) {
    const [a, b] = [ours(id), theirs(id)];
    const lacks = a === null || b === null;
    if (lacks ? !(target.added.has(id) || draft.added.has(id) || a === b) : a !== b) return { id, target: a, draft: b };
  }
  return null;
}

const spelled =
  ({ tokens }: Vocabulary) =>
  (id: number): string | null => {
    const token = tokens.get(id);
    return token === undefined || PADDING.test(token) ? null : token;
  };
