/**
 * From a profile of a slice of layers to one of the whole model. Pure: what was measured, and how large the model is.
 *
 * All layers have the same shapes, so the mean over the slice's layers stands for every layer; the head's cost grows with
 * the rows of the vocabulary. The fixed part stays as it is: what passing by the further blocks costs (some µs each) is
 * left out.
 *
 * Scaling magnifies a wrong split. A slice of 2 of 32 layers whose fixed part is taken for 20 ms too long makes the whole
 * 300 ms too short, and at q > 1 single parts are known badly (few passes, only the target's). Two things guard against
 * that. The fixed part is that of q = 1, where passes of nothing else fix it. And the slice has about the same share of the
 * head's rows as of the layers (model/synthetic/slice.ts), so that what is taken from the one and given to the other grows
 * by the same factor.
 */

import { mean } from "simple-statistics";
import { BLOCK_KINDS, type BlockKind, type HeadKernel, isShort } from "../schema/choice.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";
import { hundredths, sum } from "../stats/numbers.js";

/** How much of the model was measured, and how much it has. */
export type Scaled = NonNullable<Profile["scaled"]>;

/** @param profile of the slice alone: `scaled.layers_measured` layers */
export function scaleProfile(profile: Profile, scaled: Scaled): Profile {
  const points = profile.points.map((point) => {
    const step = profile.points.find((p) => p.context_tokens === point.context_tokens && p.query_tokens === 1);
    return scalePoint(withFixedPart(point, step?.fixed_us ?? point.fixed_us), scaled);
  });
  const { query_line: line, layer_error: _, ...unscaled } = profile; // every layer is the mean: none is known by itself
  return {
    ...unscaled,
    model: { ...profile.model, layers: scaled.layers },
    points,
    ...(line === undefined ? {} : { query_line: scaleLine(line, profile.points, points) }),
    scaled,
  };
}

const mapValues = <T, U>(values: Partial<Record<string, T>>, to: (value: T) => U): Partial<Record<string, U>> =>
  Object.fromEntries(Object.entries(values).map(([key, value]) => [key, to(value as T)]));

/** [L] µs of the target */
const target = (point: ProfilePoint, kind: BlockKind): number[] => point[`${kind}_us`].target ?? [];

/** the target's blocks and head */
const movableUs = (point: ProfilePoint): number =>
  (point.head_us.target ?? 0) + sum(BLOCK_KINDS.map((kind) => sum(target(point, kind))));

/** The same point with another fixed part; head and blocks of the target give or take the difference, each in its share. */
function withFixedPart(point: ProfilePoint, fixedUs: number): ProfilePoint {
  const movable = movableUs(point);
  if (movable === 0) return point;
  const factor = Math.max(0, movable + point.fixed_us - fixedUs) / movable;
  const times = (us: number) => us * factor;
  return {
    ...point,
    fixed_us: fixedUs,
    head_us: { ...point.head_us, target: times(point.head_us.target ?? 0) },
    attn_us: { ...point.attn_us, target: target(point, "attn").map(times) },
    mlp_us: { ...point.mlp_us, target: target(point, "mlp").map(times) },
  };
}

function scalePoint(point: ProfilePoint, scaled: Scaled): ProfilePoint {
  const rows = scaled.vocabulary / scaled.vocabulary_measured;
  const spread = (layers: number[]) => new Array<number>(scaled.layers).fill(hundredths(mean(layers)));
  const large: ProfilePoint = {
    ...point,
    // a short head has as many rows as it says
    head_us: Object.fromEntries(
      Object.entries(point.head_us).map(([head, us = 0]) => [
        head,
        isShort(head as HeadKernel) ? us : hundredths(us * rows),
      ]),
    ),
    attn_us: mapValues(point.attn_us, spread),
    mlp_us: mapValues(point.mlp_us, spread),
  };
  const [before, after] = [point, large].map((p) => p.fixed_us + movableUs(p));
  const growth = before > 0 ? after / before : null;
  return {
    ...large,
    whole_target_us: growth === null ? after : hundredths(point.whole_target_us * growth),
    // of blocks they stay: one block of the slice is one of the model
    ...(point.raw === undefined || growth === null
      ? {}
      : { raw: { ...point.raw, whole_target: point.raw.whole_target.map((us) => hundredths(us * growth)) } }),
  };
}

type QueryLine = NonNullable<Profile["query_line"]>;

/**
 * The line is the whole target's time over every q. It grows as whole passes at its context do; between the grid's q that
 * growth is taken along a straight line, since it hardly changes.
 */
function scaleLine(line: QueryLine, before: readonly ProfilePoint[], after: readonly ProfilePoint[]): QueryLine {
  const growth = before.flatMap((point, i) =>
    point.context_tokens === line.context_tokens
      ? [{ q: point.query_tokens, factor: after[i].whole_target_us / point.whole_target_us }]
      : [],
  );
  growth.sort((a, b) => a.q - b.q);
  const factorAt = (q: number): number => {
    const high = growth.findIndex((point) => point.q >= q);
    if (high <= 0) return growth[high === 0 ? 0 : growth.length - 1].factor;
    const [a, b] = [growth[high - 1], growth[high]];
    return a.factor + ((q - a.q) / (b.q - a.q)) * (b.factor - a.factor);
  };
  return { ...line, target_us: line.target_us.map((us, i) => hundredths(us * factorAt(line.query_tokens[i]))) };
}
