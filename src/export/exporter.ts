/**
 * The seam of exports. An engine is added by one file, `engines/NAME.ts`, that exports an `Exporter`, and one line in
 * `engines/list.ts`; `export --to NAME` and `solve --for NAME` follow from it. Its page is docs/engines/NAME.md.
 *
 * What an exporter is handed has been looked at already: the model is the plan's, the segment speculates, and the draft keeps
 * to the exporter's preset. It writes into `job.folder` and nowhere else; export.yaml and README.md are written for it, and
 * the folder appears under its name when all of it is there.
 */
import type { Progress } from "../core/progress.js";
import type { Checkpoint } from "../model/spec.js";
import type { ChoiceSet, QuantisedKernel } from "../schema/choice.js";
import type { DrafterRef } from "../schema/drafter.js";
import type { ExportPrediction } from "../schema/export.js";
import type { LengthByBatch } from "../schema/length-by-batch.js";
import type { Plan, Segment } from "../schema/plan.js";
import type { OutputFolder } from "./folder.js";
import type { ExportModel } from "./model.js";

/** What drafts of an engine must keep to: `solve --for` plans by it, and every export is refused by it. */
export interface Preset {
  /** who may draft */
  drafters: readonly DrafterRef["kind"][];
  /** what a block or the head may be run with besides `target` and `skip` */
  kernels: readonly QuantisedKernel[];
  /** the engine has no form for a layer's attention without its MLP, or the other way round */
  whole_layers?: true;
  /** 0.attn is never skipped */
  keep_first_attention?: true;
}

/** Kernels that engines with a form for quantised blocks have one for; int2 none of them has. */
export const EXPORTED_KERNELS: readonly QuantisedKernel[] = ["int8", "int4"];

/** The one draft that an engine gets. */
export interface PlannedDraft {
  /** where it stands, for errors: `plan.yaml: segments[1]` */
  at: string;
  /** of the segment in the plan */
  index: number;
  segment: Segment;
  /** paths as seen from where this process runs */
  drafter: DrafterRef;
  /** of the model's own blocks; null where another drafts */
  choices: ChoiceSet | null;
  /** d per round, bonus token not counted; of a tree, its depth */
  draftTokens: number;
  /** absent: the plan says nothing of several sequences at once */
  draftTokensByBatch: LengthByBatch | undefined;
}

export interface ExportJob {
  model: ExportModel;
  plan: Plan;
  draft: PlannedDraft;
  /** with the draft's own cache; null: not measured so */
  predicted: ExportPrediction | null;
  /** what the draft's weights are to be stored as, one of `weightTypes`; undefined: as the model and the plan have them */
  weights: string | undefined;
  /** where the folder will stand, as the user named it: for commands to paste */
  place: string;
  folder: OutputFolder;
  progress: Progress;
}

/** What only the exporter can say of what it wrote. */
export interface Written {
  /** markdown: the commands to paste, and how its figures are read */
  usage: string;
  /** what is lost or differs from the plan, a sentence each */
  notes: string[];
}

export interface Exporter {
  /** as `--to` and `--for` have it */
  name: string;
  /** the engine's version that this was tried with; null: never run */
  triedVersion: string | null;
  preset: Preset;
  /**
   * Draft lengths for several sequences at once: as the plan has them by batch; one length, whatever their number; or it
   * speculates for one sequence alone.
   */
  lengths: "by batch" | "one" | "alone";
  /** it is told the precision of the plan's target, or written in it */
  takesTargetPrecision?: true;
  /** a format of MODEL that it takes as it lies: what making such a model canonical loses is not lost then */
  takes?: Checkpoint["format"];
  /** it has a form for single blocks as well: whole layers are what it plans for, and `express` refuses what it cannot */
  singleBlocks?: true;
  /** it writes the model's blocks as draftplan's own graphs, whatever the architecture */
  anyArchitecture?: true;
  /** words of `--weights` that it knows */
  weightTypes?: readonly string[];
  /**
   * Refuses what the preset cannot say.
   * @throws EXPORT_UNSUPPORTED (unsupported.ts)
   */
  express?(draft: PlannedDraft, model: ExportModel): void;
  /**
   * Why what the plan predicts of the draft does not hold of what is written, as a sentence for README.md that ends in that
   * nothing is predicted; null, or left out: it does.
   */
  unpredicted?(draft: PlannedDraft, model: Pick<ExportModel, "spec">): string | null;
  /** Bytes that will be written, for the room to be looked for before anything is. */
  bytes?(job: Omit<ExportJob, "folder">): number;
  /** @throws FILE_UNWRITABLE, what reading the model throws, what `progress.tick` throws */
  write(job: ExportJob): Promise<Written>;
}
