/** What the calibration knows of drafts, as hazards by position. */
import type { Curve } from "../../decode/adaptive/belief.js";
import type { LookupPrior } from "../../decode/adaptive/lookup-belief.js";
import type { NgramTokens } from "../../schema/drafter.js";
import { type ContextData, knownOf, lookupOf, type PlannedDraft } from "../../solve/index.js";

/** A measured acceptance curve and the tokens behind it. */
export interface Evidence {
  curve: readonly number[];
  tokens: number;
}

/** Standard deviation of ln(hazard) by which a draft does better or worse on some text, were its own hazard known. */
const OWN_SPREAD = 0.2;
/** The same of a lookup behind a match: texts repeat themselves in words, in lines or in pages. */
const LOOKUP_SPREAD = 0.5;
/** What is taken of a lookup that the calibration found no match for: few, and then mostly right. */
const UNKNOWN_LOOKUP = { match: 0.05, rate: 0.7, tokens: 10 } as const;

/** chance of position i, given those before it */
const stepOf = (curve: readonly number[], i: number): number => (curve[i - 1] === 0 ? 0 : curve[i] / curve[i - 1]);

/** Chances of each position averaged by the tokens behind them. */
export function pooled(a: Evidence, b: Evidence): Evidence {
  const tokens = a.tokens + b.tokens;
  const [long, short] = a.curve.length >= b.curve.length ? [a, b] : [b, a];
  const curve = [1];
  for (let i = 1; i < long.curve.length; i++) {
    const c = stepOf(long.curve, i);
    const other = i < short.curve.length ? stepOf(short.curve, i) : null;
    const mean = other === null ? c : (c * long.tokens + other * short.tokens) / tokens;
    curve.push(curve[i - 1] * mean);
  }
  return { curve, tokens };
}

/**
 * Hazards of a curve. A curve of few tokens is noise at every single position, so each is drawn halfway to the pooled
 * one; and a curve without any rejection has seen at most half of one.
 */
export function curveFrom(key: string, { curve, tokens }: Evidence, longest: number, ownSpread = OWN_SPREAD): Curve {
  const accepted = curve.slice(1).reduce((sum, a) => sum + a, 0);
  const tried = curve.slice(0, -1).reduce((sum, a) => sum + a, 0);
  const rejections = tokens * (1 - accepted / tried);
  const hazard = -Math.log1p(-Math.min(0.999, (rejections + 0.5) / (tokens + 1)));
  const hazards = Array.from({ length: longest }, (_, i) => {
    const own = i + 1 < curve.length ? -Math.log(Math.max(0.001, stepOf(curve, i + 1))) : hazard;
    return (own + hazard) / 2;
  });
  return { key, hazards, spread: Math.sqrt(ownSpread ** 2 + 1 / (rejections + 2)) };
}

/** What both parts of a context's text know of a drafter; null: nothing. */
export function evidenceOf(context: ContextData, draft: PlannedDraft): Evidence | null {
  const found = (["choose", "report"] as const).flatMap((part) => {
    const known = knownOf(context, part, draft);
    return known === null || known.tokens === 0 || known.curve.length < 2 ? [] : [known];
  });
  const [first, second] = found;
  if (first === undefined) return null;
  return second === undefined ? first : pooled(first, second);
}

/** A lookup's matches, and how far it is right behind one. */
export function lookupPrior(context: ContextData, ngramTokens: NgramTokens, longest: number): LookupPrior {
  const drafter = lookupOf(ngramTokens);
  const found = (["choose", "report"] as const).flatMap((part) => {
    const known = knownOf(context, part, { drafter, draftTokens: longest });
    return known === null ? [] : [known];
  });
  const positions = found.reduce((sum, { tokens }) => sum + tokens, 0);
  const match = found.reduce((sum, { match = 0, tokens }) => sum + (match * tokens) / positions, 0);
  const behind = found.flatMap(({ curve, match = 0, reached = [] }): Evidence[] => {
    const tokens = reached.reduce((sum, rounds) => sum + rounds, 0);
    // a curve over all rounds: behind a match it is so many times as high
    return match === 0 || tokens === 0 ? [] : [{ curve: curve.map((a, i) => (i === 0 ? 1 : a / match)), tokens }];
  });
  const { rate, tokens, match: unknown } = UNKNOWN_LOOKUP;
  const nothing = { curve: [1, rate], tokens };
  const evidence = behind.length === 2 ? pooled(behind[0], behind[1]) : (behind[0] ?? nothing);
  const key = `lookup from ${ngramTokens.min}`;
  return { curve: curveFrom(key, evidence, longest, LOOKUP_SPREAD), match: found.length === 0 ? unknown : match };
}
