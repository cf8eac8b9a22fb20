/** Depth (a) of a check: documents by themselves, against what they were made from, and against a model. */
import { comparisonInputFindings } from "./comparison-inputs.js";
import { consistencyFindings, hasKnownBlocks } from "./consistency.js";
import { type Checked, isOfKind, type OpenInput } from "./documents.js";
import { exportPlanFindings } from "./export.js";
import type { Finding } from "./findings.js";
import { givenModelFindings, type ModelFacts } from "./model.js";
import { planInputFindings } from "./plan.js";
import { remembering, type Solver } from "./solver.js";
import { verificationPlanFindings } from "./verification.js";

export interface CheckRequest {
  /** valid documents, each once; those that others of them name are among them where they could be read */
  documents: readonly Checked[];
  open: OpenInput;
  solver: Solver;
  /** null: no model was given */
  model: ModelFacts | null;
}

export function checkDocuments({ documents, open, solver, model }: CheckRequest): Finding[] {
  const known = new Map<Checked, Finding[]>();
  const consistencyOf = (checked: Checked): Finding[] => {
    let found = known.get(checked);
    if (found === undefined) {
      found = consistencyFindings(checked);
      known.set(checked, found);
    }
    return found;
  };
  const isSound = (checked: Checked) => consistencyOf(checked).every(({ severity }) => severity !== "error");
  const context = { open, solver: remembering(solver), isSound };
  return documents.flatMap((checked) => {
    const found = [...consistencyOf(checked)];
    if (isOfKind(checked, "draftplan/plan") && hasKnownBlocks(found))
      found.push(...planInputFindings(checked, context));
    if (isOfKind(checked, "draftplan/comparison")) found.push(...comparisonInputFindings(checked, open));
    if (isOfKind(checked, "draftplan/export")) found.push(...exportPlanFindings(checked, open));
    if (isOfKind(checked, "draftplan/verification")) found.push(...verificationPlanFindings(checked, open));
    if (model !== null) found.push(...givenModelFindings(checked, model));
    return found;
  });
}
