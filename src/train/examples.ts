/** What heads are trained on: at each position of a continuation the target's state there, and its own tokens behind it. */
import type { HeadsShape } from "../model/heads/parameters.js";

/** Text that the target wrote itself. */
export interface OwnText {
  /** [n] its tokens */
  ids: Int32Array;
  /** [n, hiddenSize] row i: the state behind the final norm where ids[i] was chosen */
  states: Float32Array;
}

/**
 * Positions of a text that every head has a token to guess at. Where ids[i] was chosen it is the pending token, and head k
 * guesses ids[i + 1 + k].
 */
export const positionsOf = ({ ids }: OwnText, heads: number): number => Math.max(0, ids.length - heads);

export interface Position {
  text: number;
  index: number;
}

export function allPositions(texts: readonly OwnText[], heads: number): Position[] {
  return texts.flatMap((text, number) =>
    Array.from({ length: positionsOf(text, heads) }, (_, index) => ({ text: number, index })),
  );
}

/** Where a step's examples are put. */
export interface Batch {
  /** [rows, width] */
  inputs: Float32Array;
  /** [rows, heads] */
  targets: BigInt64Array;
}

/**
 * @param embedding [vocabSize, hiddenSize]: Hydra's heads are told the pending token and those before the one they guess
 * @param positions as many as the batch has rows
 */
export function fillBatch(
  batch: Batch,
  { kind, heads, hiddenSize }: HeadsShape,
  texts: readonly OwnText[],
  positions: readonly Position[],
  embedding: Float32Array,
): void {
  const width = batch.inputs.length / positions.length;
  positions.forEach(({ text, index }, row) => {
    const { ids, states } = texts[text];
    const to = row * width;
    batch.inputs.set(states.subarray(index * hiddenSize, (index + 1) * hiddenSize), to);
    for (let head = 0; head < heads; head++) {
      batch.targets[row * heads + head] = BigInt(ids[index + 1 + head]);
      if (kind === "medusa") continue;
      const told = ids[index + head];
      batch.inputs.set(embedding.subarray(told * hiddenSize, (told + 1) * hiddenSize), to + (head + 1) * hiddenSize);
    }
  });
}
