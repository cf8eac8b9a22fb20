/** An export by itself, and against the plan that it was made from. */
import { lookupIn } from "../schema/drafter.js";
import type { Export } from "../schema/export.js";
import { sum } from "../stats/numbers.js";
import { draftFindings } from "./blocks.js";
import { type Checked, isOfKind, type OpenInput, sameness } from "./documents.js";
import { agrees, show } from "./figures.js";
import { type Finding, finding } from "./findings.js";
import { modelFindings } from "./model.js";

export function exportFindings(file: string, document: Export): Finding[] {
  const { draft, model } = document;
  return [
    ...(draft === undefined ? [] : draftFindings(file, draft, model.layers, "draft")),
    ...predictedFindings(file, document),
  ];
}

/** The curve has a value for every drafted token, and gives the rate and the length beside it. */
function predictedFindings(file: string, { predicted, drafter, draft_tokens: d }: Export): Finding[] {
  if (predicted === null) return [];
  const { acceptance_curve: curve, acceptance, accepted_length } = predicted;
  const wrong = (key: string, message: string) => finding("PREDICTED_INCONSISTENT", file, `predicted.${key}`, message);
  if (curve.length !== d + 1)
    return [wrong("acceptance_curve", `${curve.length} values, and ${d} drafted tokens have ${d + 1}: a_0 to a_${d}`)];
  const length = sum(curve);
  const rate = (length - 1) / sum(curve.slice(0, -1));
  return [
    ...(agrees(accepted_length, length)
      ? []
      : [wrong("accepted_length", `${accepted_length}, and the acceptance curve gives ${show(length)}`)]),
    // a lookup's rate is of the tokens it drafts, and its curve a mean over rounds without a draft too
    ...(lookupIn(drafter) !== null || agrees(acceptance, rate)
      ? []
      : [wrong("acceptance", `${acceptance}, and the acceptance curve gives ${show(rate)}`)]),
  ];
}

export function exportPlanFindings({ file, document }: Checked<Export>, open: OpenInput): Finding[] {
  const opened = open(document.plan.path, file);
  if (opened.state !== "read") {
    const why = opened.state === "missing" ? "is not there" : "is no valid document";
    return [finding("INPUT_UNAVAILABLE", file, "plan.path", `${opened.file} ${why}, so nothing was held against it`)];
  }
  const { checked: plan } = opened;
  if (!isOfKind(plan, "draftplan/plan")) {
    const message = `${plan.file} is a ${plan.document.kind}, and a plan is named here`;
    return [finding("INPUT_KIND", file, "plan.path", message)];
  }
  const model = modelFindings(file, document.model, plan.document.model, "its plan");
  switch (sameness(document.plan.sha256, plan)) {
    case "same":
      return model;
    case "changed": {
      const message = `${plan.file} is no longer the plan that was exported; export it again`;
      return [finding("INPUT_CHANGED", file, "plan.sha256", message), ...model];
    }
    case "unproven": {
      const message = `the bytes of ${plan.file} have changed since it was exported, and as the file is not laid out as draftplan writes it, whether its content has cannot be told`;
      return [finding("INPUT_UNPROVEN", file, "plan.sha256", message), ...model];
    }
  }
}
