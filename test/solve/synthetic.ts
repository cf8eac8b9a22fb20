/** A model of eight layers whose drafts' true acceptance is known: the losses add up, or neighbours interact as well. */
import type { Calibration, MeasuredDraft } from "../../src/schema/calibration.js";
import { blockKind, type ChoiceSet, compactDraft } from "../../src/schema/choice.js";
import type { Profile } from "../../src/schema/profile.js";
import { curveFromRate } from "../../src/solve/index.js";
import {
  blockUs,
  FIXED_US,
  HEAD_LOSS,
  headUs,
  LOOP,
  makeCalibration,
  makeProfile,
  QUERIES,
} from "../support/documents.js";
import { draw } from "./instances.js";

export const DEPTH = 8;
export const AT = 256;

export interface Synthetic {
  profile: Profile;
  calibration: Calibration;
  /** α of a draft */
  truth: (set: ChoiceSet) => number;
  /** tokens per second of a draft at context AT and its best length, by the objective written out */
  trueSpeed: (set: ChoiceSet) => number;
  /** what a measurement of so many positions shows */
  measure: (set: ChoiceSet) => MeasuredDraft;
}

/**
 * @param interaction share of √(ℓ_i ℓ_j) by which two neighbouring skipped blocks of a layer lose more (or, below 0,
 *                    less) than the sum
 */
export function synthetic(seed: number, interaction: number, positions = 400): Synthetic {
  const random = draw(seed);
  const model = { ...makeProfile().model, layers: DEPTH };
  const layers = Array.from({ length: DEPTH }, (_, layer) => layer);
  const skip = Array.from({ length: 2 * DEPTH }, () => 0.01 * 30 ** random.float());
  const of = (kind: "attn" | "mlp") =>
    layers.map((layer) => ({ loss: skip[2 * layer + (kind === "attn" ? 0 : 1)], standard_error: 0.001 }));
  const int8 = layers.map(() => ({ loss: 0.003, standard_error: 0.001 }));
  const calibration: Calibration = {
    ...makeCalibration([AT]),
    model,
    contexts: makeCalibration([AT]).contexts.map((context) => ({
      ...context,
      attn: { int8, skip: of("attn") },
      mlp: { int8, skip: of("mlp") },
    })),
  };
  const skipped = (set: ChoiceSet, block: number) => set.blocks[block] === "skip";
  const truth = (set: ChoiceSet): number => {
    let loss = set.head === "int8" ? HEAD_LOSS : 0;
    set.blocks.forEach((choice, block) => {
      if (choice === "skip") loss += skip[block];
      if (choice === "int8") loss += 0.003;
    });
    for (const layer of layers) {
      const [first, second] = [2 * layer, 2 * layer + 1];
      if (skipped(set, first) && skipped(set, second)) loss += interaction * Math.sqrt(skip[first] * skip[second]);
    }
    return Math.exp(-Math.max(0, loss));
  };
  const measure = (set: ChoiceSet): MeasuredDraft => {
    const alpha = truth(set);
    let hits = 0;
    for (let i = 0; i < positions; i++) if (random.chance(alpha)) hits++;
    const rate = hits / positions;
    return {
      at_context: AT,
      part: "choose",
      draft: compactDraft(set),
      tokens: positions,
      curve: curveFromRate(rate, 16),
    };
  };
  return { profile: deepProfile(model), calibration, truth, trueSpeed: (set) => trueSpeed(set, truth(set)), measure };
}

function deepProfile(model: Profile["model"]): Profile {
  const shallow = makeProfile();
  const list = (kind: "attn" | "mlp", quantised: boolean, n: number, q: number) =>
    Array.from({ length: DEPTH }, () => blockUs(kind, 1, quantised, n, q));
  return {
    ...shallow,
    model,
    points: shallow.points.map((point) => {
      const [n, q] = [point.context_tokens, point.query_tokens];
      const kernels = (kind: "attn" | "mlp") =>
        q === 1
          ? { target: list(kind, false, n, q), int8: list(kind, true, n, q) }
          : { target: list(kind, false, n, q) };
      return { ...point, attn_us: kernels("attn"), mlp_us: kernels("mlp") };
    }),
  };
}

function trueSpeed(set: ChoiceSet, alpha: number): number {
  let draftUs = FIXED_US + headUs(set.head === "int8", 1);
  set.blocks.forEach((choice, block) => {
    if (choice !== "skip") draftUs += blockUs(blockKind(block), 1, choice === "int8", AT, 1);
  });
  let best = 0;
  for (let d = 1; d < QUERIES[QUERIES.length - 1]; d++) {
    let verifyUs = FIXED_US + headUs(false, d + 1);
    for (let block = 0; block < 2 * DEPTH; block++) verifyUs += blockUs(blockKind(block), 1, false, AT, d + 1);
    let tokens = 1;
    for (let i = 1; i <= d; i++) tokens += alpha ** i;
    best = Math.max(best, (1e6 * tokens) / (d * draftUs + verifyUs + LOOP.round_us));
  }
  return best;
}
