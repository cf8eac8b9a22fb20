/** What `explain` prints for a reader: a summary, the telling blocks, and what other conditions would change. */

import { counted } from "../../core/text.js";
import { describeConstraints } from "../../schema/constraints.js";
import { lengthsText } from "../../schema/length-by-batch.js";
import type { Plan, Segment } from "../../schema/plan.js";
import { ownCacheText, refutedText, stopText } from "../../schema/plan-text.js";
import type { BlockReason, ExplainedDraft, Explanation, WhatIf } from "../../solve/index.js";
import { formatPercent } from "../format.js";
import { drawTable, TABLE_COLUMNS } from "../table.js";
import { DRAFTER_WORDS, describeDrafter } from "./drafter.js";
import { TREE_LEGEND, treeLines, treeSentences } from "./tree.js";

/** Blocks shown without --all, unless more differ from the commonest choice. */
const SHOWN = 10;

export function explanationText(explanation: Explanation, plan: Plan, all: boolean, columns = TABLE_COLUMNS): string {
  const { draft } = explanation;
  const { extrapolated, contextTokens } = explanation;
  const wrapped = wrapAt(columns);
  const prose = [
    ...(extrapolated ? [`Extrapolated: no pass was profiled at ${contextTokens} tokens of context.`] : []),
    ...(draft === null ? plainSummary(explanation) : summary(explanation, draft)),
    ...ownCache(explanation, plan),
    ...ending(explanation, plan),
    ...rivals(explanation),
    ...batches(explanation, plan),
    ...refused(explanation, plan),
    ...method(plan),
    ...constrained(plan),
  ];
  return [
    ...prose.flatMap(wrapped),
    "",
    ...(draft === null ? [] : [...reasonsOf(draft, all, plan.constraints !== undefined, columns), ""]),
    ...conditions(explanation).flatMap(wrapped),
    ...elsewhere(explanation, plan).flatMap(wrapped),
  ].join("\n");
}

/** What a cache of the draft's own costs where it is predicted. */
function ownCache({ contextTokens, draft }: Explanation, plan: Plan): string[] {
  const segment = plan.segments.find(({ context_tokens: { to } }) => contextTokens < to) ?? plan.segments.at(-1);
  return segment === undefined || draft === null ? [] : [ownCacheText(plan, segment) ?? []].flat();
}

/** When a draft ends, where that was weighed. */
function ending({ contextTokens, draft }: Explanation, plan: Plan): string[] {
  const text = draft === null ? null : stopText(segmentAt(plan, contextTokens));
  return text === null ? [] : [`${text[0].toUpperCase()}${text.slice(1)}.`];
}

/** Lines of words that fit; further ones are indented. */
const wrapAt =
  (columns: number) =>
  (sentence: string): string[] => {
    const lines: string[] = [];
    for (const word of sentence.split(" ")) {
      const line = lines.at(-1);
      const isRoom = line !== undefined && `${line} ${word}`.length <= Math.min(columns, TABLE_COLUMNS);
      if (isRoom) lines[lines.length - 1] = `${line} ${word}`;
      else lines.push(line === undefined ? word : `  ${word}`);
    }
    return lines;
  };

const ms = (us: number): string => `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`;
const times = (speedup: number): string => `${speedup.toFixed(2)} times as fast`;

const EVIDENCE: Record<ExplainedDraft["evidence"], string> = {
  report: "measured on text it was not chosen on",
  choose: "measured on the text it was chosen on",
  surrogate: "not measured: the surrogate's estimate",
};

function summary({ contextTokens, targetStepUs }: Explanation, draft: ExplainedDraft): string[] {
  return [
    `At ${contextTokens} tokens of context: ${counted(draft.draftTokens, "token")} drafted a round, with ${describeDrafter(draft)}.`,
    `${draft.drafter.kind === "self" ? "A draft step takes" : "Drafting a round takes"} ${ms(draft.draftUs)}, a plain step ${ms(targetStepUs)}.`,
    `${formatPercent(draft.acceptance)} of drafted tokens are accepted (${EVIDENCE[draft.evidence]}).`,
    `Decoding is predicted to be ${times(draft.speedup)}.`,
    ...counts(draft),
  ];
}

