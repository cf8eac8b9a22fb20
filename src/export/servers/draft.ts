/** What exports for servers have in common: the draft's checkpoint, and which draft model they name. */
import { checkpointBytes, writeDraftCheckpoint } from "../checkpoint/draft-checkpoint.js";
import type { Exporter, ExportJob, PlannedDraft } from "../exporter.js";
import type { ExportModel } from "../model.js";
import { unsupported } from "../unsupported.js";
import { DECI_CONFIGURATION, deciConfig, loneBlock, requireDeci, withoutSkipped } from "./deci.js";

type Job = Omit<ExportJob, "folder">;

export const serverDraftBytes = ({ model, draft }: Job): number =>
  draft.choices === null ? 0 : checkpointBytes(withoutSkipped(model, draft.choices), draft);

/** Writes the draft's own folder where the model's own blocks draft. @returns whether it needs --trust-remote-code */
export async function writeServerDraft(job: ExportJob): Promise<boolean> {
  const { draft, model, folder } = job;
  if (draft.choices === null) return false;
  const isDeci = loneBlock(draft.choices) !== null;
  const config = isDeci ? deciConfig(model, draft.choices) : {};
  await writeDraftCheckpoint({ ...job, model: withoutSkipped(model, draft.choices) }, { config });
  if (isDeci) folder.text("configuration_decilm.py", DECI_CONFIGURATION);
  return isDeci;
}

/** The checkpoint that an engine is given as its draft; null where none drafts. */
export function draftModelPath({ draft, place }: Pick<ExportJob, "draft" | "place">): string | null {
  if (draft.drafter.kind === "model") return draft.drafter.path;
  return draft.choices === null ? null : place;
}

/**
 * @param takesSizes of MLPs as they are, not by a multiple alone
 * @throws EXPORT_UNSUPPORTED
 */
export function requireServerDraft(
  { name }: Pick<Exporter, "name">,
  draft: PlannedDraft,
  model: ExportModel,
  { takesSizes }: { takesSizes: boolean },
): void {
  requireDeci(name, draft, model, takesSizes);
  const { drafter } = draft;
  if (drafter.kind === "model" && drafter.kernel !== "target")
    throw unsupported(
      name,
      draft,
      "drafter.kernel",
      `${drafter.name} drafts in ${drafter.kernel} here, and ${name} runs a draft model as its checkpoint has it`,
    );
  if (drafter.kind === "model" && drafter.path === "embedded")
    throw unsupported(
      name,
      draft,
      "drafter.path",
      "the embedded model drafts here, which is no folder that an engine reads",
    );
}
