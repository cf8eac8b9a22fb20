/**
 * Which tokens of a vocabulary a short head is over: those that were counted in a text, the commonest first, and behind them
 * all others by their number. Tokenizers number tokens in the order in which they were merged, which is nearly how common
 * they were in a far longer text: it goes on where a short text has nothing to say.
 *
 * A document holds the counted ones, about a byte and a half each: a plan is then complete in itself.
 */
import { z } from "zod";

/** No vocabulary is larger. */
const MOST_TOKENS = 1 << 22;
const MOST_LISTED = 1 << 18;

/** Each number as 7 bits a byte, the lowest first, the highest bit set where more follow: LEB128. */
function* bytesOf(ids: readonly number[]): Generator<number> {
  let before = -1;
  for (const id of ids) {
    const step = id - before - 1; // of rising neighbours 0
    before = id;
    for (let rest = step >= 0 ? 2 * step : -2 * step - 1; ; rest >>>= 7) {
      if (rest < 128) {
        yield rest;
        break;
      }
      yield (rest & 127) | 128;
    }
  }
}

/** @returns null where the text is nothing that `bytesOf` makes */
function idsOf(text: string): number[] | null {
  const bytes = Buffer.from(text, "base64");
  if (bytes.toString("base64") !== text) return null;
  const ids: number[] = [];
  let [id, number, shift] = [-1, 0, 0];
  for (const byte of bytes) {
    number += (byte & 127) * 2 ** shift;
    shift += 7;
    if (byte >= 128) {
      if (shift > 28) return null;
      continue;
    }
    id += 1 + (number % 2 === 0 ? number / 2 : -(number + 1) / 2);
    ids.push(id);
    [number, shift] = [0, 0];
  }
  return shift === 0 ? ids : null;
}

export const TokenRanking = z
  .strictObject({
    listed: z.int().min(1).max(MOST_LISTED).describe("tokens that stand in `first`; the others follow by their number"),
    first: z
      .string()
      .max(8 * MOST_LISTED)
      .describe("their numbers, the commonest first: base64 of LEB128 of zigzag differences, each less 1, from -1"),
    counted_tokens: z.int().positive().optional().describe("tokens of text that were counted"),
  })
  .superRefine(({ listed, first }, context) => {
    const issue = (message: string, key: string) => context.addIssue({ code: "custom", message, path: [key] });
    const ids = idsOf(first);
    if (ids === null) issue("not base64 of numbers as a ranking has them", "first");
    else if (ids.length !== listed) issue(`${listed}, and first has ${ids.length}`, "listed");
    else if (ids.some((id) => id < 0 || id >= MOST_TOKENS)) issue("a number that is no token's", "first");
    else if (new Set(ids).size < ids.length) issue("a token stands twice", "first");
  });
export type TokenRanking = z.infer<typeof TokenRanking>;

/** @param ids each once, the commonest first */
export const rankingOf = (ids: readonly number[], countedTokens?: number): TokenRanking => ({
  listed: ids.length,
  first: Buffer.from(Uint8Array.from(bytesOf(ids))).toString("base64"),
  ...(countedTokens === undefined ? {} : { counted_tokens: countedTokens }),
});

/**
 * The first tokens of a ranking.
 * @returns [count] ids, or all that the vocabulary has; ids beyond it are none of this model's: RangeError
 */
export function firstTokens({ first }: TokenRanking, count: number, vocabSize: number): Int32Array {
  const listed = idsOf(first) ?? [];
  const beyond = listed.find((id) => id >= vocabSize);
  if (beyond !== undefined) throw new RangeError(`token ${beyond} is not in a vocabulary of ${vocabSize}`);
  const chosen = new Int32Array(Math.min(count, vocabSize));
  const known = new Set(listed);
  chosen.set(listed.slice(0, chosen.length));
  for (let at = listed.length, id = 0; at < chosen.length; id++) if (!known.has(id)) chosen[at++] = id;
  return chosen;
}
