/**
 * What spans of several layers lose together. A layer with a span loses what the text beyond it would have told, and its
 * neighbours often make up for that or lack the same: sums of what layers lose by themselves overstate (20 layers of
 * SmolLM2-135M at @512: 0.29 summed, 0.11 measured). So each span is also measured in pairs of neighbours, in every other
 * layer and in all, and what it loses in the larger of these drafts, over the sum, is one factor for the span: losses still
 * add up, and the knapsack stays exact for them.
 */
import type { SpansTogether } from "../schema/calibration.js";
import { blockKind, blockLayer, type SpannedKernel, targetChoices } from "../schema/choice.js";
import { significant, sum } from "../stats/numbers.js";
import type { LossProbe, Probed } from "./tally.js";

/** Pairs of neighbours that are measured, evenly over the layers. */
const PAIRS = 4;

/** Layers that are measured together, each group once: pairs of neighbours, every other layer, all. */
export function togetherGroups(layers: number): number[][] {
  const all = Array.from({ length: layers }, (_, layer) => layer);
  const firsts = Array.from({ length: PAIRS }, (_, i) => Math.round((i * (layers - 2)) / (PAIRS - 1)));
  const pairs = firsts.map((first) => [first, first + 1]);
  const halves = [0, 1].map((parity) => all.filter((layer) => layer % 2 === parity));
  const groups = [...pairs, ...halves, all].filter(
    (group) => group.length > 1 && group.every((layer) => layer >= 0 && layer < layers),
  );
  return [...new Map(groups.map((group) => [group.join(), group])).values()];
}

/** Drafts in which a span is in a group of layers, the rest the target's. */
export const togetherProbes = (layers: number, spans: readonly SpannedKernel[]): LossProbe[] =>
  spans.flatMap((choice) =>
    togetherGroups(layers).map((group): LossProbe => {
      const { blocks, head } = targetChoices(layers);
      const narrowed = blocks.map((own, index) =>
        blockKind(index) === "attn" && group.includes(blockLayer(index)) ? choice : own,
      );
      return { choice, kind: "attn", layers: group, choices: { blocks: narrowed, head } };
    }),
  );

/**
 * @param single spans of one layer each
 * @param groups of togetherProbes
 * @param toHits factor from −ln(overlap) to −ln(hit rate)
 * @returns by span what its groups lose and would by the sum
 */
export function spansTogether(
  single: Probed,
  groups: Probed,
  toHits: number,
): Partial<Record<SpannedKernel, SpansTogether>> {
  const alone = new Map(
    single.probes.map(({ choice, layers }, i) => [`${choice} ${layers.join()}`, single.tallies[i].loss.loss]),
  );
  const found: Partial<Record<SpannedKernel, SpansTogether>> = {};
  for (const choice of new Set(groups.probes.map((probe) => probe.choice as SpannedKernel))) {
    const drafts = groups.probes.flatMap((probe, i) => {
      if (probe.choice !== choice) return [];
      const { loss, standardError } = groups.tallies[i].loss;
      const summed = sum(probe.layers.map((layer) => alone.get(`${choice} ${layer}`) ?? 0));
      return [{ layers: probe.layers.length, summed, loss, standardError }];
    });
    const most = Math.max(...drafts.map(({ layers }) => layers));
    const large = drafts.filter(({ layers }) => 2 * layers + 1 >= most); // halves and all
    const summed = sum(large.map((draft) => draft.summed));
    const factor = summed > 0 ? sum(large.map(({ loss }) => loss)) / summed : 1;
    found[choice] = {
      factor: digits(Math.max(factor, LEAST_FACTOR)),
      drafts: drafts.map(({ layers, standardError, ...draft }) => ({
        layers,
        summed: digits(toHits * draft.summed),
        loss: digits(toHits * draft.loss),
        standard_error: digits(toHits * standardError),
      })),
    };
  }
  return found;
}

/** A draft that lost nothing on this text is not without loss on every other. */
const LEAST_FACTOR = 0.05;

const digits = (x: number): number => significant(x, 5);
