/** The plan of a drafter that none was made for, so that it can be verified, read, changed and verified again. */
import { isKept } from "../../core/output-file.js";
import { openCheckpoint } from "../../model/open.js";
import { type Loaded, readDocumentOf, writeDocument } from "../../schema/document.js";
import type { Plan } from "../../schema/plan.js";
import type { PipelineContext } from "../context.js";
import { planOfOneSegment } from "../drafting/segments.js";
import { type DrafterChoice, drafterName, findDrafting, planDrafting } from "../drafting.js";
import { defaultPath, drafterSeenFrom } from "../paths.js";

interface Asked {
  /** a model's folder or file, or `embedded` */
  model: string;
  drafter: DrafterChoice;
  standalone?: boolean | undefined;
  /** where the verification is to be written; undefined: the default place */
  output: string | undefined;
}

/**
 * Writes the plan that the documented defaults of a drafter make, in one segment, and reads it as any other: beside the
 * verification, `v.yaml` and `v.plan.yaml`, or into plans/ where the verification is not kept in a file.
 * @throws what findDrafting and planDrafting throw, before anything is written; FILE_UNWRITABLE
 */
export async function writeDefaultPlan(
  { model, drafter, standalone, output }: Asked,
  context: PipelineContext,
): Promise<Loaded<Plan>> {
  const drafting = await findDrafting(null, drafter, model, standalone);
  const checkpoint = await openCheckpoint(model);
  try {
    const planned = planDrafting(drafting, checkpoint, context).plan;
    const { document } = planned ?? planOfOneSegment(checkpoint, drafterName(drafter));
    const kept = output !== undefined && output !== "-" && isKept(output);
    const path = kept
      ? `${output.replace(/(\.verification)?\.ya?ml$/i, "")}.plan.yaml`
      : defaultPath("plan", `${document.model.name} ${drafter.kind}`);
    const segments = document.segments.map((segment) =>
      segment.drafter === undefined ? segment : { ...segment, drafter: drafterSeenFrom(segment.drafter, path) },
    );
    writeDocument(path, { ...document, segments });
    return readDocumentOf("draftplan/plan", path);
  } finally {
    checkpoint.close();
  }
}
