/**
 * A profile drawn on beyond its last context. Every part of a pass (fixed, head, each block, by kernel) goes on along the
 * straight line through the last two profiled contexts, which is the last piece of its curve, and never falls: a longer
 * context has no cheaper block, and a falling line is noise. Nothing else is changed, so what was measured stays as it is.
 *
 * There is no such thing for q: the cost of a pass is a staircase in q, and no plan needs a pass longer than was profiled.
 */
import { DraftplanError } from "../core/errors.js";
import type { Extrapolated } from "../schema/common.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";

/** @returns the contexts drawn on; undefined where the profile reaches to `toContext` by itself, or none is asked for */
export function extrapolatedRange({ grid }: Profile, toContext: number | undefined): Extrapolated | undefined {
  const beyond = grid.context_tokens[grid.context_tokens.length - 1];
  return toContext !== undefined && toContext > beyond
    ? { beyond_context_tokens: beyond, to_context_tokens: toContext }
    : undefined;
}

/**
 * @param toContext last context to be asked for; undefined: the profile as it is
 * @throws CONTEXT_OUT_OF_RANGE where one context was profiled, which gives no line
 */
export function extendProfile(profile: Profile, toContext: number | undefined): Profile {
  if (toContext === undefined || extrapolatedRange(profile, toContext) === undefined) return profile;
  const contexts = profile.grid.context_tokens;
  const [before, last] = contexts.slice(-2);
  if (last === undefined) throw oneContext(before, toContext);
  const at = new Map(profile.points.map((point) => [`${point.context_tokens} ${point.query_tokens}`, point]));
  const added = profile.grid.query_tokens.flatMap((q) => {
    const [a, b] = [at.get(`${before} ${q}`), at.get(`${last} ${q}`)];
    return a === undefined || b === undefined ? [] : [drawnOn(a, b, toContext)];
  });
  return {
    ...profile,
    grid: { ...profile.grid, context_tokens: [...contexts, toContext] },
    points: [...profile.points, ...added],
  };
}

/** Contexts that a plan beyond the profile is solved at: doublings of the last profiled one, and the last asked for. */
export function contextsBeyond({ beyond_context_tokens, to_context_tokens }: Extrapolated): number[] {
  const contexts: number[] = [];
  for (let n = 2 * Math.max(1, beyond_context_tokens); n < to_context_tokens; n *= 2) contexts.push(n);
  return [...contexts, to_context_tokens];
}

type ByKernel<T> = Partial<Record<string, T>>;

/** The point at context `n` on the lines through two others of the same q. */
function drawnOn(a: ProfilePoint, b: ProfilePoint, n: number): ProfilePoint {
  const share = (n - b.context_tokens) / (b.context_tokens - a.context_tokens);
  const line = (before: number, last: number) => last + share * Math.max(0, last - before);
  const each = (before: ByKernel<number[]>, last: ByKernel<number[]>) =>
    mapKernels(last, (us, kernel) => us.map((x, layer) => line(before[kernel]?.[layer] ?? x, x)));
  return {
    ...b,
    context_tokens: n,
    fixed_us: line(a.fixed_us, b.fixed_us),
    head_us: mapKernels(b.head_us, (us, kernel) => line((a.head_us as ByKernel<number>)[kernel] ?? us, us)),
    attn_us: each(a.attn_us, b.attn_us),
    mlp_us: each(a.mlp_us, b.mlp_us),
    whole_target_us: line(a.whole_target_us, b.whole_target_us),
  };
}

const mapKernels = <T>(parts: ByKernel<T>, of: (part: T, kernel: string) => T): ByKernel<T> =>
  Object.fromEntries(Object.entries(parts).map(([kernel, part]) => [kernel, of(part as T, kernel)]));

const oneContext = (only: number, wanted: number): DraftplanError =>
  new DraftplanError({
    code: "CONTEXT_OUT_OF_RANGE",
    at: "profile: grid.context_tokens",
    what: `only ${only} tokens of context were profiled, and one context gives no line to draw on to ${wanted}`,
    remedy: `draftplan profile MODEL --context ${Math.min(64, wanted)}..${wanted}`,
  });
