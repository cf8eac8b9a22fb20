/** Depth (b) of a check: candidates against a baseline, by what documents say of both. Nothing is measured. */
import type { ModelRef } from "../schema/common.js";
import type { Plan } from "../schema/plan.js";
import type { Verification } from "../schema/verification.js";
import { describeChange, whereOf } from "./changes.js";
import { consistencyFindings, hasKnownBlocks } from "./consistency.js";
import { type Checked, isOfKind, type OpenInput, sameness } from "./documents.js";
import { type Finding, finding } from "./findings.js";
import { comparePredictions, rangesOf } from "./predicted-speed.js";
import type { Comparison } from "./result.js";
import { compareVerified } from "./verified-speed.js";

/** A plan, a verification, or a verification with its plan. */
export interface Side {
  file: string;
  plan: Checked<Plan> | null;
  verification: Checked<Verification> | null;
}

/** Verifications with their plans, and the plans that none of them is about. */
export function sidesOf(given: readonly Checked[], open: OpenInput): Side[] {
  const usable = (plan: Checked<Plan>) => hasKnownBlocks(consistencyFindings(plan));
  const verified = given.flatMap((checked) => {
    if (!isOfKind(checked, "draftplan/verification")) return [];
    const named = open(checked.document.plan.path, checked.file);
    const plan =
      named.state === "read" && isOfKind(named.checked, "draftplan/plan") && usable(named.checked)
        ? named.checked
        : null;
    const isIts = plan !== null && sameness(checked.document.plan.sha256, plan) !== "changed";
    return [{ file: checked.file, plan: isIts ? plan : null, verification: checked }];
  });
  const covered = new Set(verified.map(({ plan }) => plan));
  const alone = given.flatMap((checked) =>
    isOfKind(checked, "draftplan/plan") && usable(checked) && !covered.has(checked)
      ? [{ file: checked.file, plan: checked, verification: null }]
      : [],
  );
  return [...verified, ...alone];
}

/** @param tolerance share, 0.05 */
export function compareWithBaseline(candidates: readonly Side[], baseline: Side, tolerance: number): Comparison {
  const isSameModel = (side: Side) => otherModel(side, baseline) === null;
  const fitting = candidates.filter(isSameModel);
  const plans = [...new Set(fitting.flatMap(({ plan }) => plan ?? []))]; // several verifications may be of one plan
  const verifications = fitting.flatMap(({ verification }) => verification ?? []);
  const { plan: basePlan, verification: baseVerification } = baseline;
  const parts = [
    ...(basePlan === null ? [] : plans.map((plan) => comparePlans(plan, basePlan, tolerance))),
    ...(baseVerification === null
      ? []
      : verifications.map((verification) => compareVerified(verification, baseVerification, tolerance))),
  ];
  const findings = [
    ...candidates.flatMap((side) => otherModel(side, baseline) ?? []),
    ...parts.flatMap((part) => part.findings),
  ];
  const decided = parts.flatMap((part) => part.decided);
  if (decided.length === 0) {
    const message = "no document given has a figure that could be held against one of this; nothing was compared";
    findings.push(finding("NOTHING_COMPARED", baseline.file, "", message));
  }
  return {
    findings,
    decided,
    compared: parts.flatMap((part) => part.compared),
    regressed: parts.some((part) => part.regressed),
  };
}

/** Other weights compare: that a new model is slower is what a comparison is to show. */
function otherModel(candidate: Side, baseline: Side): Finding | null {
  const [mine, theirs] = [modelOf(candidate), modelOf(baseline)];
  if (mine.architecture_sha256 === theirs.architecture_sha256 && mine.layers === theirs.layers) return null;
  const message = `it is of ${mine.name}, and the baseline (${baseline.file}) of ${theirs.name}, another architecture`;
  return finding("NOT_COMPARED", candidate.file, "model", message);
}

function modelOf({ plan, verification }: Side): ModelRef {
  const document = verification?.document ?? plan?.document;
  if (document === undefined) throw new Error("a side of a comparison has a plan or a verification");
  return document.model;
}

function comparePlans(candidate: Checked<Plan>, baseline: Checked<Plan>, tolerance: number): Comparison {
  const speeds = comparePredictions(candidate, baseline, tolerance);
  const changes = changeNotes(candidate, baseline);
  // plans written by hand predict nothing, and where they do the same there is nothing to predict
  const same = `${candidate.file}: does the same as ${baseline.file} at every context, so neither is slower`;
  const decided = speeds.decided.length === 0 && changes.length === 0 ? [same] : speeds.decided;
  return { ...speeds, decided, findings: [...speeds.findings, ...changes] };
}

function changeNotes(candidate: Checked<Plan>, baseline: Checked<Plan>): Finding[] {
  const { layers } = candidate.document.model;
  return rangesOf(baseline.document, candidate.document).flatMap(({ from, to, before, after }) => {
    const change = describeChange(before.segment, after.segment, layers);
    if (change === null) return [];
    const message = `at context ${from} to ${to}, since ${baseline.file}: ${change}`;
    return [finding("BLOCKS_CHANGED", candidate.file, whereOf(candidate.document, after.index), message)];
  });
}
