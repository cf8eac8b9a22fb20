/** How often a draft's next token was the target's: lines for people, one value for programs. */
import type { EvaluatedDraft, SimulatedDraft } from "../pipeline/evaluate.js";
import type { PaysBelow } from "../pipeline/simulation/cost.js";
import { significant } from "../stats/numbers.js";
import { formatPercent } from "./format.js";

export const evaluationJson = ({
  positions,
  acceptance,
  meanCosine,
  targetTop1,
  draftTop1,
  standalone,
  simulated,
}: EvaluatedDraft) => ({
  positions,
  acceptance,
  mean_cosine: meanCosine,
  target_top1: targetTop1,
  draft_top1: draftTop1,
  ...(standalone ? { draft_cache: "own" } : {}),
  ...(simulated === undefined ? {} : { simulated }),
});

export function evaluationLines({
  positions,
  acceptance,
  meanCosine,
  source,
  first,
  standalone,
  simulated,
}: EvaluatedDraft): string[] {
  const error = Math.sqrt((acceptance * (1 - acceptance)) / positions);
  return [
    `positions    ${positions} (${source}, each after at least ${first} tokens of context)`,
    `acceptance   ${formatPercent(acceptance)} ± ${formatPercent(error)}: the draft's most likely token is the target's`,
    ...(standalone ? ["cache        the draft's own, filled by the draft over the whole text"] : []),
    `mean cosine  ${meanCosine.toFixed(4)} between the last residual states of draft and target`,
    ...(simulated === undefined ? [] : simulatedLines(simulated)),
  ];
}

const millions = (count: number): string => `${significant(count / 1e6, 3)} million`;
const ms = (us: number): string => `${significant(us / 1000, 3)} ms`;
const ns = (of: number): string => `${significant(of, 2)} ns`;

function simulatedLines({ kernel, operations, pays_below }: SimulatedDraft): string[] {
  const { lookups, multiplications, comparisons, weight_bytes } = operations;
  return [
    `simulated    every block and the head in ${kernel}: nothing here computes so, and no plan can have it`,
    `a step       ${millions(lookups)} table entries added, ${millions(multiplications)} multiplications, ${millions(comparisons)} comparisons; reads ${significant(weight_bytes / 2 ** 20, 3)} MiB of weights`,
    ...(pays_below === undefined
      ? ["pays         --profile FILE says below which cost of a step"]
      : pays_below.map(paysLine)),
  ];
}

function paysLine({ context_tokens, plain_us, draft, steps }: PaysBelow): string {
  const where = `pays         at ${context_tokens} tokens`;
  const measured = Object.entries(steps).map(
    ([kernel, { us, ns_per_weight }]) => `${kernel} ${ms(us)} (${ns(ns_per_weight)})`,
  );
  const beside = `a step of all measured, and a weight of it: ${measured.join(", ")}`;
  if (draft === null)
    return `${where} at no cost: too few tokens stand to be faster than plain decoding (${ms(plain_us)} a token); ${beside}`;
  return `${where} below ${ms(draft.us)} a step, ${ns(draft.ns_per_lookup)} a table entry, drafting ${draft.draft_tokens}: plain decoding takes ${ms(plain_us)} a token; ${beside}`;
}
