/**
 * What a pass costs at any context and query length, read off a profile (docs/method.md):
 *
 *     draft(S, n)  = t_fixed(1) + t_head(S_head, 1) + Σ_b t_b(S_b, n, 1)
 *     verify(n, d) = t_fixed(d+1) + t_head(target, d+1) + Σ_b t_b(target, n, d+1)
 *
 * Every part is interpolated linearly in n and in q between the profiled points; a verification follows, beside that, the
 * steps that were measured between the grid's q (query_line). Below the first profiled context the
 * first value holds; past the last one nothing is said, unless the profile was drawn on (solve/extrapolate.ts). The sums over a line of the grid are formed once, and an answer
 * at a context is kept, because a solver asks for the same few contexts many times.
 */
import { DraftplanError } from "../core/errors.js";
import {
  type AttentionKernel,
  blockKind,
  blockLayer,
  type Choice,
  type ChoiceSet,
  type HeadKernel,
  isSpanned,
  type Kernel,
  kernelOf,
  readsAll,
  suits,
} from "../schema/choice.js";
import { MAX_TREE_NODES } from "../schema/drafter.js";
import type { Profile, ProfilePoint } from "../schema/profile.js";
import { openModelPrices } from "./drafting/prices.js";
import { openHeadsPrices } from "./trees/prices.js";

/** Costs at one context, µs. */
export interface LatencyAt {
  readonly contextTokens: number;
  /** embedding, call, and what belongs to no block and no head */
  fixedUs(q: number): number;
  /** @throws CHOICE_UNAVAILABLE where the kernel was not measured at this q */
  headUs(kernel: HeadKernel, q: number): number;
  /** 0 for a skipped block. @throws CHOICE_UNAVAILABLE where the kernel was not measured at this q */
  blockUs(index: number, choice: Choice, q: number): number;
  /** one draft step */
  draftUs(set: ChoiceSet): number;
  /** one pass of the target over d + 1 tokens */
  verifyUs(draftTokens: number): number;
  /** one step of plain decoding, the loop's own time included */
  readonly stepUs: number;
}

export interface LatencyModel {
  /** the first and last profiled context */
  readonly contextTokens: { from: number; to: number };
  /** the longest draft whose verification was profiled */
  readonly maxDraftTokens: number;
  /** t_round: what the decoding loop adds to a draft-and-verify round */
  readonly roundUs: number;
  /** reading how sure a draft is of a token; null: not measured, and then no draft may stop early */
  readonly confidenceUs: number | null;
  /** everything about one context. @throws CONTEXT_OUT_OF_RANGE past the last profiled one */
  at(n: number): LatencyAt;
  fixedUs(n: number, q: number): number;
  headUs(kernel: HeadKernel, n: number, q: number): number;
  blockUs(index: number, choice: Choice, n: number, q: number): number;
  draftUs(set: ChoiceSet, n: number): number;
  verifyUs(n: number, draftTokens: number): number;
  stepUs(n: number): number;
  /** whether trees were timed beside chains: a tree that nobody timed is priced as a chain, and none is planned on that alone */
  readonly treesTimed: boolean;
  /** the largest tree whose verification was profiled */
  readonly maxTreeNodes: number;
  /** one pass of the target over a tree of so many nodes, in which some share a parent, and the pending token */
  verifyTreeUs(n: number, nodes: number): number;
  /** µs of the draft's own reading of a prompt of n tokens, over the tokens of an answer; 0 where it reads the target's cache */
  readingUs(set: ChoiceSet, n: number): number;
  /** what layers with spans add to a round, beside `roundUs`: their small caches take over what was added to the text */
  refreshUs(set: ChoiceSet, n: number): number;
  /** all passes of heads in one round. @throws DRAFTER_UNAVAILABLE where these heads were not profiled */
  headsUs(sha256: string, rows: readonly number[]): number;
  /** one step of another model that drafts. @throws DRAFTER_UNAVAILABLE where it was not profiled in this kernel */
  modelUs(weightsSha256: string, kernel: Kernel, n: number): number;
}

/** A value between two points of an axis: (1 - share) · [low] + share · [low + 1]. */
interface Place {
  low: number;
  share: number;
}

/** `value` on a rising axis, which it does not exceed; below the first point the first holds. */
function place(axis: readonly number[], value: number): Place {
  if (value <= axis[0]) return { low: 0, share: 0 };
  let low = axis.findLastIndex((point) => point <= value);
  if (low === axis.length - 1) low -= 1;
  return { low, share: (value - axis[low]) / (axis[low + 1] - axis[low]) };
}

