/**
 * What lookups, other models, and a lookup beside another drafter reach along a calibrated text. Rounds are walked along it
 * (stats/text-rounds.ts); of another model it is known what it would accept at each place, of blocks and heads their own
 * curve, and that is taken to be the same where the lookup finds nothing.
 */
import type { Kernel } from "../../schema/choice.js";
import type { Branches } from "../../schema/drafter.js";
import type { LookupContext, ModelContext } from "../../schema/text-calibration.js";
import { acceptedLengthError } from "../../stats/length-error.js";
import { acceptingBy, certainly, curveOf, type RoundAt, type TextRounds, textRounds } from "../../stats/text-rounds.js";
import { type LookupLengths, TreeCounts, treeAt } from "./branches.js";
import type { HybridDrafter, LookupDrafter, ModelDrafter } from "./drafters.js";
import type { Known } from "./known.js";

/** One part of a context's text. */
export interface GuessedText {
  lookup: LookupContext | null;
  /** by weights and kernel */
  models: ReadonlyMap<string, ModelContext>;
}

export const modelKey = (weightsSha256: string, kernel: Kernel): string => `${weightsSha256} ${kernel}`;

export function knownLookup(
  { lookup }: GuessedText,
  { ngramTokens, branches }: LookupDrafter,
  draftTokens: number,
): Known | null {
  if (!isLookedAt(lookup, branches)) return null;
  const looking = { min: ngramTokens.min, draftTokens, branches };
  const trees = new TreeCounts();
  const rounds = textRounds(lengthsOf(lookup.matched), (text, position, weight) =>
    matches(lookup, ngramTokens.min, text, position)
      ? lookedUp(lookup, looking, { text, position, weight }, trees)
      : { byLookup: false, drafted: 0, accepting: [1] },
  );
  const known = mixed(rounds, { lookupTokens: draftTokens, otherCurve: [1] }, lookup.positions);
  return { ...known, trees: trees.shares(), lengthError: lengthErrorOf(rounds, lookup.kinds) };
}

/** By how texts differ. @param kinds [texts] of what kind each is; undefined: nobody says */
const lengthErrorOf = ({ byText }: TextRounds, kinds: readonly number[] | undefined): number | undefined =>
  acceptedLengthError(byText.map((count, i) => ({ ...count, kind: kinds?.[i] }))) ?? undefined;

/** Whether the calibration has looked at the places that such a lookup goes on from. */
const isLookedAt = (lookup: LookupContext | null, branches: Branches | undefined): lookup is LookupContext =>
  lookup !== null && (branches === undefined || lookup.branches !== undefined);

export function knownModel({ models }: GuessedText, { weightsSha256, kernel }: ModelDrafter, d: number): Known | null {
  const text = models.get(modelKey(weightsSha256, kernel));
  if (text === undefined) return null;
  const rounds = textRounds(lengthsOf(text.hits), (index, position) => hitsAt(text, d, index, position));
  const { other } = rounds;
  return {
    lengthError: lengthErrorOf(rounds, text.kinds),
    ...{ curve: curveOf(other, d), tokens: text.positions, reached: other.reached.slice(0, d).map(Math.floor) },
    confidence: text.confidence,
  };
}

/** @param otherwise the other drafter's own curve on this text, to its length or beyond; unused where it is another model */
export function knownHybrid(guessed: GuessedText, hybrid: HybridDrafter, otherwise: Known): Known | null {
  const { lookup, models } = guessed;
  const { minMatch, lookupTokens, branches, otherwise: other, otherwiseTokens: d } = hybrid;
  if (!isLookedAt(lookup, branches)) return null;
  const text = other.kind === "model" ? models.get(modelKey(other.weightsSha256, other.kernel)) : undefined;
  const isAligned =
    text !== undefined &&
    text.hits.length === lookup.matched.length &&
    text.hits.every((hits, i) => hits.length === lookup.matched[i].length);
  const curve = otherwise.curve.slice(0, d + 1);
  // what is looked up goes on from any match, once one is long enough
  const looking = { min: hybrid.ngramTokens.min, draftTokens: lookupTokens, branches };
  const trees = new TreeCounts();
  const rounds = textRounds(lengthsOf(lookup.matched), (index, position, weight) => {
    if (matches(lookup, minMatch, index, position))
      return lookedUp(lookup, looking, { text: index, position, weight }, trees);
    if (isAligned) return hitsAt(text, d, index, position);
    const left = lookup.matched[index].length - position;
    return { byLookup: false, drafted: d, accepting: acceptingBy(curve, left) };
  });
  const otherCurve = isAligned ? curveOf(rounds.other, d) : curve;
  const known = mixed(rounds, { lookupTokens, otherCurve }, lookup.positions);
  // a hybrid's drafter has to be as well known as it would be alone; where its curve is its own, so is that curve's error
  const places = lengthErrorOf(rounds, lookup.kinds);
  const own = isAligned ? 0 : otherwise.lengthError;
  const lengthError =
    places === undefined || own === undefined ? undefined : Math.hypot(places, (1 - (known.match ?? 0)) * own);
  return { ...known, tokens: Math.min(known.tokens, otherwise.tokens), trees: trees.shares(), lengthError };
}

const lengthsOf = (texts: readonly (readonly unknown[])[]): number[] => texts.map(({ length }) => length);

const matches = ({ matched }: LookupContext, min: number, text: number, position: number): boolean =>
  matched[text][position] >= min;

/** @param weight expected rounds that begin there: counted in `trees` by what they verify */
function lookedUp(
  lookup: LookupContext,
  looking: LookupLengths,
  { text, position, weight }: { text: number; position: number; weight: number },
  trees: TreeCounts,
): RoundAt {
  const { accepted, ...shape } = treeAt(lookup, looking, text, position);
  if (looking.branches !== undefined) trees.add(shape, weight);
  return { byLookup: true, drafted: looking.draftTokens, accepting: certainly(accepted) };
}

function hitsAt({ hits }: ModelContext, d: number, text: number, position: number): RoundAt {
  let accepted = 0;
  while (accepted < d && hits[text][position + accepted] === 1) accepted++;
  return { byLookup: false, drafted: d, accepting: certainly(accepted) };
}

/** Shares of all rounds: those of a lookup that finds nothing are plain steps. */
function mixed(
  { lookup, other }: TextRounds,
  { lookupTokens, otherCurve }: { lookupTokens: number; otherCurve: readonly number[] },
  positions: number,
): Known {
  const all = lookup.rounds + other.rounds;
  const match = all === 0 ? 0 : lookup.rounds / all;
  const looked = curveOf(lookup, lookupTokens);
  const longest = Math.max(looked.length, otherCurve.length);
  const curve = Array.from({ length: longest }, (_, i) =>
    i === 0 ? 1 : match * (looked[i] ?? 0) + (1 - match) * (otherCurve[i] ?? 0),
  );
  const tried = (of: readonly number[]) => of.slice(0, -1).reduce((sum, a) => sum + a, 0);
  const accepted = curve.reduce((sum, a) => sum + a, 0) - 1;
  const drafted = match * tried(looked) + (1 - match) * tried(otherCurve);
  return {
    ...{ curve, tokens: positions, match, acceptance: drafted === 0 ? 0 : accepted / drafted },
    reached: Array.from({ length: lookupTokens }, (_, i) => Math.floor(lookup.reached[i] ?? 0)),
  };
}