/** What the acceptance was measured on; nothing where it was not. */
function counts({ positions, rounds, lengthError }: ExplainedDraft): string[] {
  if (positions === null) return [];
  const reaching = rounds === null ? "" : `; ${counted(rounds, "round")} came to the last drafted token`;
  const error = lengthError === null ? "" : `; the tokens of a round are known to ${formatPercent(lengthError)}`;
  return [`The acceptance was measured at ${counted(positions, "position")}${reaching}${error}.`];
}

/** What several sequences at once draft here, and what that is predicted to bring. */
function batches({ contextTokens }: Explanation, plan: Plan): string[] {
  const { draft_tokens_by_batch: steps, predicted } = segmentAt(plan, contextTokens);
  if (steps === undefined) return [];
  const speeds = (predicted?.by_batch ?? [])
    .filter(({ batch }) => batch > 1)
    .map(({ batch, draft_tokens, speedup }) => `${batch} (${draft_tokens}): ${speedup.toFixed(2)}`);
  return [
    `Of several sequences at once each drafts, by their number: ${lengthsText(steps)}; of more, nothing.`,
    ...(speeds.length === 0
      ? []
      : [
          `Predicted speedup by sequences at once (tokens drafted): ${speeds.join(", ")} times plain decoding of as many.`,
        ]),
  ];
}

const segmentAt = ({ segments }: Plan, contextTokens: number): Segment =>
  segments.find(({ context_tokens: { to } }) => contextTokens < to) ?? segments[segments.length - 1];

/** What the plan says text kept back refused here. */
function refused({ contextTokens }: Explanation, plan: Plan): string[] {
  const { model } = plan;
  const here = segmentAt(plan, contextTokens);
  const said = refutedText(here, model.layers);
  return said === null ? [] : [`${said[0].toUpperCase()}${said.slice(1)}.`];
}

function plainSummary({ contextTokens, best, targetStepUs }: Explanation): string[] {
  const plain = `At ${contextTokens} tokens of context the plan decodes plainly, ${ms(targetStepUs)} a step.`;
  if (best === null) return [plain, "No draft but the target itself is known there."];
  const verdict = best.speedup > 1 ? "which is not above the noise of profile and calibration" : "which is no gain";
  const draft = `${describeDrafter(best)}; ${counted(best.draftTokens, "token")} a round`;
  return [plain, `The best draft known there (${draft}) would be ${times(best.speedup)}, ${verdict}.`];
}

/** What other kinds of drafters would give, where there are several. */
function rivals({ byDrafter, draft }: Explanation): string[] {
  const others = byDrafter.filter(({ drafter }) => byDrafter.length > 1 && drafter.kind !== draft?.drafter.kind);
  return others.map(
    (one) =>
      `The best that ${DRAFTER_WORDS[one.drafter.kind]} would do there (${counted(one.draftTokens, "token")}, ${describeDrafter(one)}) is ${times(one.speedup)}, by the text of choosing.`,
  );
}

/** The turns are the knapsack's, whatever chose the blocks. */
const method = ({ method = "knapsack" }: Plan): string[] =>
  method === "knapsack" ? [] : [`The blocks were chosen by ${method}; what follows is the knapsack's view of them.`];

const constrained = ({ constraints, drafters = ["self"] }: Plan): string[] => {
  if (constraints === undefined) return [];
  const drafts = drafters.some((name) => name !== "self") ? "Every draft of the model's own blocks" : "Every draft";
  return [`${drafts} keeps to ${describeConstraints(constraints)}, what follows too.`];
};

