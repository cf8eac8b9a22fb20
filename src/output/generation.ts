import type { AdaptiveSummary, ArmUse } from "../decode/adaptive/policy.js";
import { compactDraft, type Draft, describeChoices } from "../schema/choice.js";
import { formatPercent } from "./format.js";

export interface Adapted {
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
    /** null: plain steps */
    draft: Draft | null;
    draft_tokens: number;
    rounds: number;
    tokens: number;
  }[];
}

const rounded = (x: number): number => Number(x.toPrecision(4));

export const adaptedJson = ({ switches, replans, replanUs, difficulty, arms }: AdaptiveSummary): Adapted => ({
  switches,
  replans,
  replan_us: rounded(replanUs),
  rejections_factor: rounded(difficulty),
  arms: arms.map(({ arm, planned, rounds, tokens }) => ({
    planned,
    draft: arm === null ? null : compactDraft(arm.draft.choices),
    draft_tokens: arm?.draftTokens ?? 0,
    rounds,
    tokens,
  })),
});

/** `adapted: stayed with the plan; …` or what was taken instead. */
export function adaptedLine({ switches, replanUs, difficulty, arms }: AdaptiveSummary, decodeUs: number): string {
  const share = decodeUs === 0 ? 0 : replanUs / decodeUs;
  const text = `rejections ${difficulty.toFixed(1)} times the calibration's`;
  const others = arms.filter(({ planned }) => !planned).sort((a, b) => b.tokens - a.tokens);
  const did =
    others.length === 0
      ? "stayed with the plan"
      : `${switches} ${switches === 1 ? "switch" : "switches"}, most of the tokens beside the plan by ${describeUse(others[0])}`;
  return `adapted: ${did}; ${text}; ${formatPercent(share)} of the time for re-planning`;
}

const describeUse = ({ arm, tokens }: ArmUse): string =>
  arm === null
    ? `plain steps (${tokens})`
    : `drafts of ${arm.draftTokens} with ${describeChoices(arm.draft.choices)} (${tokens})`;
