/** What `train-heads` was asked for, refused where it cannot be done before anything long begins. */
import { readdirSync, statSync } from "node:fs";
import { DraftplanError } from "../../core/errors.js";
import type { TrainedKind } from "../../model/heads/parameters.js";
import type { CalibrationText } from "../text/calibration-text.js";

export interface TrainingRequest {
  kind: TrainedKind;
  heads: number;
  text: CalibrationText;
  /** the folder that is made */
  output: string;
  seed: number;
  /** tokens of the target's own to train on; default: by the model's size */
  positions?: number | undefined;
  /** tokens of the text itself to train on before; default: by the model's size */
  textPositions?: number | undefined;
  budgetSeconds: number;
  /** write the model's LM head into the folder too */
  withLmHead: boolean;
}

export const DEFAULT_BUDGET_SECONDS = 20 * 60;
const KINDS: readonly string[] = ["medusa", "hydra"];
const MOST_HEADS = 8;

/** @throws OPTION_INVALID */
export function parseKind(kind: string): TrainedKind {
  if (KINDS.includes(kind)) return kind as TrainedKind;
  throw invalid(`--kind ${kind.slice(0, 40)}`, "there are no such heads to train", `Use ${KINDS.join(" or ")}.`);
}

/** @throws OPTION_INVALID */
export function parseHeads(heads: number): number {
  if (Number.isInteger(heads) && heads >= 1 && heads <= MOST_HEADS) return heads;
  throw invalid(
    `--heads ${heads}`,
    `1 to ${MOST_HEADS} heads can be trained: each guesses one token further ahead, and a token counts only where all before it were right, so beyond ${MOST_HEADS} a head costs more than it brings`,
    "Use --heads 4, which is what most checkpoints have.",
  );
}

/** A folder that is there must be empty. @throws OPTION_INVALID */
export function requireEmpty(output: string): void {
  let found: string[];
  try {
    found = statSync(output).isDirectory() ? readdirSync(output) : ["a file"];
  } catch {
    return; // not there; whether it can be made shows when the work folder is
  }
  if (found.length === 0) return;
  throw invalid(
    `-o ${output}`,
    "something is there already, and heads never overwrite",
    "Name a folder that does not exist, or empty it.",
  );
}

const invalid = (at: string, what: string, remedy: string) =>
  new DraftplanError({ code: "OPTION_INVALID", at, what, remedy });
