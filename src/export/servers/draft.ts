/** What exports for servers have in common: the draft's checkpoint, and which draft model they name. */
import { needsDeci } from "../checkpoint/deci.js";
import { checkpointBytes, writeDraftCheckpoint } from "../checkpoint/draft-checkpoint.js";
import type { Exporter, ExportJob, PlannedDraft, Preset } from "../exporter.js";
import type { ExportModel } from "../model.js";
import { unsupported } from "../unsupported.js";

/** Of an engine: whether it takes the size of an MLP from `ffn_mult` alone, where blocks are left out one by one. */
export type Server = Pick<Exporter, "name"> & { needsFfnMult: boolean };

/** A server's exporter: whole layers by preference, their weights as the model has them, single blocks where it has a form. */
export const serverExporter = (
  server: Server,
  { drafters, ...own }: Pick<Exporter, "triedVersion" | "lengths" | "unpredicted" | "write"> & Pick<Preset, "drafters">,
): Exporter => ({
  name: server.name,
  preset: { drafters, kernels: [], whole_layers: true, keep_first_attention: true },
  singleBlocks: true,
  express: (draft, model) => requireServerDraft(server, draft, model),
  bytes: serverDraftBytes,
  ...own,
});

const serverDraftBytes = ({ model, draft }: Omit<ExportJob, "folder">): number => checkpointBytes(model, draft);

/** Writes the draft's own folder where the model's own blocks draft. @returns whether its configuration is code */
export async function writeServerDraft({ name, needsFfnMult }: Server, job: ExportJob): Promise<boolean> {
  if (job.draft.choices === null) return false;
  const deci = needsDeci(name, job.draft, job.model, needsFfnMult);
  await writeDraftCheckpoint(job, { deci });
  return deci;
}

/** The checkpoint that an engine is given as its draft; null where none drafts. */
export function draftModelPath({ draft, place }: Pick<ExportJob, "draft" | "place">): string | null {
  if (draft.drafter.kind === "model") return draft.drafter.path;
  return draft.choices === null ? null : place;
}

/** @throws EXPORT_UNSUPPORTED */
function requireServerDraft({ name, needsFfnMult }: Server, draft: PlannedDraft, model: ExportModel): void {
  needsDeci(name, draft, model, needsFfnMult);
  const { drafter } = draft;
  if (drafter.kind === "model" && drafter.path === "embedded")
    throw unsupported(
      name,
      draft,
      "drafter.path",
      "the embedded model drafts here, which is no folder that an engine reads",
    );
}

/** A word of a shell's command line. */
export const shellWord = (text: string): string =>
  /^[\w./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
