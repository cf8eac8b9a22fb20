/** What `solve` is told by `--for ENGINE`: what the engine's drafts must keep to, joined with the options beside it. */
import { DraftplanError } from "../../core/errors.js";
import { ENGINE_NAMES, type EngineName, isEngineName, loadExporter } from "../../export/engines/list.js";
import type { Preset } from "../../export/exporter.js";
import type { Kernel } from "../../schema/choice.js";
import { DEFAULT_PRECISION, type TargetPrecision } from "../../schema/numerics.js";
import { DRAFTER_KINDS, type DrafterKind } from "../../solve/index.js";
import { type DraftChoice, usualChoices } from "../choices.js";
import type { ConstraintOptions } from "../constraints.js";

/** What a draft may be, before and after an engine has had its say. */
export interface DraftSpace {
  /** undefined: not named by the user */
  choices: readonly DraftChoice[] | undefined;
  drafters: readonly DrafterKind[] | undefined;
  constraints: ConstraintOptions;
}

/**
 * Choices and drafters that are not named are those of the defaults that the engine has; constraints are added up.
 * @param engine undefined: none, and the defaults are all there
 * @param target precision of the target: what is usual beside it
 * @throws OPTION_INVALID for an engine that does not exist, and for a choice or a drafter named that it does not have
 */
export async function draftSpaceFor(
  engine: string | undefined,
  { choices, drafters, constraints }: DraftSpace,
  target: TargetPrecision = DEFAULT_PRECISION,
): Promise<DraftSpace & { choices: readonly DraftChoice[]; modelKernels?: readonly Kernel[] }> {
  const usual = usualChoices(target);
  if (engine === undefined) return { choices: choices ?? usual, drafters, constraints };
  const { name, preset } = await loadExporter(parseEngine(engine, "--for"));
  const runs = (choice: DraftChoice) => choice === "skip" || (preset.kernels as readonly string[]).includes(choice);
  const has = (kind: DrafterKind) => preset.drafters.includes(kind);
  refuseOther(
    name,
    "--choices",
    choices?.filter((choice) => !runs(choice)),
    ["skip", ...preset.kernels],
  );
  refuseOther(
    name,
    "--drafters",
    drafters?.filter((kind) => !has(kind)),
    DRAFTER_KINDS.filter(has),
  );
  return {
    choices: choices ?? usual.filter(runs),
    // an engine that has them all is told nothing: what was not measured is then no error
    drafters: drafters ?? (DRAFTER_KINDS.every(has) ? undefined : DRAFTER_KINDS.filter(has)),
    constraints: { ...constraints, ...constraintsOf(preset) },
    modelKernels: ["target", ...preset.kernels],
  };
}

const constraintsOf = ({ whole_layers, keep_first_attention }: Preset): ConstraintOptions => ({
  ...(whole_layers === true ? { wholeLayers: true } : {}),
  ...(keep_first_attention === true ? { keepFirstAttention: true } : {}),
});

/** @throws OPTION_INVALID */
export function parseEngine(name: string, option: string): EngineName {
  if (isEngineName(name)) return name;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `${option} ${name.slice(0, 40)}`,
    what: "there is no such engine to export to",
    remedy: `Use one of: ${ENGINE_NAMES.join(", ")}.`,
  });
}

function refuseOther(engine: string, option: string, other: readonly string[] = [], known: readonly string[]): void {
  if (other.length === 0) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `${option} with --for ${engine}`,
    what: `${engine} has no form for ${other.join(", ")} in a draft`,
    remedy: `Use of ${known.join(",")}, or leave one of the two options out.`,
  });
}