function reasonsOf(draft: ExplainedDraft, all: boolean, isConstrained: boolean, columns: number): string[] {
  if (draft.drafter.kind === "self") return reasons(draft, all, isConstrained, columns);
  const { tree, drafter } = draft;
  if (drafter.kind !== "heads") return [];
  if (tree === null) return ["The plan's own calibration knows nothing of these heads."];
  const wrapped = wrapAt(columns);
  return [...treeSentences(tree, draft).flatMap(wrapped), "", ...treeLines(tree, all), ...wrapped(TREE_LEGEND)];
}

/** How near a block is to another choice: the change of a draft step that it would take, in µs. */
function distance({ ifQuicker, ifSlower }: BlockReason, draftUs: number): number {
  const turns = [ifQuicker, ifSlower].flatMap((turn) => (turn === null ? [] : [Math.abs(turn.draftUs - draftUs)]));
  return Math.min(Number.POSITIVE_INFINITY, ...turns);
}

function commonest(blocks: readonly BlockReason[]): string {
  const count = (choice: string) => blocks.filter((block) => block.choice === choice).length;
  return blocks.reduce((most, { choice }) => (count(choice) > count(most) ? choice : most), blocks[0].choice);
}

function reasons({ blocks, draftUs }: ExplainedDraft, all: boolean, isConstrained: boolean, columns: number): string[] {
  const usual = commonest(blocks);
  const rank = (block: BlockReason) => (block.choice === usual ? 1 : 0);
  const ranked = [...blocks].sort((a, b) => rank(a) - rank(b) || distance(a, draftUs) - distance(b, draftUs));
  const unusual = blocks.filter((block) => block.choice !== usual).length;
  const shown = all ? blocks : ranked.slice(0, Math.max(SHOWN, unusual));
  const rest = all ? [] : ranked.slice(shown.length);
  const nearest = `${shown.length - unusual} nearest to another choice`;
  const which = unusual === 0 ? `The ${nearest}` : `The ${unusual} not ${usual}, and the ${nearest}`;
  return [
    rest.length === 0 ? "All blocks:" : `${which} (of ${blocks.length} blocks):`,
    blockTable(shown, columns),
    ...[...others(rest, usual), ...LEGEND, isConstrained ? SURE : SURE_AND_MARGIN].flatMap(wrapAt(columns)),
  ];
}

const LEGEND = [
  "loss: share of −ln(acceptance), and its standard error.",
  "if quicker, if slower: what the knapsack takes instead at the nearest draft step where it does, with the acceptance expected there.",
];
const SURE = "sure: share of the profile's draws under which the best measured draft agrees.";
const SURE_AND_MARGIN = `${SURE} Below it, in standard errors of the losses: how much more the best draft loses that is as quick and has another choice there; under 0 the losses alone would choose that.`;

/** What the blocks that are not listed have in common. */
function others(rest: readonly BlockReason[], usual: string): string[] {
  if (rest.length === 0) return [];
  const low = Math.max(...rest.map(({ ifQuicker }) => ifQuicker?.draftUs ?? 0));
  const high = Math.min(...rest.map(({ ifSlower }) => ifSlower?.draftUs ?? Number.POSITIVE_INFINITY));
  const range = Number.isFinite(high) ? `from ${ms(low)} to ${ms(high)}` : `from ${ms(low)} on`;
  const subject = rest.length === 1 ? "The other one is" : `The other ${rest.length} are`;
  return [`${subject} ${usual}, for draft steps ${range} (--all lists every block).`];
}

function blockTable(blocks: readonly BlockReason[], columns: number): string {
  const head = ["block\nchoice", "µs\ntarget", "loss\n± s.e.", "if quicker", "if slower", "sure\ns.e."];
  const rows = blocks.map((block) => [
    `${block.block}\n${block.choice}`,
    `${block.costUs.toFixed(0)}\n${block.targetUs.toFixed(0)}`,
    `${short(block.loss)}\n${short(block.lossStandardError)}`,
    ...[turn(block.ifQuicker), turn(block.ifSlower)],
    `${block.sure === null ? "?" : `${(100 * block.sure).toFixed(0)} %`}\n${standardErrors(block)}`,
  ]);
  return drawTable({ head, rows, stacked: true, align: ["left", "right", "right", "left", "left", "right"] }, columns);
}

