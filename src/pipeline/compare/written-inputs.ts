/** The documents that a comparison rests on, written beside it where they were made on the way. */
import { isKept } from "../../core/output-file.js";
import type { Calibration } from "../../schema/calibration.js";
import type { InputRef } from "../../schema/common.js";
import type { Comparison } from "../../schema/comparison.js";
import { writeDocument } from "../../schema/document.js";
import { draftersRelativeTo } from "../drafting/measured.js";
import { defaultPath, inputRef } from "../paths.js";
import type { CompareInputs } from "./inputs.js";
import type { CompareRequest } from "./options.js";

/** What was made on the way is written beside the comparison; what was given stays as it is. */
export function writeInputs(
  request: CompareRequest,
  inputs: CompareInputs,
  calibration: Calibration,
  output: string,
  name: string,
): Comparison["inputs"] {
  const base = (output === "-" || !isKept(output) ? defaultPath("comparison", name) : output).replace(/\.ya?ml$/i, "");
  const made = (kind: string, document: Calibration | CompareInputs["profile"]): InputRef => {
    const path = `${base}.${kind}.yaml`;
    return inputRef({ path, sha256: writeDocument(path, draftersRelativeTo(document, path, "-")) }, output);
  };
  const asGiven =
    request.calibration !== null && calibration.measured.length === request.calibration.document.measured.length;
  return {
    profile: request.profile === null ? made("profile", inputs.profile) : inputRef(request.profile, output),
    calibration:
      asGiven && request.calibration !== null
        ? inputRef(request.calibration, output)
        : made("calibration", calibration),
  };
}
