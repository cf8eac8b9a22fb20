/**
 * What a check can find. Codes are stable: CI configurations name them. Each is explained in docs/findings.md, and a test
 * holds the two equal. An error makes the check fail; a warning and a note do not.
 */
export type Severity = "error" | "warning" | "note";

export const FINDING_CODES = {
  /** the file is not readable as YAML */
  DOCUMENT_SYNTAX: "error",
  /** `kind` is missing, or names no kind that this draftplan knows */
  DOCUMENT_KIND: "error",
  /** `version` is not one that this draftplan reads */
  DOCUMENT_VERSION: "error",
  /** a key is missing, unknown, or has a value it cannot have */
  DOCUMENT_INVALID: "error",
  /** the file is there and cannot be read */
  DOCUMENT_UNREADABLE: "error",
  /** values of one document contradict each other */
  DOCUMENT_INCONSISTENT: "error",
  /** a profile says that a part of the model takes no time, though its weights have to be read */
  PROFILE_BELOW_FLOOR: "warning",
  /** a folder holds no document of draftplan's */
  NOTHING_TO_CHECK: "error",

  /** a draft names a block that the model does not have */
  BLOCK_UNKNOWN: "error",
  /** a draft names a block twice */
  BLOCK_DUPLICATE: "error",
  /** a list with one value a layer is too short, or missing */
  BLOCK_MISSING: "error",
  /** the draft length is 0, or not one that a plan can have */
  DRAFT_TOKENS_INVALID: "error",
  /** two segments of a plan cover the same context */
  RANGES_OVERLAP: "error",
  /** no segment of a plan covers a context before its last one */
  RANGES_GAP: "error",

  /** a document that this one was made from cannot be read, so what depends on it was not checked */
  INPUT_UNAVAILABLE: "warning",
  /** what is named as an input is a document of another kind */
  INPUT_KIND: "error",
  /** an input is no longer what this document was made from */
  INPUT_CHANGED: "error",
  /** an input's bytes have changed, and whether its content has cannot be told */
  INPUT_UNPROVEN: "warning",
  /** profile and calibration do not belong together */
  INPUTS_MIXED: "error",
  /** a document is of another model */
  MODEL_DIFFERS: "error",
  /** documents were made with different tokenizers */
  TOKENIZER_DIFFERS: "error",
  /** a tokenizer is recorded and could not be compared */
  TOKENIZER_UNCHECKED: "warning",
  /** documents that belong together were measured with different versions of the runtime */
  RUNTIME_DIFFERS: "warning",
  /** documents were measured on different devices: only ratios and acceptance compare */
  DEVICE_DIFFERS: "note",

  /** solved again from its inputs, the plan is another one */
  PLAN_DIFFERS: "error",
  /** some of a plan's predictions lie beyond what was profiled */
  PLAN_EXTRAPOLATED: "warning",
  /** the plan could not be solved again */
  PLAN_NOT_SOLVED: "warning",
  /** predicted figures do not follow from each other */
  PREDICTED_INCONSISTENT: "error",
  /** predicted figures do not follow from the inputs */
  PREDICTED_DIFFERS: "error",
  /** a segment drafts where it predicts that drafting loses */
  PREDICTED_LOSS: "error",

  /** the plan has changed since it was verified */
  VERIFICATION_STALE: "error",
  /** the verification says of its plan what the plan does not say */
  VERIFICATION_MISMATCH: "error",
  /** figures of a verification do not follow from each other */
  VERIFICATION_INCONSISTENT: "error",
  /** the tokens of a verification are not those that it judged */
  VERIFICATION_TOKENS_CHANGED: "error",
  /** what `verify` was asked to hold did not hold */
  VERIFICATION_FAILED: "error",

  /** figures of a comparison do not follow from each other */
  COMPARISON_INCONSISTENT: "error",

  /** predicted slower than the baseline by more than the tolerance */
  SLOWER_PREDICTED: "error",
  /** verified slower than the baseline: the whole 95 % interval lies beyond the tolerance */
  SLOWER_VERIFIED: "error",
  /** the draft does other things with its blocks, or has another length, than the baseline's */
  BLOCKS_CHANGED: "note",
  /** a document, or a figure of it, cannot be held against the baseline */
  NOT_COMPARED: "note",
  /** no figure of any document given could be held against the baseline */
  NOTHING_COMPARED: "error",

  /** in the engine fewer drafted tokens are accepted than predicted: the whole 95 % interval lies beyond the tolerance */
  ACCEPTANCE_LOWER: "error",
  /** the engine drafts another number of tokens a round than the plan */
  DRAFT_LENGTH_DIFFERS: "warning",

  /** measured side by side, the whole one-sided 99 % interval lies beyond tolerance and this machine's own noise */
  SLOWER_MEASURED: "error",
  /** time ended before the interval was narrow enough to tell */
  MEASUREMENT_INCONCLUSIVE: "warning",
  /** an emitted token is not the target's own */
  NOT_LOSSLESS: "error",
} as const satisfies Record<string, Severity>;

export type FindingCode = keyof typeof FINDING_CODES;

export interface Finding {
  code: FindingCode;
  severity: Severity;
  /** as the user gave it, or found in the folder given */
  file: string;
  /** key within the file, e.g. `segments[0].predicted.speedup`; "" for the whole file */
  where: string;
  message: string;
}

export const finding = (code: FindingCode, file: string, where: string, message: string): Finding => ({
  code,
  severity: FINDING_CODES[code],
  file,
  where,
  message,
});
