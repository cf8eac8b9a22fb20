/** Verbs of the contract that do not exist yet: refused by name, with what to use now. */
import { DraftplanError } from "../core/errors.js";

const refuse = (verb: string, remedy: string): never => {
  throw new DraftplanError({
    code: "NOT_YET_SUPPORTED",
    at: `draftplan ${verb}`,
    what: "this verb does not exist yet",
    remedy,
  });
};

export const refuseCheck = async (): Promise<void> =>
  refuse(
    "check",
    "Read a plan with: draftplan inspect PLAN. Measure it with: draftplan verify PLAN --model MODEL --min-speedup X",
  );

export const refuseReport = async (): Promise<void> =>
  refuse("report", "Read documents one by one with: draftplan inspect DOCUMENT");
