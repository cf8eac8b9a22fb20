import { DraftplanError } from "../core/errors.js";

const WITHOUT_TEXT = "or pass token ids, which need no tokenizer: draftplan generate MODEL --prompt-ids FILE";

export function tokenizerMissing(at: string, what: string, remedy: string): DraftplanError {
  return new DraftplanError({ code: "TOKENIZER_MISSING", at, what, remedy: `${remedy}; ${WITHOUT_TEXT}` });
}

/** The definition contradicts itself or its format. `where` names the key. */
export function tokenizerInvalid(file: string, where: string, what: string, cause?: unknown): DraftplanError {
  const remedy = `download the file again from the model's publisher; ${WITHOUT_TEXT}`;
  return new DraftplanError({ code: "TOKENIZER_INVALID", at: `${file}: ${where}`, what, remedy, cause });
}

/** Well-formed, but nothing here reproduces its ids exactly, and wrong ids would pass for a bad model. */
export function tokenizerUnsupported(file: string, where: string, what: string): DraftplanError {
  const remedy =
    "encode the text with the model's own tokenizer and pass the ids: draftplan generate MODEL --prompt-ids FILE";
  return new DraftplanError({ code: "TOKENIZER_INVALID", at: `${file}: ${where}`, what, remedy });
}

export function chatTemplateMissing(file: string): DraftplanError {
  return new DraftplanError({
    code: "CHAT_TEMPLATE_MISSING",
    at: file,
    what: "the tokenizer has no default chat template, so the prompt for a conversation is unknown",
    remedy: "pass the whole prompt instead: draftplan generate MODEL --prompt TEXT",
  });
}

export function chatTemplateInvalid(file: string, what: string, cause?: unknown): DraftplanError {
  return new DraftplanError({
    code: "CHAT_TEMPLATE_INVALID",
    at: `${file}: chat template`,
    what,
    remedy: "correct the template, or pass the whole prompt instead: draftplan generate MODEL --prompt TEXT",
    cause,
  });
}

/** What an unknown thrown value says, on one line. */
export function messageOf(thrown: unknown): string {
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return text.replace(/\s+/g, " ").slice(0, 300);
}
