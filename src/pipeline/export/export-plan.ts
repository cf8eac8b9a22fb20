/** A plan as what an engine takes: a folder with the engine's files, README.md and export.yaml. */
import { join } from "node:path";
import { DraftplanError } from "../../core/errors.js";
import { requireSameModel } from "../../decode/policy.js";
import { asChain } from "../../export/chains.js";
import { chooseDraft } from "../../export/choose.js";
import { loadExporter } from "../../export/engines/list.js";
import type { Exporter, PlannedDraft } from "../../export/exporter.js";
import { requireEmptyFolder, withOutputFolder } from "../../export/folder.js";
import { losesFittedScales, losesTarget, lostNotes } from "../../export/lost.js";
import type { ExportModel } from "../../export/model.js";
import { openExportModel } from "../../export/open-model.js";
import { readmeOf } from "../../export/readme.js";
import { requireLlamaLike, requirePreset } from "../../export/unsupported.js";
import { type Loaded, writeDocument } from "../../schema/document.js";
import type { Export } from "../../schema/export.js";
import type { Plan } from "../../schema/plan.js";
import type { PipelineContext } from "../context.js";
import { drafterSeenFrom, inputRef } from "../paths.js";
import { exportPrediction } from "./predict.js";
import { parseEngine } from "./preset.js";

export interface ExportRequest {
  plan: Loaded<Plan>;
  /** engine */
  to: string;
  model: string;
  /** the folder that is made */
  output: string;
  /** whose segment is exported; undefined: the one predicted to save most */
  context?: number | undefined;
  /** what the draft's weights are to be stored as; undefined: as the model and the plan have them */
  weights?: string | undefined;
}

/**
 * @throws OPTION_INVALID, NOTHING_TO_EXPORT, EXPORT_UNSUPPORTED, DOCUMENT_MISMATCH, FILE_UNWRITABLE, what opening the model
 *   throws; nothing of the folder is left then
 */
export async function exportPlan(
  request: ExportRequest,
  { progress }: Pick<PipelineContext, "progress">,
): Promise<Export> {
  const exporter = await loadExporter(parseEngine(request.to, "--to"));
  requireWeightType(exporter, request.weights);
  requireEmptyFolder(request.output);
  const { draft, note } = asChain(chooseDraft(request.plan, request.context));
  requirePreset(exporter, draft);
  const model = await openExportModel(request.model, exporter.takes);
  try {
    const { spec, ref } = model;
    requireSameModel(
      request.plan.document,
      { spec, architectureSha256: ref.architecture_sha256, weightsSha256: ref.weights_sha256 },
      request.plan.path,
    );
    if (draft.choices !== null && !exporter.anyArchitecture) requireLlamaLike(exporter.name, draft, spec);
    exporter.express?.(draft, model);
    const { weights } = request;
    const { device } = request.plan.document;
    const other = exporter.unpredicted?.(draft, model) ?? null;
    const isOther =
      note !== null || other !== null || losesFittedScales(device, draft) || losesTarget(exporter, device);
    const job = {
      model,
      plan: request.plan.document,
      draft,
      predicted: isOther ? null : exportPrediction(request.plan, draft),
      weights,
      progress,
    };
    const place = request.output;
    const bytes = exporter.bytes?.({ ...job, place }) ?? 0;
    return await withOutputFolder(place, bytes, progress, async (folder) => {
      const written = await exporter.write({ ...job, place, folder });
      const lost = [note, other].filter((one) => one !== null);
      lost.push(...lostNotes(exporter, request.plan.document, draft));
      const notes = [...segmentNotes(request.plan, draft), ...lost, ...written.notes, ...model.notes];
      const document = { ...documentOf(exporter, request, model, draft), predicted: job.predicted, files: [], notes };
      folder.text("README.md", readmeOf(document, written, isOther));
      const whole: Export = { ...document, files: await folder.files(progress) };
      writeDocument(folder.path("export.yaml"), whole);
      return whole;
    });
  } finally {
    model.close();
  }
}

function requireWeightType({ name, weightTypes = [] }: Exporter, weights: string | undefined): void {
  if (weights === undefined || weightTypes.includes(weights)) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--weights ${weights.slice(0, 40)}`,
    what: `${name} drafts are not written so`,
    remedy: weightTypes.length === 0 ? "Leave --weights out." : `Use one of: ${weightTypes.join(", ")}.`,
  });
}

const documentOf = (
  { name, triedVersion }: Exporter,
  { plan, output }: ExportRequest,
  { ref }: ExportModel,
  { segment, drafter, draftTokens, draftTokensByBatch }: PlannedDraft,
) => ({
  kind: "draftplan/export" as const,
  version: 1 as const,
  model: ref,
  engine: { name, tried_version: triedVersion },
  plan: inputRef(plan, join(output, "export.yaml")),
  segment: segment.context_tokens,
  drafter: drafterSeenFrom(drafter, join(output, "export.yaml")),
  ...(segment.draft === undefined ? {} : { draft: segment.draft }),
  draft_tokens: draftTokens,
  ...(draftTokensByBatch === undefined ? {} : { draft_tokens_by_batch: draftTokensByBatch }),
});

/** An engine has one draft for all contexts. */
function segmentNotes({ document: { segments } }: Loaded<Plan>, { segment }: PlannedDraft): string[] {
  if (segments.length === 1) return [];
  const { from, to } = segment.context_tokens;
  const others = segments.filter((other) => other !== segment);
  const drafting = others.filter(({ speculate }) => speculate).length;
  const plain = others.length - drafting;
  const parts = [
    ...(drafting === 0 ? [] : [`${drafting} with other drafts or lengths`]),
    ...(plain === 0 ? [] : [`${plain} of plain decoding`]),
  ];
  return [
    `The plan has ${segments.length} ranges of contexts, and an engine has one draft: this is that for ${from} to ${to} tokens. The others, ${parts.join(" and ")}, are lost: the engine drafts there too.`,
  ];
}
