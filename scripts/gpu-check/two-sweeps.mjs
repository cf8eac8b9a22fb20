/** How far two profiles of one model are apart, in what plans are made from: drafts, steps and verifications. */

const share = (a, b) => 100 * Math.abs(a / b - 1);
const tenth = (percent) => Math.round(10 * percent) / 10;

/**
 * @param profiles  two documents of the same grid
 * @param library   openLatency, programDeck and uniformChoices of the build that is measured
 * @param engine    what they were measured of
 * @returns {{drafts: {median_percent: number, worst_percent: number}, verifications: {median_percent: number, worst_percent: number}}}
 *   over all contexts: every kernel everywhere and mixes of them that neither sweep saw; the target at every profiled q
 */
export function twoSweeps([first, second], { openLatency, programDeck, uniformChoices }, engine) {
  const [a, b] = [openLatency(first), openLatency(second)];
  const { context_tokens: contexts, query_tokens: queries } = first.grid;
  const { spec, kernels } = engine;
  const drafts = [
    ...kernels.map((kernel) => uniformChoices(spec.layers, kernel)),
    ...programDeck(spec, { kernels }, [], 4711).heldOut.map(({ choices }) => choices),
  ];
  return {
    drafts: summary(
      contexts.flatMap((n) => drafts.map((choices) => share(a.draftUs(choices, n), b.draftUs(choices, n)))),
    ),
    verifications: summary(
      contexts.flatMap((n) => queries.map((q) => share(a.verifyUs(n, q - 1), b.verifyUs(n, q - 1)))),
    ),
  };
}

function summary(percents) {
  const sorted = percents.toSorted((x, y) => x - y);
  return { median_percent: tenth(sorted[sorted.length >> 1]), worst_percent: tenth(sorted[sorted.length - 1]) };
}
