/** Prompts continued side by side, greedily, with the states at which their tokens were chosen. */
import type { SavedRows } from "../cache/saved-rows.js";
import type { SideBySide } from "./texts.js";

/** A text that the target wrote. */
export interface WrittenText {
  /** tokens behind the prompt */
  ids: Int32Array;
  /** [ids, hiddenSize] where each was chosen */
  states: Float32Array;
}

/** A prompt, and where its first tokens stand already. */
export interface SharedPrompt {
  ids: readonly number[];
  /** the first `shared` tokens are those of prompt `of`, an earlier one, whose first tokens are all run; left out: nothing is shared */
  like?: { of: number; shared: number } | undefined;
  /** keys and values of all its tokens, as an engine of the same model has them; left out: they are computed */
  rows?: SavedRows | undefined;
}

interface Continuing {
  /** of each text at most, its end token counted */
  tokens: number;
  endTokens: readonly number[];
  hiddenSize: number;
  /** which states are kept: behind the final norm, or before it */
  kept: "states" | "hidden";
  /** whether to stop with what there is */
  late(): boolean;
  /** awaited before every pass; throws where the work is interrupted */
  tick(): Promise<void>;
}

/**
 * @param prompts at most as many as there are places
 * @returns one for each prompt, null where it gave no two tokens
 */
export async function continueSideBySide(
  texts: Pick<SideBySide, "tokens" | "states" | "hidden" | "hold" | "begin" | "step">,
  prompts: readonly SharedPrompt[],
  { tokens, endTokens, hiddenSize, kept, late, tick }: Continuing,
): Promise<(WrittenText | null)[]> {
  const made = prompts.map(() => ({ ids: [] as number[], states: new Float32Array(tokens * hiddenSize) }));
  const goesOn = ({ ids }: { ids: number[] }) => ids.length < tokens && !endTokens.includes(ids[ids.length - 1]);
  const take = (place: number) => {
    const { ids, states } = made[place];
    states.set(texts[kept].subarray(place * hiddenSize, (place + 1) * hiddenSize), ids.length * hiddenSize);
    ids.push(Number(texts.tokens[place]));
  };
  for (const [place, { ids, like, rows }] of prompts.entries()) {
    await tick();
    if (rows !== undefined) texts.hold(place, rows);
    // the last token is run whatever is held: what follows it is not
    const held = rows && { of: place, shared: Math.min(rows.count, ids.length - 1) };
    const from = held ?? like;
    texts.begin(place, ids, from && { place: from.of, shared: from.shared });
    take(place);
  }
  while (made.some(goesOn) && !late()) {
    await tick();
    texts.step();
    made.forEach((text, place) => {
      if (goesOn(text)) take(place);
    });
  }
  return made.map(({ ids, states }) =>
    ids.length < 2 ? null : { ids: Int32Array.from(ids), states: states.slice(0, ids.length * hiddenSize) },
  );
}
