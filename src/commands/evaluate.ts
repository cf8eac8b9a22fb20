/** draftplan evaluate: how often a draft's next token is the target's, on a given text. */
import { DraftplanError } from "../core/errors.js";
import { evaluationJson, evaluationLines } from "../output/evaluation.js";
import { type EvaluateRequest, evaluateOn } from "../pipeline/evaluate.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface EvaluateOptions {
  skip?: string[];
  plan?: string;
  ids?: string;
  standalone?: boolean;
}

export async function evaluateCommand(model: string, options: EvaluateOptions, context: CommandContext): Promise<void> {
  const evaluated = await evaluateOn(
    model,
    { draft: draftOf(options), ids: options.ids, standalone: options.standalone },
    context,
  );
  if (context.json) context.print(JSON.stringify(evaluationJson(evaluated)));
  else for (const line of evaluationLines(evaluated)) context.print(line);
}

function draftOf({ plan, skip }: EvaluateOptions): EvaluateRequest["draft"] {
  if (plan !== undefined) return { plan: readDocumentOf("draftplan/plan", plan) };
  if (skip !== undefined) return { skip };
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan evaluate",
    what: "there is no draft to evaluate",
    remedy: "Give one of --skip 5.attn,3.mlp or --plan PLAN.",
  });
}
