/** Why a text is no valid document -> findings. */
import type { DraftplanError, ErrorCode } from "../core/errors.js";
import { type DocumentFault, InvalidDocument, type Kind } from "../schema/document.js";
import { type Finding, type FindingCode, finding } from "./findings.js";

const SAME_CODE: Partial<Record<ErrorCode, FindingCode>> = {
  DOCUMENT_KIND: "DOCUMENT_KIND",
  DOCUMENT_VERSION: "DOCUMENT_VERSION",
  FILE_UNREADABLE: "DOCUMENT_UNREADABLE",
  TEXT_NOT_UTF8: "DOCUMENT_UNREADABLE",
};

/** YAML refuses a repeated key before anyone asks what it names. */
const REPEATED_BLOCK = /the key '((?:head|\d+\.(?:attn|mlp)))' stands twice/;

/** @param error what reading or parsing the file failed with */
export function invalidDocumentFindings(file: string, error: DraftplanError): Finding[] {
  if (error instanceof InvalidDocument) {
    return error.faults.map((fault) =>
      finding(codeOf(fault, error.kind), file, fault.where, `${lineOf(fault)}${fault.what}`),
    );
  }
  if (error.code === "DOCUMENT_SYNTAX") {
    const code = REPEATED_BLOCK.test(error.what) ? "BLOCK_DUPLICATE" : "DOCUMENT_SYNTAX";
    return [finding(code, file, "", error.what)];
  }
  const code = SAME_CODE[error.code];
  if (code === undefined) throw error;
  return [finding(code, file, code === "DOCUMENT_UNREADABLE" ? "" : error.at.slice(`${file}: `.length), error.what)];
}

const lineOf = ({ line }: DocumentFault): string => (line === null ? "" : `line ${line}: `);

function codeOf(fault: DocumentFault, kind: Kind): FindingCode {
  switch (kind) {
    case "draftplan/plan":
      return planCode(fault);
    case "draftplan/profile":
      return isMissingLayer(fault, "points") ? "BLOCK_MISSING" : "DOCUMENT_INVALID";
    case "draftplan/calibration":
      return isMissingLayer(fault, "contexts") ? "BLOCK_MISSING" : "DOCUMENT_INVALID";
    case "draftplan/verification":
    case "draftplan/comparison":
    case "draftplan/targets":
    case "draftplan/export":
      return "DOCUMENT_INVALID";
  }
}

function planCode({ path, what }: DocumentFault): FindingCode {
  if (path[0] !== "segments") return "DOCUMENT_INVALID";
  if (path[2] === "draft_tokens" && !/speculate/.test(what)) return "DRAFT_TOKENS_INVALID";
  if (path[2] === "context_tokens" && what.startsWith("gap:")) return "RANGES_GAP";
  if (path[2] === "context_tokens" && what.startsWith("overlap:")) return "RANGES_OVERLAP";
  return "DOCUMENT_INVALID";
}

/** `points[3].attn_us`, or a kernel of it, is missing or has fewer values than the model has layers. */
function isMissingLayer({ path, what }: DocumentFault, list: string): boolean {
  if (path[0] !== list || !/^(attn|mlp)/.test(String(path[2]))) return false;
  const [, there, layers] = /^(\d+) layers, and the model has (\d+)$/.exec(what) ?? [];
  return /missing/.test(what) || Number(there) < Number(layers);
}