const interpolate = ({ low, share }: Place, at: (index: number) => number): number =>
  share === 0 ? at(low) : share === 1 ? at(low + 1) : (1 - share) * at(low) + share * at(low + 1);

const KEPT = 64;

/** @param file only names the profile in errors */
export function openLatency(profile: Profile, file = "profile"): LatencyModel {
  const surface = new Surface(profile, file);
  const kept = new Map<number, LatencyAt>();
  const at = (n: number): LatencyAt => {
    let found = kept.get(n);
    if (found === undefined) {
      found = latencyAt(surface, n, profile.loop.step_us);
      if (kept.size >= KEPT) kept.clear();
      kept.set(n, found);
    }
    return found;
  };
  const { context_tokens: contexts, query_tokens: queries } = profile.grid;
  const { headsUs, timesChain } = openHeadsPrices(profile);
  const { span_us: spanUs = 0 } = profile.loop; // older profiles have none: it is some 0.03 % of a round
  // at the profiled contexts, so that a tree's pass is a straight line in n between them as everything else is
  const treeUs = (nodes: number) => (i: number) => at(contexts[i]).verifyUs(nodes) * timesChain(i, nodes + 1);
  return {
    contextTokens: { from: contexts[0], to: contexts[contexts.length - 1] },
    maxDraftTokens: queries[queries.length - 1] - 1,
    roundUs: profile.loop.round_us,
    confidenceUs: profile.loop.confidence_us ?? null,
    at,
    fixedUs: (n, q) => at(n).fixedUs(q),
    headUs: (kernel, n, q) => at(n).headUs(kernel, q),
    blockUs: (index, choice, n, q) => at(n).blockUs(index, choice, q),
    draftUs: (set, n) => at(n).draftUs(set),
    verifyUs: (n, draftTokens) => at(n).verifyUs(draftTokens),
    stepUs: (n) => at(n).stepUs,
    readingUs: () => 0,
    refreshUs: ({ blocks }, n) => spanUs * blocks.filter((choice) => isSpanned(choice) && !readsAll(choice, n)).length,
    treesTimed: profile.tree_passes !== undefined,
    maxTreeNodes: Math.min(MAX_TREE_NODES, queries[queries.length - 1] - 1),
    verifyTreeUs: (n, nodes) => interpolate(surface.placeOfContext(n), treeUs(nodes)),
    headsUs,
    modelUs: openModelPrices(profile),
  };
}

/** The profiled points by their place on the grid, and where a context or a query length lies among them. */
class Surface {
  private readonly points: ProfilePoint[][]; // [contexts][queries]
  private readonly targetSums = new Map<ProfilePoint, number>();
  private readonly contexts: readonly number[];
  private readonly queries: readonly number[];
  /** [q - 1] µs */
  private readonly line: readonly number[] | undefined;

  constructor(
    profile: Profile,
    private readonly file: string,
  ) {
    this.contexts = profile.grid.context_tokens;
    this.queries = profile.grid.query_tokens;
    this.line = profile.query_line?.target_us;
    const byPlace = new Map(profile.points.map((point) => [`${point.context_tokens} ${point.query_tokens}`, point]));
    this.points = this.contexts.map((n) =>
      this.queries.map((q) => byPlace.get(`${n} ${q}`) ?? this.missingPoint(n, q)),
    );
  }

  placeOfContext(n: number): Place {
    const [first, last] = [this.contexts[0], this.contexts[this.contexts.length - 1]];
    if (n > last) throw this.outOfRange("context_tokens", n, first, last);
    return place(this.contexts, n);
  }

  get lastContext(): Place {
    return this.placeOfContext(this.contexts[this.contexts.length - 1]);
  }

  placeOfQuery(q: number): Place {
    const last = this.queries[this.queries.length - 1];
    if (q < 1 || q > last) throw this.outOfRange("query_tokens", q, 1, last);
    return place(this.queries, q);
  }

  /**
   * How far the target's pass over q tokens lies above the straight line between the grid's q around it. The cost is a
   * staircase in q (matrix products work in tiles of rows); its steps were measured at one context and do not depend on n.
   */
  aboveLineUs(q: number): number {
    const line = this.line;
    if (line === undefined) return 0;
    const straight = interpolate(this.placeOfQuery(q), (j) => line[this.queries[j] - 1]);
    return line[q - 1] - straight;
  }

  /** Interpolated over the four points around; a point of no weight is not asked. */
  value(n: Place, q: Place, of: (point: ProfilePoint) => number): number {
    return interpolate(n, (i) => interpolate(q, (j) => of(this.points[i][j])));
  }

