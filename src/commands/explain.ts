/** draftplan explain: why a plan drafts as it does. */
import Table from "cli-table3";
import { DraftplanError } from "../core/errors.js";
import { type ChoiceSet, describeChoices, expandDraft } from "../schema/choice.js";
import { type Loaded, readDocumentOf } from "../schema/document.js";
import { type Plan, predictedAt, type Segment } from "../schema/plan.js";
import { type BlockReason, type Explanation, explainDraft, SLOWER_ATTENTION, type WhatIf } from "../solve/index.js";
import { parseChoices } from "./choices.js";
import type { CommandContext } from "./context.js";
import { readInputs } from "./plan-inputs.js";

export interface ExplainOptions {
  /** context to explain at */
  at?: number;
  /** every block, not the telling ones alone */
  all?: boolean;
}

/** Blocks shown without --all. */
const SHOWN = 10;

export function explainCommand(path: string, options: ExplainOptions, context: CommandContext): void {
  const plan = readDocumentOf("draftplan/plan", path);
  const { segment, at } = placeOf(plan, options.at);
  const { profile, calibration } = readInputs(plan);
  const choices = parseChoices(plan.document.choices ?? ["skip", "int8"]);
  const set = expandDraft(segment.draft, plan.document.model.layers, path);
  const explanation = explainDraft({ profile, calibration, choices }, at, set);
  context.print(
    context.json
      ? JSON.stringify(toJson(explanation, segment))
      : [
          ...summary(explanation, segment, set),
          "",
          ...reasons(explanation, options.all === true),
          "",
          ...conditions(explanation),
        ].join("\n"),
  );
}

type Speculating = Segment & { draft: NonNullable<Segment["draft"]> };

/** The segment asked for, or the first that speculates, and the context to look at. */
function placeOf(plan: Loaded<Plan>, at: number | undefined): { segment: Speculating; at: number } {
  const { segments } = plan.document;
  const speculates = (segment: Segment): segment is Speculating => segment.draft !== undefined;
  if (at === undefined) {
    const segment = segments.find(speculates);
    if (segment === undefined) throw nothing(plan.path, "the plan nowhere speculates");
    return { segment, at: segment.predicted?.at_context ?? segment.context_tokens.from };
  }
  const segment = segments.find(({ context_tokens: { from, to } }) => at >= from && at <= to);
  if (segment === undefined) throw nothing(plan.path, `the plan says nothing of a context of ${at} tokens`);
  if (!speculates(segment))
    throw nothing(plan.path, `at ${at} tokens the plan does not speculate: no draft is faster there`);
  return { segment, at };
}

const nothing = (path: string, what: string) =>
  new DraftplanError({
    code: "OPTION_INVALID",
    at: path,
    what: `${what}; there is no draft to explain`,
    remedy: "Choose a context with --at, within a segment that speculates: draftplan inspect PLAN lists them.",
  });

const ms = (us: number): string => `${(us / 1000).toFixed(us < 10_000 ? 2 : 1)} ms`;
const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

function summary(
  { contextTokens, draftUs }: Explanation,
  { draft_tokens: d, predicted }: Segment,
  set: ChoiceSet,
): string[] {
  const draft = `At ${contextTokens} tokens of context it drafts ${d} tokens with ${describeChoices(set)}.`;
  if (predicted === undefined) return [draft];
  const speedup = predictedAt(predicted, contextTokens).speedup;
  return [
    draft,
    `A draft step takes ${ms(draftUs)} where the target takes ${ms(predicted.target_step_us)}; ${(100 * predicted.acceptance).toFixed(1)} % are accepted, and decoding is predicted to be ${speedup.toFixed(2)} times as fast.`,
  ];
}

/** How near a block is to another choice: the change of a draft step that it would take, as a share. */
function distance({ ifQuicker, ifSlower }: BlockReason, draftUs: number): number {
  const turns = [ifQuicker, ifSlower].flatMap((turn) => (turn === null ? [] : [Math.abs(turn.draftUs / draftUs - 1)]));
  return Math.min(Number.POSITIVE_INFINITY, ...turns);
}

function reasons({ blocks, draftUs }: Explanation, all: boolean): string[] {
  const shown = all ? blocks : [...blocks].sort((a, b) => distance(a, draftUs) - distance(b, draftUs)).slice(0, SHOWN);
  const table = new Table({
    head: ["block", "choice", "µs", "target µs", "loss", "if quicker", "if slower", "sure"],
    colAligns: ["left", "left", "right", "right", "right", "left", "left", "right"],
    style: { head: [], border: [] },
  });
  const turn = (to: BlockReason["ifQuicker"]) => (to === null ? "never" : `${to.choice}\n${ms(to.draftUs)}`);
  for (const block of shown) {
    table.push([
      ...[block.block, block.choice, block.costUs.toFixed(0), block.targetUs.toFixed(0), block.loss.toPrecision(2)],
      ...[turn(block.ifQuicker), turn(block.ifSlower), block.sure === null ? "?" : percent(block.sure)],
    ]);
  }
  const which = all
    ? "All blocks"
    : `The ${shown.length} of ${blocks.length} nearest to another choice (--all shows every one)`;
  return [
    `${which}:`,
    table.toString(),
    "loss: share of −ln(acceptance). if quicker, if slower: what the knapsack takes when a draft step",
    "may take only, or as much as, that long. sure: draws of the profile that agree.",
  ];
}

function conditions({ attentionSlower, twiceTheContext, contextTokens }: Explanation): string[] {
  const slower = `With attention ${percent(SLOWER_ATTENTION - 1)} slower`;
  const twice = `At ${2 * contextTokens} tokens of context`;
  return [
    `${slower}: ${outcome(attentionSlower)}`,
    `${twice}: ${twiceTheContext === null ? "unknown, the profile does not reach so far." : outcome(twiceTheContext)}`,
  ];
}

function outcome({ speculate, draftTokens, speedup, changed }: WhatIf): string {
  if (!speculate) return "no draft is faster than plain decoding.";
  const blocks = changed.length === 0 ? "the same blocks" : `${changed.length} blocks differ (${listed(changed)})`;
  return `${blocks}, ${draftTokens} tokens a round, ${speedup.toFixed(2)} times as fast.`;
}

const LISTED = 6;
const listed = (names: readonly string[]): string =>
  names.length <= LISTED ? names.join(" ") : `${names.slice(0, LISTED).join(" ")} …`;

function toJson(explanation: Explanation, { draft_tokens, predicted }: Segment) {
  const whatIf = (outcome: WhatIf | null) =>
    outcome === null
      ? null
      : {
          speculate: outcome.speculate,
          draft_tokens: outcome.draftTokens,
          speedup: outcome.speedup,
          changed: outcome.changed,
        };
  const turn = (to: BlockReason["ifQuicker"]) => (to === null ? null : { draft_us: to.draftUs, choice: to.choice });
  return {
    at_context: explanation.contextTokens,
    draft_tokens: draft_tokens ?? null,
    draft_us: explanation.draftUs,
    speedup: predicted === undefined ? null : predictedAt(predicted, explanation.contextTokens).speedup,
    blocks: explanation.blocks.map((block) => ({
      block: block.block,
      choice: block.choice,
      cost_us: block.costUs,
      target_us: block.targetUs,
      loss: block.loss,
      if_quicker: turn(block.ifQuicker),
      if_slower: turn(block.ifSlower),
      sure: block.sure,
    })),
    attention_slower: whatIf(explanation.attentionSlower),
    twice_the_context: whatIf(explanation.twiceTheContext),
  };
}
