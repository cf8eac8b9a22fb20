import { DraftplanError } from "../../core/errors.js";

const READ = "Medusa heads (FasterDecoding's layout or vLLM's) and Hydra heads";

/** Another kind of drafter, or a form of these that is not read. */
export const headsUnsupported = (at: string, what: string, remedy = `Give ${READ}: docs/heads.md.`): DraftplanError =>
  new DraftplanError({ code: "HEADS_UNSUPPORTED", at, what, remedy });

/** Readable heads of another model. */
export const headsMismatch = (at: string, what: string): DraftplanError =>
  new DraftplanError({
    code: "HEADS_MISMATCH",
    at,
    what,
    remedy: "Give heads that were trained for this model, or train some: draftplan train-heads MODEL -o DIR",
  });
