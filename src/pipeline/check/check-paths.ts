/** All that `check` looks at: documents, a baseline beside them, and both run side by side. */
import { compareWithBaseline, type Side, sidesOf } from "../../check/baseline.js";
import { checkDocuments } from "../../check/check.js";
import { consistencyFindings } from "../../check/consistency.js";
import type { Checked } from "../../check/documents.js";
import type { Finding } from "../../check/findings.js";
import { type ModelFacts, tokenizerOf } from "../../check/model.js";
import type { CheckResult } from "../../check/result.js";
import { DraftplanError } from "../../core/errors.js";
import type { PipelineContext } from "../context.js";
import { type ReadSet, readBaseline, readForCheck } from "./read.js";

export interface CheckRequest {
  /** a plan or a verification that the ones given must not be slower than */
  baseline?: string | undefined;
  /** slower by no more than this is no regression */
  tolerancePercent: number;
  /** the model that documents must be of */
  model?: string | undefined;
  /** how to run plans on `model`; undefined: documents alone */
  measure?: { prompts: string | undefined; seconds: number } | undefined;
}

/** The baseline, or why there is none to compare with. */
type Baseline = { side: Side } | { findings: readonly Finding[] };

/**
 * @param paths documents, and folders of them
 * @throws FILE_NOT_FOUND, FILE_UNREADABLE, DOCUMENT_KIND for a baseline without speed, what measuring throws
 */
export async function checkPaths(
  paths: readonly string[],
  { baseline: baselinePath, tolerancePercent, model, measure }: CheckRequest,
  context: PipelineContext,
): Promise<CheckResult> {
  const set = readForCheck(paths);
  const baseline = baselinePath === undefined ? null : openBaseline(baselinePath);
  const facts = model === undefined ? null : await factsOf(model, set.documents);
  const parts: Partial<CheckResult>[] = [{ findings: set.faults }, { findings: await checkSet(set, facts) }];
  if (baseline !== null && "findings" in baseline) parts.push({ findings: [...baseline.findings] });
  else {
    const candidates = sidesOf(set.given, set.open);
    const compared = baseline === null ? null : compareWithBaseline(candidates, baseline.side, tolerancePercent / 100);
    if (compared !== null) parts.push(compared);
    if (measure !== undefined && model !== undefined && facts !== null) {
      const { measureAll } = await import("./candidates.js");
      const measuring = { model, ...measure, tolerancePercent };
      const measured = await measureAll(candidates, baseline?.side ?? null, facts, measuring, context);
      parts.push(...measured);
      // plans that predict nothing can be compared by running them
      if (compared !== null && measured.length > 0)
        compared.findings = compared.findings.filter(({ code }) => code !== "NOTHING_COMPARED");
    }
  }
  return joined(set.files, parts);
}

/** The solver is loaded when it is needed: options are refused without it. */
async function checkSet({ documents, open }: ReadSet, model: ModelFacts | null): Promise<Finding[]> {
  const { solver } = await import("./solver.js");
  return checkDocuments({ documents, open, solver, model });
}

async function factsOf(source: string, documents: readonly Checked[]): Promise<ModelFacts> {
  const { modelFacts } = await import("./model.js");
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
  if (kind === "draftplan/plan") return { findings: consistencyFindings(checked) };
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
