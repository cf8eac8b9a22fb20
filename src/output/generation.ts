/** What a generation gave and how: a line for people, one value for programs. */
import { counted } from "../core/text.js";
import type { Round } from "../decode/loop.js";
import type { FinishReason } from "../decode/output.js";
import type { AdaptedSummary, AdaptedUse, Generation } from "../pipeline/generate/types.js";
import { compactDraft, type Draft, describeChoices } from "../schema/choice.js";
import { significant, sum } from "../stats/numbers.js";
import { formatPercent } from "./format.js";

interface Adapted {
  /** times that another draft or length was taken, other than where the plan itself changes */
  switches: number;
  /** how often the arms were weighed again */
  replans: number;
  /** time that learning and weighing took; part of the generation's time */
  replan_us: number;
  /** how many times as often as on the calibration text drafts are believed to be rejected, at the end */
  rejections_factor: number;
  /** in the order of their first use */
  arms: {
    /** the plan's own choice there */
    planned: boolean;
    /** what the model's own blocks do where they draft; null: others do, or plain steps */
    draft: Draft | null;
    /** in words; null: plain steps */
    drafter: string | null;
    draft_tokens: number;
    rounds: number;
    tokens: number;
  }[];
}

const adaptedJson = ({ switches, replans, replanUs, difficulty, arms }: AdaptedSummary): Adapted => ({
  switches,
  replans,
  replan_us: significant(replanUs, 4),
  rejections_factor: significant(difficulty, 4),
  arms: arms.map(({ choices, drafter, draftTokens, planned, rounds, tokens }) => ({
    planned,
    draft: choices === null ? null : compactDraft(choices),
    drafter,
    draft_tokens: draftTokens,
    rounds,
    tokens,
  })),
});

/** `adapted: stayed with the plan; …` or what was taken instead. */
export function adaptedLine({ switches, replanUs, difficulty, arms }: AdaptedSummary, decodeUs: number): string {
  const share = decodeUs === 0 ? 0 : replanUs / decodeUs;
  const text = `rejections ${difficulty.toFixed(1)} times the calibration's`;
  const others = arms.filter(({ planned }) => !planned).sort((a, b) => b.tokens - a.tokens);
  const did =
    others.length === 0
      ? "stayed with the plan"
      : `${switches} ${switches === 1 ? "switch" : "switches"}, most of the tokens beside the plan by ${describeUse(others[0])}`;
  return `adapted: ${did}; ${text}; ${formatPercent(share)} of the time for re-planning`;
}

const describeUse = ({ drafter, choices, draftTokens, tokens }: AdaptedUse): string =>
  drafter === null
    ? `plain steps (${tokens})`
    : `drafts of ${draftTokens} with ${choices === null ? drafter : describeChoices(choices)} (${tokens})`;

/** The contract's keys: each always there, null where it has no meaning; `continuations` where a number was asked for. */
export interface Generated {
  ids: number[];
  text: string | null;
  prompt_tokens: number;
  tokens_per_second: number | null;
  rounds: number | null;
  drafted: number | null;
  accepted: number | null;
  finish_reason: FinishReason;
  /** null: greedily */
  seed: number | null;
  /** who drafted: `plan`, `none`, `self`, `heads:PATH` */
  drafter: string;
  /** null where the plan was not adapted */
  adapted: Adapted | null;
  continuations?: { ids: number[]; text: string | null; finish_reason: FinishReason }[];
}

export function generationJson(generation: Generation): Generated {
  const { ids, text, promptTokens, tokensPerSecond, rounds, drafted, accepted, finish, seed } = generation;
  const { drafter, adapted, continuations } = generation;
  const told = continuations?.map((one) => ({ ids: one.ids, text: one.text, finish_reason: one.finish }));
  return {
    ...{ ids, text, prompt_tokens: promptTokens, tokens_per_second: tokensPerSecond, rounds, drafted, accepted },
    ...{ finish_reason: finish, seed, drafter },
    adapted: adapted === null ? null : adaptedJson(adapted),
    ...(told === undefined ? {} : { continuations: told }),
  };
}

