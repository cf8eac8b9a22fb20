/**
 * Every failure a user can cause or meet is a DraftplanError: it says where, what and what to do.
 * The closed list of codes is explained in docs/errors.md, and a test holds the two equal.
 */

/** Exit codes of the command line (docs/errors.md). */
export const EXIT = { done: 0, failedCheck: 1, usage: 2, input: 3, device: 4 } as const;

/** code -> exit code */
export const ERROR_CODES = {
  USAGE: EXIT.usage,
  OPTION_INVALID: EXIT.usage,
  NOT_YET_SUPPORTED: EXIT.usage,
  DRAFTER_NOT_OPEN: EXIT.usage,
  NOTHING_TO_EXPORT: EXIT.usage,

  FILE_NOT_FOUND: EXIT.input,
  FILE_UNREADABLE: EXIT.input,
  FILE_UNWRITABLE: EXIT.input,
  DOCUMENT_IN_USE: EXIT.input,
  TEXT_NOT_UTF8: EXIT.input,

  HUB_NOT_FOUND: EXIT.input,
  HUB_ACCESS: EXIT.input,
  HUB_UNREACHABLE: EXIT.input,
  HUB_INVALID: EXIT.input,

  MODEL_NOT_RECOGNISED: EXIT.input,
  ARCHITECTURE_UNSUPPORTED: EXIT.input,
  CONFIG_INVALID: EXIT.input,
  CHECKPOINT_CORRUPT: EXIT.input,
  TENSOR_MISSING: EXIT.input,
  TENSOR_SHAPE: EXIT.input,
  TENSOR_TYPE_UNSUPPORTED: EXIT.input,
  HEADS_UNSUPPORTED: EXIT.input,
  HEADS_MISMATCH: EXIT.input,
  DRAFT_MODEL_MISMATCH: EXIT.input,

  TOKENIZER_MISSING: EXIT.input,
  TOKENIZER_INVALID: EXIT.input,
  CHAT_TEMPLATE_MISSING: EXIT.input,
  CHAT_TEMPLATE_INVALID: EXIT.input,
  TOKEN_IDS_INVALID: EXIT.input,
  TEXT_TOO_SHORT: EXIT.input,

  DOCUMENT_SYNTAX: EXIT.input,
  DOCUMENT_INVALID: EXIT.input,
  DOCUMENT_KIND: EXIT.input,
  DOCUMENT_VERSION: EXIT.input,
  DOCUMENT_MISMATCH: EXIT.input,
  DIGEST_MISMATCH: EXIT.input,
  INPUTS_MISSING: EXIT.input,
  CSV_INVALID: EXIT.input,
  BLOCK_UNKNOWN: EXIT.input,
  CHOICE_UNAVAILABLE: EXIT.input,
  DRAFTER_UNAVAILABLE: EXIT.input,
  WEIGHT_BYTES_MISSING: EXIT.input,
  EXPORT_UNSUPPORTED: EXIT.input,
  METRICS_UNKNOWN: EXIT.input,
  METRICS_EMPTY: EXIT.input,

  CONTEXT_OUT_OF_RANGE: EXIT.input,
  CONTEXT_LIMIT: EXIT.input,

  BUDGET_INFEASIBLE: EXIT.input,
  TREE_INVALID: EXIT.input,
  GROUP_INVALID: EXIT.input,
  LP_BOUND_VIOLATED: EXIT.failedCheck,

  RUNTIME_LOAD: EXIT.device,
  RUNTIME_FAILED: EXIT.device,
  TRACE_INVALID: EXIT.device,
  PROVIDER_UNAVAILABLE: EXIT.device,
  OUT_OF_MEMORY: EXIT.device,
  INTERNAL: EXIT.device,
} as const;

export type ErrorCode = keyof typeof ERROR_CODES;

export interface ErrorDetail {
  code: ErrorCode;
  /** file, key or option: `plan.yaml: segments[0].draft.skip[1]` */
  at: string;
  what: string;
  /** a command or a change to try */
  remedy: string;
  cause?: unknown;
}

export class DraftplanError extends Error {
  readonly code: ErrorCode;
  readonly at: string;
  readonly what: string;
  readonly remedy: string;

  constructor({ code, at, what, remedy, cause }: ErrorDetail) {
    super(`${at}: ${what}`, cause === undefined ? undefined : { cause });
    this.name = "DraftplanError";
    this.code = code;
    this.at = at;
    this.what = what;
    this.remedy = remedy;
  }

  get exitCode(): number {
    return ERROR_CODES[this.code];
  }
}
