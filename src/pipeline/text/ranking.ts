/** The ranking of a model's tokens, of the text that a calibration chooses by, and short heads over it. */
import { rankTokens } from "../../calibrate/ranking.js";
import type { ModelSpec } from "../../model/spec.js";
import type { LoadedModel } from "../../runtime/load.js";
import { addShortHeads } from "../../runtime/short-heads/open.js";
import type { ShortKernel } from "../../schema/choice.js";
import { rankingOf, type TokenRanking } from "../../schema/choices/ranking.js";
import { openTokenizer } from "../../tokenizer/open.js";
import type { Tokenizer } from "../../tokenizer/types.js";
import type { PipelineContext } from "../context.js";
import type { CalibrationText } from "./calibration-text.js";

/** Characters of one text that are counted: some 250,000 tokens, of which the rest would be much the same. */
const MOST_CHARACTERS = 1 << 20;

/** Tokens that no short head may lack: what ends a text, and what begins one. */
const alwaysIn = ({ eosTokenIds, bosTokenId }: ModelSpec): number[] => [
  ...eosTokenIds,
  ...(bosTokenId === null ? [] : [bosTokenId]),
];

const rankText = (
  { choose }: Pick<CalibrationText, "choose">,
  tokenizer: Pick<Tokenizer, "encode">,
  spec: ModelSpec,
): TokenRanking =>
  rankTokens(
    choose.map((text) => tokenizer.encode(text.slice(0, MOST_CHARACTERS))),
    alwaysIn(spec),
  );

/** Short heads over the ranking of this text, opened. @returns the key of the calibration, none where there are no heads */
export async function openRanked(
  model: LoadedModel,
  heads: readonly ShortKernel[],
  text: CalibrationText,
  context: PipelineContext,
): Promise<{ ranking?: TokenRanking }> {
  if (heads.length === 0) return {};
  const ranking = rankText(text, await openTokenizer(model.path), model.spec);
  await openShortHeads(model, heads, () => ranking, context);
  return { ranking };
}

/** What a head costs does not depend on which tokens it has. */
export const anyRanking = (): TokenRanking => rankingOf([0]);

/**
 * Opens these short heads on a loaded model, as it was opened itself.
 * @throws what addShortHeads throws
 */
export const openShortHeads = (
  model: LoadedModel,
  heads: readonly ShortKernel[],
  ranking: () => TokenRanking,
  { provider, threads, ortLibrary, targetPrecision, progress }: PipelineContext,
): Promise<void> =>
  heads.length === 0
    ? Promise.resolve()
    : addShortHeads(model, { heads, ranking: ranking() }, { provider, threads, ortLibrary, targetPrecision }, progress);
