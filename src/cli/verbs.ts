/**
 * The verbs of the contract: names, flags, help. Each loads its command only when it runs, so that help
 * is quick and nothing native is loaded for it.
 */
import type { Command } from "commander";
import type { RunVerb } from "./verb.js";
import { addExport, addImportMetrics } from "./verbs-export.js";
import { addCache, addCompletion, addDoctor, addHistory, addReport } from "./verbs-look.js";
import { addCalibrate, addProfile } from "./verbs-measure.js";
import { addEvaluate, addGenerate, addInspect, addRun } from "./verbs-model.js";
import { addExplain, addPlan, addSolve } from "./verbs-plan.js";
import { addCheck, addCompare, addVerify } from "./verbs-prove.js";
import { addTrainHeads } from "./verbs-train.js";

/** In the order in which `--help` lists them. */
export function addVerbs(program: Command, run: RunVerb): void {
  addRun(program, run);
  addInspect(program, run);
  addGenerate(program, run);
  addEvaluate(program, run);
  addProfile(program, run);
  addCalibrate(program, run);
  addTrainHeads(program, run);
  addSolve(program, run);
  addExplain(program, run);
  addPlan(program, run);
  addVerify(program, run);
  addExport(program, run);
  addImportMetrics(program, run);
  addCompare(program, run);
  addCheck(program, run);
  addReport(program, run);
  addHistory(program, run);
  addDoctor(program, run);
  addCache(program, run);
  addCompletion(program, run);
}