const turn = (to: BlockReason["ifQuicker"]): string =>
  to === null ? "never" : `${to.choice}\n${ms(to.draftUs)}, ${formatPercent(to.acceptance)}`;

/** Two digits, and no more than five behind the point. */
const short = (loss: number): string => (loss === 0 ? "0" : loss < 1e-5 ? "<1e-5" : loss.toFixed(loss < 0.01 ? 5 : 3));

const standardErrors = ({ margin }: BlockReason): string =>
  margin === null || margin.standardError === 0 ? "?" : (margin.loss / margin.standardError).toFixed(1);

function conditions({
  attentionSlower,
  attentionFactor,
  twiceTheContext,
  contextTokens,
  draft,
}: Explanation): string[] {
  const slower = `With attention ${((attentionFactor - 1) * 100).toFixed(0)} % slower`;
  const twice = `At ${2 * contextTokens} tokens of context`;
  return [
    `${slower}: ${outcome(attentionSlower, draft)}`,
    `${twice}: ${twiceTheContext === null ? "unknown, the profile does not reach so far." : outcome(twiceTheContext, draft)}`,
  ];
}

function outcome(after: WhatIf, before: ExplainedDraft | null): string {
  const { speculate, draftTokens, evidence } = after;
  const [old, own, now] = [after.speedupBefore, after.ownSpeedup, after.speedup].map((speedup) => speedup.toFixed(2));
  if (before === null)
    return speculate
      ? `${counted(draftTokens ?? 0, "token")} drafted a round, ${now} times as fast.`
      : "plain decoding.";
  const by = evidence === before.evidence || evidence === null ? "" : ` (${EVIDENCE[evidence]})`;
  if (!speculate) return `plain decoding; this draft would be ${old} -> ${own} times as fast${by}.`;
  const blocks = whatDrafts(after, before);
  const length =
    before.draftTokens === draftTokens
      ? counted(draftTokens ?? 0, "token")
      : `${before.draftTokens} -> ${counted(draftTokens ?? 0, "token")}`;
  const kept = own === now ? "" : `; unchanged it would be ${own}`;
  return `${blocks}, ${length} a round; ${old} -> ${now} times as fast${kept}${by}.`;
}

function whatDrafts({ drafter, sameDrafter, changed }: WhatIf, before: ExplainedDraft): string {
  if (drafter === null || (drafter.kind === "self" && before.drafter.kind === "self"))
    return changed.length === 0 ? "the same blocks" : changes(changed);
  return sameDrafter ? (drafter.kind === "heads" ? "the same tree" : "the same drafter") : describeDrafter({ drafter });
}

const LISTED = 4;

function changes(changed: WhatIf["changed"]): string {
  const named = changed.slice(0, LISTED).map(({ block, before, after }) => `${block} ${before} -> ${after}`);
  const more = changed.length > LISTED ? ` and ${changed.length - LISTED} more` : "";
  return `${named.join(", ")}${more}`;
}

/** Where else the plan drafts, so that a reader knows what else to ask for. */
function elsewhere({ contextTokens }: Explanation, { segments }: Plan): string[] {
  const here = segments.findIndex(({ context_tokens: { to } }) => contextTokens < to);
  const other = segments.filter(({ speculate }, i) => speculate && i !== (here === -1 ? segments.length - 1 : here));
  if (other.length === 0) return [];
  const ats = other.map(({ predicted, context_tokens: { from } }) => `--at ${predicted?.at_context ?? from}`);
  return ["", `The plan drafts otherwise at other contexts: ${ats.join(", ")}`];
}
