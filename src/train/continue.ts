/** Prompts continued side by side, greedily, with the states at which their tokens were chosen. */
import type { OwnText } from "./examples.js";

/** What runs them: runtime/side-by-side/open.ts. */
interface Texts {
  /** [places] */
  readonly tokens: BigInt64Array;
  /** [places, hiddenSize] where each token was chosen */
  readonly states: Float32Array;
  begin(place: number, prompt: readonly number[]): void;
  /** the next token of every place */
  step(): void;
}

interface Continuing {
  /** of each text at most, its end token counted */
  tokens: number;
  endTokens: readonly number[];
  hiddenSize: number;
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
  texts: Texts,
  prompts: readonly (readonly number[])[],
  { tokens, endTokens, hiddenSize, late, tick }: Continuing,
): Promise<(OwnText | null)[]> {
  const made = prompts.map(() => ({ ids: [] as number[], states: new Float32Array(tokens * hiddenSize) }));
  const goesOn = ({ ids }: { ids: number[] }) => ids.length < tokens && !endTokens.includes(ids[ids.length - 1]);
  const take = (place: number) => {
    const { ids, states } = made[place];
    states.set(texts.states.subarray(place * hiddenSize, (place + 1) * hiddenSize), ids.length * hiddenSize);
    ids.push(Number(texts.tokens[place]));
  };
  for (const [place, prompt] of prompts.entries()) {
    await tick();
    texts.begin(place, prompt);
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
