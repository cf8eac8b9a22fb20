/**
 * The draft length by batch in the forms that engines have for it, and each form read back as the engine reads it.
 *
 * - vLLM (vllm/v1/spec_decode/dynamic/utils.py): ranges with both ends, the first from 1; what lies behind the last range has
 *   its length, so plain decoding there is a range of its own, as far as `max_num_seqs` may be set.
 * - TensorRT-LLM (tensorrt_llm/llmapi/llm_args.py, `draft_len_schedule`): last batch of a range -> length; plain decoding
 *   behind the last. The first range must have `max_draft_len`, and none more.
 * - SGLang: none for a draft model (`--speculative-adaptive` takes EAGLE alone).
 */
import { type LengthByBatch, lengthAt } from "../../schema/length-by-batch.js";

/** [first batch, last batch, length], both included */
export type VllmSchedule = [number, number, number][];

/** Sequences at once far beyond any engine's: the last range ends here. */
const MOST_SEQUENCES = 65_536;

export function vllmSchedule(steps: LengthByBatch): VllmSchedule {
  const ranges = steps.map(({ to, draft_tokens }, i): [number, number, number] => [
    i === 0 ? 1 : steps[i - 1].to + 1,
    to,
    draft_tokens,
  ]);
  const [, last, length] = ranges[ranges.length - 1];
  return length === 0 || last >= MOST_SEQUENCES ? ranges : [...ranges, [last + 1, MOST_SEQUENCES, 0]];
}

/** As vLLM looks a batch up: gaps and what lies behind the last range have the length before. */
export function vllmLengthAt(schedule: VllmSchedule, numSpeculativeTokens: number, batch: number): number {
  const before = schedule.filter(([first]) => first <= batch);
  const [, , length] = before[before.length - 1];
  return Math.min(length, numSpeculativeTokens);
}

/** Last batch -> length. */
export type TensorRtSchedule = Record<string, number>;

/** Lengths above the first range's are not to be had: they are cut to it. */
export function tensorRtSchedule(steps: LengthByBatch): { maxDraftLen: number; schedule: TensorRtSchedule } {
  const maxDraftLen = steps[0].draft_tokens;
  const cut = steps.map(({ to, draft_tokens }): [string, number] => [String(to), Math.min(draft_tokens, maxDraftLen)]);
  while (cut.length > 1 && cut[cut.length - 1][1] === 0) cut.pop(); // plain decoding lies behind the last by itself
  return { maxDraftLen, schedule: Object.fromEntries(cut) };
}

/** As TensorRT-LLM looks a batch up. */
export function tensorRtLengthAt(schedule: TensorRtSchedule, batch: number): number {
  const ends = Object.keys(schedule)
    .map(Number)
    .sort((a, b) => a - b);
  const end = ends.find((last) => batch <= last);
  return end === undefined ? 0 : schedule[String(end)];
}

/** The longest draft of any batch: what an engine must have room for. */
export const longestDraft = (draftTokens: number, steps: LengthByBatch | undefined): number =>
  Math.max(draftTokens, ...(steps ?? []).map((step) => step.draft_tokens));

/** Whether a single length of `draftTokens` is all that the plan says. */
export const isOneLength = (draftTokens: number, steps: LengthByBatch): boolean =>
  steps.every(({ to }) => lengthAt(steps, to) === draftTokens);
