/** Ways to serve a model as a terminal shows them: a table a context, one of what targets lose, and the answer in words. */
import { counted } from "../core/text.js";
import { type Interval, limitsOf } from "../schema/common.js";
import { type ComparedTarget, type ComparedWay, fastest, type TargetComparison } from "../schema/targets/document.js";
import { formatPercent, spread } from "./format.js";
import { drawTable, TABLE_COLUMNS } from "./table.js";

export function targetsTable(comparison: TargetComparison, columns = TABLE_COLUMNS): string {
  const { contexts, lossless, targets } = comparison;
  const verdict = lossless
    ? "Every run emitted its target's own tokens."
    : "NOT lossless: some runs did not emit their target's own tokens.";
  return [
    ...contexts.map(({ context_tokens, prompts, ways }) =>
      [
        `Context ${context_tokens}, ${counted(prompts.length, "prompt")}`,
        waysTable(ways, targets[0].target, columns),
      ].join("\n"),
    ),
    qualityTable(comparison, columns),
    verdict,
    ...answerLines(comparison),
  ].join("\n\n");
}

function waysTable(ways: readonly ComparedWay[], reference: string, columns: number): string {
  const head = ["target", "drafter", "drafts", "α", "tokens/s", `× ${reference}\nplain`, "× own\nplain"];
  const rows = ways.map((way) => [
    way.target,
    way.drafter,
    way.lossless ? way.drafts : `${way.drafts}\nNOT lossless`,
    way.acceptance === null ? "-" : formatPercent(way.acceptance),
    spread(way.tokens_per_second, 1),
    spread(way.speedup, 2),
    spread(way.own_speedup, 2),
  ]);
  return drawTable({ head, rows, widths: [8, 13, 19, 8, 13, 11, 11] }, columns);
}

function qualityTable({ targets, quality_tokens, quality_windows }: TargetComparison, columns: number): string {
  const [{ target: reference }] = targets;
  const head = ["target", "matrices, MB", "perplexity", `against ${reference}`, `tokens as ${reference}`];
  const rows = targets.map((one, i) => [
    one.requantised === undefined ? one.target : `${one.target} *`,
    (one.weight_bytes / 1e6).toFixed(0),
    one.perplexity.toFixed(2),
    ...(i === 0 ? ["", ""] : [lossText(one), agreementText(one)]),
  ]);
  const twice = targets.filter(({ requantised }) => requantised !== undefined);
  return [
    `What each target loses, on ${quality_tokens} tokens held back (${quality_windows} windows), with 95 % intervals`,
    drawTable({ head, rows }, columns),
    ...twice.map(({ target, requantised }) => `* ${target}: the file has ${requantised}, quantised once more`),
  ].join("\n");
}

/** `+1.2 % (0.9 to 1.5)` */
function lossText({ perplexity_ratio: ratio }: ComparedTarget): string {
  return withLimits(ratio, (x) => `${x >= 1 ? "+" : ""}${(100 * (x - 1)).toFixed(2)}`);
}

const agreementText = ({ agreement }: ComparedTarget): string => withLimits(agreement, (x) => (100 * x).toFixed(1));

function withLimits(interval: Interval, percent: (x: number) => string): string {
  const limits = limitsOf(interval);
  return `${percent(interval.median)} %${limits === null ? "" : ` (${percent(limits.low)} to ${percent(limits.high)})`}`;
}

/** Of all ways the fastest, and of the reference's own, at every context. */
function answerLines({ contexts, targets }: TargetComparison): string[] {
  const [{ target: reference }] = targets;
  return contexts.flatMap(({ context_tokens, ways }) => {
    const [best, same] = [fastest(ways), fastest(ways.filter(({ target }) => target === reference))];
    if (best === null || same === null) return [];
    const told = (way: ComparedWay) =>
      `${way.target} with ${way.drafter === "none" ? "plain decoding" : way.drafter}, ${way.tokens_per_second.median.toFixed(1)} tokens/s, ${way.speedup.median.toFixed(2)} times plain ${reference}`;
    const cost = targets.find(({ target }) => target === best.target);
    const line = `At context ${context_tokens} the fastest lossless way is ${told(best)}`;
    if (best.target === reference || cost === undefined) return [`${line}.`];
    return [
      `${line}; its output is that of ${best.target}: perplexity ${lossText(cost)}, ${agreementText(cost)} of tokens as ${reference}. Of ${reference}'s own output it is ${told(same)}.`,
    ];
  });
}

/** For `inspect`: a line a context and a target. */
export const targetsLines = (comparison: TargetComparison): string[] => [
  ...comparison.targets.map(
    (one, i) =>
      `${one.target}: perplexity ${one.perplexity.toFixed(2)}${i === 0 ? "" : `, ${lossText(one)}, ${agreementText(one)} of tokens as ${comparison.targets[0].target}`}`,
  ),
  ...answerLines(comparison),
];
