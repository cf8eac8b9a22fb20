/** What a draft in a simulated kernel does, and at which cost a token it would pay: nobody can time it here. */
import { matrixShapes } from "../../model/graph/matrices.js";
import { LEVELS, outliersAtEachEnd } from "../../model/kernels/oasis.js";
import type { ModelSpec } from "../../model/spec.js";
import { KERNEL_NAMES, type Kernel, uniformChoices } from "../../schema/choice.js";
import type { Profile } from "../../schema/profile.js";
import { breakEven, curveFromRate, openLatency } from "../../solve/index.js";

/** Of a draft step of all blocks and the head, attention over the cache left out; JSON keys. */
export interface Operations {
  /** entries of the table that are looked up and added, one for each weight */
  lookups: number;
  /** with outliers, whose rounding is made up for, and with the scales of rows */
  multiplications: number;
  /** to find outliers and the nearest level of every input */
  comparisons: number;
  /** codes of the weights, scales of rows in fp32, and tables */
  weight_bytes: number;
}

/** What pays at one profiled context; JSON keys. */
export interface PaysBelow {
  context_tokens: number;
  /** µs of plain decoding a token */
  plain_us: number;
  /** the dearest draft step that is faster than plain decoding, and the draft length at which it is; null: none is */
  draft: { us: number; draft_tokens: number; ns_per_lookup: number } | null;
  /** a step of everything in each kernel that was profiled, for comparison: µs, and ns a weight */
  steps: Partial<Record<Kernel, { us: number; ns_per_weight: number }>>;
}

const MOST_DRAFT_TOKENS = 16;

/**
 * By the scheme of arXiv:2507.23035 as its abstract tells it, the counts being ours: a product is a sum of table entries, one
 * for each pair of codes; outliers are found while it is formed, by a tournament whose first round serves both ends, and what
 * rounding did to them is multiplied out. Nearest levels by bisection.
 */
export function operationsOf(spec: ModelSpec): Operations {
  const { attn, mlp, head } = matrixShapes(spec);
  const mlps = spec.layers * (spec.experts?.perToken ?? 1);
  const all = [
    ...[attn.qkv, attn.out].map((shape) => ({ shape, times: spec.layers })),
    ...[mlp.gate_up, mlp.down].map((shape) => ({ shape, times: mlps })),
    { shape: head.head, times: 1 },
  ];
  const sum = (of: (out: number, inner: number) => number) =>
    all.reduce((total, { shape: [out, inner], times }) => total + times * of(out, inner), 0);
  const outliers = (inner: number) => 2 * outliersAtEachEnd(inner);
  const tournament = (inner: number) => 1.5 * inner + outliers(inner) * Math.log2(inner);
  return {
    lookups: sum((out, inner) => out * inner),
    multiplications: sum((out, inner) => out * (outliers(inner) + 1)),
    comparisons: Math.round(sum((_, inner) => inner * Math.log2(LEVELS) + tournament(inner))),
    weight_bytes: sum((out, inner) => (out * inner) / 2 + 4 * out + 4 * LEVELS ** 2),
  };
}

/**
 * At every profiled context.
 * @param acceptance of a token, which is taken to be the same wherever it stands in a draft
 */
export function paysBelow(
  profile: Profile,
  path: string,
  layers: number,
  acceptance: number,
  { lookups }: Pick<Operations, "lookups">,
): PaysBelow[] {
  const latency = openLatency(profile, path);
  const kernels = KERNEL_NAMES.filter((kernel) => profile.kernels[kernel] !== undefined);
  return profile.grid.context_tokens.map((context_tokens) => {
    const at = latency.at(context_tokens);
    const found = breakEven({
      curve: (d) => curveFromRate(acceptance, d),
      verifyUs: (d) => at.verifyUs(d),
      roundUs: latency.roundUs,
      maxDraft: Math.min(MOST_DRAFT_TOKENS, latency.maxDraftTokens),
      perTokenUs: at.stepUs,
    });
    const steps = kernels.map((kernel) => {
      const us = at.draftUs(uniformChoices(layers, kernel));
      return [kernel, { us, ns_per_weight: (1000 * us) / lookups }];
    });
    return {
      context_tokens,
      plain_us: at.stepUs,
      draft: found && {
        us: found.draftUs,
        draft_tokens: found.draftTokens,
        ns_per_lookup: (1000 * found.draftUs) / lookups,
      },
      steps: Object.fromEntries(steps),
    };
  });
}