/** `12 prompt tokens, 40 new, 21.3 tokens/s, …`, and the seed where tokens were drawn. */
export function statisticsLines(generation: Generation): string[] {
  const all = generation.continuations ?? [generation];
  const many = all.length === 1 ? "" : ` in ${all.length} continuations`;
  const seeds = all.length === 1 ? "seed" : "seeds from";
  const decoded = all.map(({ ids, allRounds }) => ({ newTokens: ids.length, rounds: allRounds }));
  return [
    ...decodedLines(`${generation.promptTokens} prompt tokens`, many, decoded, generation.drafted !== null),
    ...(generation.seed === null ? [] : [`${seeds} ${generation.seed}`]),
  ];
}

/** What was run for one continuation, or one turn: the first of its tokens came from the prompt's pass. */
export interface DecodedRounds {
  newTokens: number;
  rounds: readonly Round[];
}

/** @param drafts whether anything could be drafted */
export function decodedLines(read: string, many: string, all: readonly DecodedRounds[], drafts: boolean): string[] {
  const rounds = all.flatMap((one) => one.rounds);
  const tokens = sum(all.map(({ newTokens }) => newTokens));
  const steps = sum(all.map(({ newTokens, rounds }) => (rounds.length === 0 ? 0 : newTokens - 1)));
  const us = sum(rounds.map(({ totalUs }) => totalUs));
  const speculative = rounds.filter((round) => round.drafted > 0);
  const drafted = sum(speculative.map((round) => round.drafted));
  const accepted = sum(speculative.map((round) => round.accepted));
  const speed = steps === 0 ? "" : `, ${((1e6 * steps) / us).toFixed(1)} tokens/s`;
  const share = drafted === 0 ? "" : ` (${formatPercent(accepted / drafted)})`;
  const plan = `, ${counted(speculative.length, "round")}: ${accepted} of ${drafted} drafted tokens accepted${share}`;
  return [
    `${read}, ${tokens} new${many}${speed}${drafts ? plan : ""}`,
    // also where nothing was drafted: looking for it took its time too
    ...(drafts && rounds.length > 0 ? [roundsLine(rounds)] : []),
  ];
}

/** `accepted by position: 91 %, 83 %; time: drafting 31 %, verifying 66 %, host 3 %`; without a draft, of the time alone */
function roundsLine(rounds: readonly Round[]): string {
  const longest = rounds.reduce((most, { drafted }) => Math.max(most, drafted), 0);
  const positions = Array.from({ length: longest }, (_, i) => {
    const tried = rounds.filter(({ drafted, accepted }) => drafted > i && accepted >= i);
    if (tried.length === 0) return "-";
    return formatPercent(tried.filter(({ accepted }) => accepted > i).length / tried.length);
  });
  const us = sum(rounds.map(({ totalUs }) => totalUs));
  const part = (of: (round: Round) => number) => formatPercent(us === 0 ? 0 : sum(rounds.map(of)) / us);
  const host = part(({ totalUs, draftUs, verifyUs }) => totalUs - draftUs - verifyUs);
  const times = `drafting ${part(({ draftUs }) => draftUs)}, verifying ${part(({ verifyUs }) => verifyUs)}, host ${host}`;
  const accepted = positions.length === 0 ? "" : `accepted by position: ${positions.join(", ")}; `;
  return `${accepted}${draftedText(rounds)}time: ${times}`;
}

/** `drafted 1 to 6 tokens a round, 2.9 in the mean; ` where drafts differ in length, the output's last round aside. */
function draftedText(rounds: readonly Round[]): string {
  const lengths = rounds.slice(0, -1).flatMap(({ drafted }) => (drafted === 0 ? [] : [drafted]));
  const [least, most] = [Math.min(...lengths), Math.max(...lengths)];
  if (lengths.length === 0 || least === most) return "";
  return `drafted ${least} to ${most} tokens a round, ${(sum(lengths) / lengths.length).toFixed(1)} in the mean; `;
}