  /** the whole target, from its parts */
  readonly targetUs = (point: ProfilePoint): number => {
    let sum = this.targetSums.get(point);
    if (sum === undefined) {
      const add = (parts: readonly number[]) => parts.reduce((total, us) => total + us, 0);
      const blocks = add(this.partsOf(point, "attn_us", "target")) + add(this.partsOf(point, "mlp_us", "target"));
      sum = point.fixed_us + this.headOf(point, "target") + blocks;
      this.targetSums.set(point, sum);
    }
    return sum;
  };

  headOf(point: ProfilePoint, kernel: HeadKernel): number {
    return point.head_us[kernel] ?? this.unavailable(point, "head_us", kernel);
  }

  /** [L] */
  partsOf(point: ProfilePoint, part: "attn_us" | "mlp_us", kernel: AttentionKernel): readonly number[] {
    const of: Partial<Record<AttentionKernel, readonly number[]>> = point[part];
    return of[kernel] ?? this.unavailable(point, part, kernel);
  }

  private unavailable(point: ProfilePoint, part: string, kernel: AttentionKernel | HeadKernel): never {
    throw new DraftplanError({
      code: "CHOICE_UNAVAILABLE",
      at: `${this.file}: ${part}.${kernel}`,
      what: `${kernel} was not profiled at ${point.context_tokens} tokens of context with ${point.query_tokens} in the pass`,
      remedy:
        "Leave the choice out, or make the profile again with this draftplan: draftplan profile MODEL --choices CHOICES",
    });
  }

  private missingPoint(n: number, q: number): never {
    throw new DraftplanError({
      code: "DOCUMENT_INVALID",
      at: `${this.file}: points`,
      what: `the grid names ${n} tokens of context with ${q} in the pass, and no point was measured there`,
      remedy: "Make the profile again: draftplan profile MODEL",
    });
  }

  private outOfRange(axis: "context_tokens" | "query_tokens", value: number, lo: number, hi: number): DraftplanError {
    const option = axis === "context_tokens" ? "--context" : "--query";
    return new DraftplanError({
      code: "CONTEXT_OUT_OF_RANGE",
      at: `${this.file}: grid.${axis}`,
      what: `asked for ${value} tokens, profiled ${lo} to ${hi}; latency is never extrapolated silently`,
      remedy: `draftplan profile … ${option} ${Math.min(value, lo)}..${Math.max(value, hi)} -o ${this.file}${
        axis === "context_tokens" ? "; or draw the costs on: draftplan solve … --extrapolate" : ""
      }`,
    });
  }
}

function latencyAt(surface: Surface, contextTokens: number, loopUs: number): LatencyAt {
  const n = surface.placeOfContext(contextTokens);
  const one = surface.placeOfQuery(1);
  const partOf = (index: number) => (blockKind(index) === "attn" ? "attn_us" : "mlp_us");
  const fixedUs = (q: number) => surface.value(n, surface.placeOfQuery(q), (point) => point.fixed_us);
  const headAt = (kernel: HeadKernel, q: Place) => surface.value(n, q, (point) => surface.headOf(point, kernel));
  const blockAt = (index: number, asked: Choice, q: Place) => {
    if (asked === "skip") return 0;
    const choice = readsAll(asked, contextTokens) ? kernelOf(asked) : asked;
    const at = isSpanned(choice) ? surface.lastContext : n; // beyond its span attention is level
    return surface.value(
      at,
      q,
      (point) => surface.partsOf(point, partOf(index), choice as AttentionKernel)[blockLayer(index)],
    );
  };
  const stepBlocks = new Map<Choice, Float64Array>(); // [2L] at q = 1, by choice
  const stepBlockUs = (index: number, choice: Choice, blocks: number): number => {
    let costs = stepBlocks.get(choice);
    if (costs === undefined) {
      costs = Float64Array.from({ length: blocks }, (_, b) =>
        suits(choice, blockKind(b)) ? blockAt(b, choice, one) : 0,
      );
      stepBlocks.set(choice, costs);
    }
    return costs[index];
  };
  const verifyUs = (draftTokens: number) => {
    const q = draftTokens + 1;
    return surface.value(n, surface.placeOfQuery(q), surface.targetUs) + surface.aboveLineUs(q);
  };
  return {
    contextTokens,
    fixedUs,
    headUs: (kernel, q) => headAt(kernel, surface.placeOfQuery(q)),
    blockUs: (index, choice, q) => blockAt(index, choice, surface.placeOfQuery(q)),
    draftUs: ({ blocks, head }) =>
      blocks.reduce(
        (sum, choice, index) => sum + stepBlockUs(index, choice, blocks.length),
        fixedUs(1) + headAt(head, one),
      ),
    verifyUs,
    stepUs: verifyUs(0) + loopUs,
  };
}
