/** The tokens of a verification: counts that add up, outputs that are those it judged, verdicts that fit them. */
import { sha256 } from "../schema/document.js";
import { DEFAULT_PRECISION } from "../schema/numerics.js";
import { TIE_MARGINS, tieMarginOf, type Verification } from "../schema/verification.js";
import { sum } from "../stats/numbers.js";
import { type Finding, finding } from "./findings.js";

type PromptRecord = Verification["prompts"][number];

export function tokenFindings(file: string, verification: Verification): Finding[] {
  return [
    ...marginFindings(file, verification),
    ...totalFindings(file, verification),
    ...digestFindings(file, verification),
    ...verification.prompts.flatMap((prompt, i) => [
      ...verdictFindings(file, prompt, `prompts[${i}]`, tieMarginOf(verification)),
      ...outputFindings(file, prompt, `prompts[${i}]`, verification.max_tokens),
    ]),
    ...losslessFindings(file, verification),
  ];
}

const changed = (file: string, where: string, message: string) =>
  finding("VERIFICATION_TOKENS_CHANGED", file, where, message);

/** The margin is not the document's to choose: it follows from what the target computes with. */
function marginFindings(file: string, verification: Verification): Finding[] {
  const { target = DEFAULT_PRECISION } = verification.device;
  const said = tieMarginOf(verification);
  if (said === TIE_MARGINS[target]) return [];
  const message = `${said}, and for a target in ${target} it is ${TIE_MARGINS[target]}`;
  return [finding("VERIFICATION_INCONSISTENT", file, "tie_margin", message)];
}

function totalFindings(file: string, { prompts, tokens, ties }: Verification): Finding[] {
  const totals = [
    { key: "tokens", said: tokens, found: sum(prompts.map((prompt) => prompt.tokens)) },
    { key: "ties", said: ties, found: sum(prompts.map((prompt) => prompt.ties)) },
  ];
  return totals
    .filter(({ said, found }) => said !== found)
    .map(({ key, said, found }) => changed(file, key, `${said}, and the prompts have ${found} together`));
}

/** Digests are of the lists of all prompts; where one prompt's ids were left out they cannot be formed. */
function digestFindings(file: string, { prompts, reference_sha256, output_sha256 }: Verification): Finding[] {
  const references = prompts.map((prompt) => prompt.reference_ids);
  if (references.includes(undefined)) return [];
  const outputs = prompts.map((prompt) => prompt.output_ids ?? prompt.reference_ids);
  const digests = [
    { key: "reference_sha256", said: reference_sha256, ids: references, whose: "the target's outputs" },
    { key: "output_sha256", said: output_sha256, ids: outputs, whose: "the plan's outputs" },
  ];
  return digests
    .filter(({ said, ids }) => said !== undefined && said !== sha256(JSON.stringify(ids)))
    .map(({ key, whose }) => changed(file, key, `it is not the digest of the token ids below: ${whose} were changed`));
}

/** What is said of one output, without the output itself. */
function verdictFindings(file: string, prompt: PromptRecord, where: string, tieMargin: number): Finding[] {
  const { ties, first_mismatch: mismatch, worst_margin: margin, tie_margins: margins } = prompt;
  const wrong = (key: string, message: string) =>
    finding("VERIFICATION_INCONSISTENT", file, `${where}.${key}`, message);
  const found: Finding[] = [];
  if (mismatch === null && margin > tieMargin)
    found.push(wrong("worst_margin", `${margin}, and no token is said to lie beyond ${tieMargin} of the maximum`));
  if (mismatch === null && ties === 0 && margin > 0)
    found.push(wrong("worst_margin", `${margin}, and every token is said to be the maximum`));
  if (margins === undefined) return found;
  if (margins.length !== ties) found.push(wrong("tie_margins", `${margins.length} ties, and ties says ${ties}`));
  const beyond = margins.find((tie) => tie.margin > tieMargin);
  if (beyond !== undefined)
    found.push(wrong("tie_margins", `a margin of ${beyond.margin} is no tie: the limit is ${tieMargin}`));
  return found;
}

/** One output beside the target's own. */
function outputFindings(file: string, prompt: PromptRecord, where: string, maxTokens: number): Finding[] {
  const { reference_ids: reference, ties, first_mismatch: mismatch, tie_margins: margins } = prompt;
  if (reference === undefined) {
    const tooMany = mismatch === null && prompt.tokens > maxTokens;
    return tooMany ? [changed(file, `${where}.tokens`, `${prompt.tokens}, and ${maxTokens} were asked for`)] : [];
  }
  const output = prompt.output_ids ?? reference;
  const found: Finding[] = [];
  if (output.length !== prompt.tokens)
    found.push(changed(file, `${where}.tokens`, `${prompt.tokens}, and the output has ${output.length}`));
  if (reference.length > maxTokens || (mismatch === null && output.length > maxTokens))
    found.push(changed(file, where, `an output of more than the ${maxTokens} tokens asked for`));
  const first = firstDifference(output, reference);
  if (first === null) {
    if (mismatch !== null || ties > 0)
      found.push(changed(file, where, "the output is the target's own, and yet ties or a mismatch are recorded"));
    return found;
  }
  const isTie = margins === undefined ? ties > 0 : margins.some(({ position }) => position === first);
  if (mismatch !== first && !isTie)
    found.push(changed(file, where, `token ${first} is not the target's, and is recorded as neither tie nor mismatch`));
  return found;
}

/** The first place where two outputs part, the end of one of them included. */
function firstDifference(a: readonly number[], b: readonly number[]): number | null {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) if (a[i] !== b[i]) return i;
  return a.length === b.length ? null : length;
}

function losslessFindings(file: string, { lossless, prompts, distribution }: Verification): Finding[] {
  const failing = prompts.findIndex((prompt) => prompt.first_mismatch !== null);
  const found: Finding[] = [];
  if (failing === -1 && distribution?.holds === false) {
    const message = "what was drawn has not the target's distribution";
    return lossless
      ? [finding("VERIFICATION_INCONSISTENT", file, "lossless", `true, and ${message}`)]
      : [finding("NOT_LOSSLESS", file, "distribution", message)];
  }
  if (lossless !== (failing === -1)) {
    const message = `${lossless}, and ${failing === -1 ? "no prompt has" : `prompts[${failing}] has`} a first_mismatch`;
    found.push(finding("VERIFICATION_INCONSISTENT", file, "lossless", message));
  }
  if (!lossless || failing !== -1) {
    const { prompt, first_mismatch: token } = prompts[Math.max(0, failing)];
    const where = failing === -1 ? "lossless" : `prompts[${failing}].first_mismatch`;
    const message =
      failing === -1 ? "an output is not the target's own" : `token ${token} after '${prompt}' is not the target's own`;
    found.push(finding("NOT_LOSSLESS", file, where, message));
  }
  return found;
}
