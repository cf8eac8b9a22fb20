/**
 * Heads that know the text: at each of its positions the tokens that follow are listed at ranks that a test plants. They
 * tell positions by the target's hidden state alone, so a state of another position, or of another text, finds nothing.
 */
import type { Heads } from "../../src/decode/drafters/heads.js";
import type { Engine } from "../../src/runtime/engine.js";
import { targetChoices } from "../../src/schema/choice.js";

export interface PlantedText {
  prompt: readonly number[];
  ids: readonly number[];
  /** [positions][heads] of the tokens behind each token of `ids`; null: not listed */
  ranks: readonly (readonly (number | null)[])[];
}

export interface Planted extends Heads {
  /** rows of every pass */
  readonly passes: number[];
}

interface Shape {
  kind: "medusa" | "hydra";
  heads: number;
  ranks: number;
  /** hydra: a prefix layer that wants the states of the whole text, in order */
  prefix?: boolean;
}

/** @param texts continued by this engine's target, whose passes of one token each say what state belongs to which position */
export function plantedHeads(engine: Engine, texts: readonly PlantedText[], shape: Shape): Planted {
  const { kind, heads, ranks, prefix = false } = shape;
  const { hiddenSize, layers, vocabSize } = engine.spec;
  const choices = targetChoices(layers);
  const at = new Map<number, { text: PlantedText; position: number }>();
  for (const text of texts) {
    [...text.prompt, ...text.ids].forEach((id, position) => {
      const { hidden } = engine.run({ position, input: [id], choices, logitRows: 0 });
      const behind = position - text.prompt.length + 1; // of ids: the token that was chosen there
      if (behind >= 0) at.set(hidden[0], { text, position: behind });
    });
  }
  const passes: number[] = [];
  let told = 0;
  /** what head `depth` lists at a state; ids of no text where it does not know it */
  const list = (state: number, depth: number, path: ArrayLike<number> | null): number[] => {
    const known = at.get(state);
    const next = known?.text.ids[known.position + 1 + depth];
    // wrong guesses: the vocabulary's last tokens, but for the right one
    const wrong = Array.from({ length: ranks + 1 }, (_, i) => vocabSize - 1 - i);
    const guesses = wrong.filter((id) => id !== next).slice(0, ranks);
    if (known === undefined || next === undefined) return guesses;
    const { text, position } = known;
    const isTextsOwn = path === null || Array.from(path).every((id, i) => id === text.ids[position + i]);
    const rank = text.ranks[position]?.[depth] ?? null;
    if (isTextsOwn && rank !== null) guesses[rank] = next;
    return guesses;
  };
  const rowsOf = (hidden: Float32Array) =>
    Array.from({ length: hidden.length / hiddenSize }, (_, row) => hidden[row * hiddenSize]);
  const planted: Planted = {
    ...{ kind, heads, ranks, sha256: "e".repeat(64), passes },
    guess(hidden, depth, path) {
      const rows = rowsOf(hidden);
      passes.push(rows.length);
      const length = depth + 1;
      const own = (row: number) => (kind === "hydra" ? Array.from(path).slice(row * length, (row + 1) * length) : null);
      return Int32Array.from(rows.flatMap((state, row) => list(state, depth, own(row))));
    },
    close() {},
  };
  if (kind === "medusa")
    planted.guessAll = (hidden) => {
      const rows = rowsOf(hidden);
      passes.push(rows.length);
      return Int32Array.from(
        rows.flatMap((state) => Array.from({ length: heads }, (_, depth) => list(state, depth, null)).flat()),
      );
    };
  if (prefix)
    planted.states = (position, hidden) => {
      if (position > told) throw new Error(`states from ${position} on, and ${told} were told`);
      told = position + hidden.length / hiddenSize;
    };
  return planted;
}
