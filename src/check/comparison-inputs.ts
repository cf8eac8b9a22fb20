/** A comparison against the profile and the calibration that it names. */
import type { Comparison } from "../schema/comparison.js";
import { type Checked, isOfKind, type OpenInput, sameness } from "./documents.js";
import { type Finding, finding } from "./findings.js";
import { modelFindings } from "./model.js";

const ROLES = ["profile", "calibration"] as const;

export const comparisonInputFindings = (comparison: Checked<Comparison>, open: OpenInput): Finding[] =>
  ROLES.flatMap((role) => inputFindings(comparison, role, open));

function inputFindings(
  { file, document }: Checked<Comparison>,
  role: (typeof ROLES)[number],
  open: OpenInput,
): Finding[] {
  const { path, sha256 } = document.inputs[role];
  const opened = open(path, file);
  if (opened.state !== "read") {
    const why = opened.state === "missing" ? "is not there" : "is no valid document";
    return [
      finding(
        "INPUT_UNAVAILABLE",
        file,
        `inputs.${role}.path`,
        `${opened.file} ${why}, so nothing was held against it`,
      ),
    ];
  }
  const { checked } = opened;
  if (!isOfKind(checked, `draftplan/${role}`)) {
    const message = `${checked.file} is a ${checked.document.kind}, and a ${role} is named here`;
    return [finding("INPUT_KIND", file, `inputs.${role}.path`, message)];
  }
  const model = modelFindings(file, document.model, checked.document.model, `its ${role}`, role === "calibration");
  switch (sameness(sha256, checked)) {
    case "same":
      return model;
    case "changed": {
      const message = `${checked.file} is no longer the ${role} that methods were compared on; compare again`;
      return [finding("INPUT_CHANGED", file, `inputs.${role}.sha256`, message), ...model];
    }
    case "unproven": {
      const message = `the bytes of ${checked.file} have changed since methods were compared on it, and as the file is not laid out as draftplan writes it, whether its content has cannot be told`;
      return [finding("INPUT_UNPROVEN", file, `inputs.${role}.sha256`, message), ...model];
    }
  }
}
