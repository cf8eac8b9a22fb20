/** draftplan evaluate: how often a draft's next token is the target's, on a given text. */
import { DraftplanError } from "../core/errors.js";
import { evaluationJson, evaluationLines } from "../output/evaluation.js";
import { type EvaluateRequest, evaluateOn } from "../pipeline/evaluate.js";
import { isSimulated, SIMULATED, type SimulatedKernel } from "../schema/choice.js";
import { readDocumentOf } from "../schema/document.js";
import type { CommandContext } from "./context.js";

export interface EvaluateOptions {
  skip?: string[];
  plan?: string;
  ids?: string;
  standalone?: boolean;
  simulate?: string;
  profile?: string;
}

export async function evaluateCommand(model: string, options: EvaluateOptions, context: CommandContext): Promise<void> {
  const evaluated = await evaluateOn(
    model,
    { draft: draftOf(options), ids: options.ids, standalone: options.standalone, profile: profileOf(options) },
    context,
  );
  if (context.json) context.print(JSON.stringify(evaluationJson(evaluated)));
  else for (const line of evaluationLines(evaluated)) context.print(line);
}

function draftOf({ plan, skip, simulate }: EvaluateOptions): EvaluateRequest["draft"] {
  if (simulate !== undefined) return { simulate: simulatedKernel(simulate) };
  if (plan !== undefined) return { plan: readDocumentOf("draftplan/plan", plan) };
  if (skip !== undefined) return { skip };
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan evaluate",
    what: "there is no draft to evaluate",
    remedy: "Give one of --skip 5.attn,3.mlp, --plan PLAN or --simulate KERNEL.",
  });
}

/** @throws OPTION_INVALID */
function simulatedKernel(name: string): SimulatedKernel {
  if (isSimulated(name)) return name;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--simulate ${name.slice(0, 40)}`,
    what: "there is no such kernel to simulate",
    remedy: `Use one of: ${SIMULATED.join(", ")}. Kernels that run are choices of a plan: --plan PLAN.`,
  });
}

/** @throws USAGE without --simulate, which alone has a use for it */
function profileOf({ profile, simulate }: EvaluateOptions): EvaluateRequest["profile"] {
  if (profile === undefined) return undefined;
  if (simulate !== undefined) return readDocumentOf("draftplan/profile", profile);
  throw new DraftplanError({
    code: "USAGE",
    at: "draftplan evaluate --profile",
    what: "a profile says what a simulated kernel may cost, and none is simulated",
    remedy: `Add --simulate ${SIMULATED[0]}, or leave --profile out.`,
  });
}
