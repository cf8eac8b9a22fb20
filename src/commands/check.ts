/** draftplan check: do committed plans still hold? By documents alone, against a baseline, measured side by side. */
import { compareWithBaseline, type Side, sidesOf } from "../check/baseline.js";
import { checkDocuments } from "../check/check.js";
import type { Checked } from "../check/documents.js";
import type { Finding } from "../check/findings.js";
import { type ModelFacts, tokenizerOf } from "../check/model.js";
import { ownFindings } from "../check/own.js";
import type { CheckResult } from "../check/result.js";
import { DraftplanError } from "../core/errors.js";
import { outputCheck } from "../output/check/index.js";
import { type ReadSet, readBaseline, readForCheck } from "../pipeline/check/read.js";
import { type CheckCommandOptions, DEFAULT_SECONDS, requireMeaning, tolerancePercent } from "./check-options.js";
import type { CommandContext } from "./context.js";

/** The baseline, or why there is none to compare with. */
type Baseline = { side: Side } | { findings: readonly Finding[] };

/** @returns false where something is an error, or could not be told and --fail-inconclusive was given */
export async function checkCommand(
  paths: readonly string[],
  options: CheckCommandOptions,
  context: CommandContext,
): Promise<boolean> {
  requireMeaning(options);
  const tolerance = tolerancePercent(options.tolerance);
  const set = readForCheck(paths);
  const baseline = options.baseline === undefined ? null : openBaseline(options.baseline);
  const facts = options.model === undefined ? null : await factsOf(options.model, set.documents);
  const parts: Partial<CheckResult>[] = [{ findings: set.faults }, { findings: await checkSet(set, facts) }];
  if (baseline !== null && "findings" in baseline) parts.push({ findings: [...baseline.findings] });
  else {
    const candidates = sidesOf(set.given, set.open);
    const compared = baseline === null ? null : compareWithBaseline(candidates, baseline.side, tolerance / 100);
    if (compared !== null) parts.push(compared);
    if (options.measure === true && options.model !== undefined && facts !== null) {
      const { measureAll } = await import("../pipeline/check/candidates.js");
      const { model, prompts, time: seconds = DEFAULT_SECONDS } = options;
      const measuring = { model, prompts, seconds, tolerancePercent: tolerance };
      const measured = await measureAll(candidates, baseline?.side ?? null, facts, measuring, context);
      parts.push(...measured);
      // plans that predict nothing can be compared by running them
      if (compared !== null && measured.length > 0)
        compared.findings = compared.findings.filter(({ code }) => code !== "NOTHING_COMPARED");
    }
  }
  const result = joined(set.files, parts);
  await outputCheck(result, options, context);
  const failed = result.regressed || result.findings.some(({ severity }) => severity === "error");
  return !failed && !(result.inconclusive && options.failInconclusive === true);
}

/** The solver is loaded when it is needed: options are refused without it. */
async function checkSet({ documents, open }: ReadSet, model: ModelFacts | null): Promise<Finding[]> {
  const { solver } = await import("../pipeline/check/solver.js");
  return checkDocuments({ documents, open, solver, model });
}

async function factsOf(source: string, documents: readonly Checked[]): Promise<ModelFacts> {
  const { modelFacts } = await import("../pipeline/check/model.js");
  const withTokenizer = documents.some((checked) => tokenizerOf(checked) !== undefined);
  return modelFacts(source, withTokenizer);
}

/** @throws FILE_NOT_FOUND, FILE_UNREADABLE; DOCUMENT_KIND for a document that has no speed */
function openBaseline(path: string): Baseline {
  const { opened, open } = readBaseline(path);
  if (opened.state === "faulty") return opened;
  if (opened.state === "missing") throw new Error(`${path} was read and is missing`);
  const { checked } = opened;
  const [side] = sidesOf([checked], open);
  if (side !== undefined) return { side };
  const { kind } = checked.document;
  if (kind === "draftplan/plan") return { findings: ownFindings(checked) };
  throw new DraftplanError({
    code: "DOCUMENT_KIND",
    at: `--baseline ${path}`,
    what: `this is a ${kind}, which has no speed to compare with`,
    remedy: "Give a plan or a verification.",
  });
}

function joined(files: string[], parts: readonly Partial<CheckResult>[]): CheckResult {
  return {
    files,
    findings: parts.flatMap((part) => part.findings ?? []),
    regressed: parts.some((part) => part.regressed === true),
    inconclusive: parts.some((part) => part.inconclusive === true),
    compared: parts.flatMap((part) => part.compared ?? []),
    decided: parts.flatMap((part) => part.decided ?? []),
  };
}
