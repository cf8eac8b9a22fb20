/** draftplan calibrate: losses of single choices, on text the target itself would write. */
import Table from "cli-table3";
import { type CalibrationResult, calibrate } from "../calibrate/calibrate.js";
import { DraftplanError } from "../core/errors.js";
import type { CommandContext } from "../pipeline/context.js";
import { defaultPath } from "../pipeline/paths.js";
import {
  type CalibrationText,
  contextPrompts,
  defaultContexts,
  readCalibrationText,
  SAMPLE,
  textCodec,
} from "../pipeline/text/calibration-text.js";
import { parseAxis } from "../profile/grid.js";
import { systemClock } from "../runtime/device.js";
import { type LoadedModel, loadModel } from "../runtime/load.js";
import type { Calibration } from "../schema/calibration.js";
import {
  BLOCK_KINDS,
  blockIndex,
  blockName,
  KERNEL_NAMES,
  type QuantisedKernel,
  quantisedKernels,
} from "../schema/choice.js";
import { stringifyDocument, writeDocument } from "../schema/document.js";
import { openTokenizer } from "../tokenizer/open.js";
import { measuredKernels } from "./profile.js";

export interface CalibrateOptions {
  text?: string[];
  output?: string;
  context?: string;
  temperature?: number;
  /** kernels to measure beside the target; `skip` is always measured */
  choices?: string[];
  /** prompts of each part of the text, at each context */
  promptsPerContext?: number;
}

/** Contexts that were asked for exactly, or the model's default ones. @throws OPTION_INVALID, CONTEXT_LIMIT */
export function calibrationContexts(option: string | undefined, model: LoadedModel): number[] {
  if (option === undefined) return defaultContexts(model.spec);
  const axis = parseAxis("--context", option);
  const contexts = axis.kind === "list" ? axis.values : [...new Set([axis.from, axis.to])];
  const room = model.engine.capacity - SAMPLE.continuationTokens - 1;
  const beyond = contexts.find((context) => context > room);
  if (beyond === undefined) return contexts;
  throw new DraftplanError({
    code: "CONTEXT_LIMIT",
    at: `--context ${option}`,
    what: `${beyond} tokens and a continuation do not fit; ${model.spec.name} has room for ${room}`,
    remedy: `Use contexts up to ${room}.`,
  });
}

/** The stage on a loaded model; `run` uses it too. */
export async function calibrateLoaded(
  model: LoadedModel,
  text: CalibrationText,
  contexts: readonly number[],
  context: Pick<CommandContext, "progress">,
  { temperature, promptsPerContext }: Pick<CalibrateOptions, "temperature" | "promptsPerContext"> = {},
): Promise<CalibrationResult & { prompts: ReturnType<typeof contextPrompts> }> {
  const tokenizer = await openTokenizer(model.path);
  const codec = textCodec(tokenizer);
  const prompts = contextPrompts(text, codec, contexts, promptsPerContext);
  const result = await calibrate({
    engine: model.engine,
    clock: systemClock,
    model: model.ref,
    text: { source: text.source, sha256: text.sha256, tokenizer_sha256: tokenizer.sha256 },
    prompts,
    continuationTokens: SAMPLE.continuationTokens,
    ...(promptsPerContext === undefined ? {} : { promptsPerContext }),
    ...(temperature === undefined ? {} : { temperature }),
    progress: context.progress,
  });
  return { ...result, prompts };
}

export async function calibrateCommand(
  path: string,
  options: CalibrateOptions,
  context: CommandContext,
): Promise<void> {
  const kernels = measuredKernels(options.choices);
  const text = readCalibrationText(options.text);
  const model = await loadModel(path, { ...context, kernels }, context.progress);
  try {
    const contexts = calibrationContexts(options.context, model);
    const { calibration } = await calibrateLoaded(model, text, contexts, context, options);
    const output = options.output ?? defaultPath("calibration", model.spec.name);
    if (output === "-")
      return context.print(context.json ? JSON.stringify(calibration) : stringifyDocument(calibration));
    writeDocument(output, calibration);
    context.print(
      context.json ? JSON.stringify(calibration) : `${calibrationTable(calibration)}\n\nCalibration: ${output}`,
    );
  } finally {
    model.close();
  }
}

/** Cheapest and dearest blocks to skip at each context, and what the quantised kernels lose in all. */
export function calibrationTable(calibration: Calibration): string {
  const kernels = quantisedKernels(KERNEL_NAMES).filter((kernel) => calibration.kernels[kernel] !== undefined);
  const table = new Table({
    head: [
      ...["context", "cheapest skips", "dearest skips"],
      ...kernels.flatMap((kernel) => [`${kernel} blocks`, `${kernel} head`]),
    ],
    style: { head: [], border: [] },
  });
  for (const record of calibration.contexts) {
    const skips = BLOCK_KINDS.flatMap((kind) =>
      (record[kind].skip ?? []).map(({ loss }, layer) => ({ name: blockName(blockIndex(layer, kind)), loss })),
    ).sort((a, b) => a.loss - b.loss);
    const show = (list: typeof skips) => list.map(({ name, loss }) => `${name} ${keep(loss)}`).join("\n");
    const blocks = (kernel: QuantisedKernel) =>
      BLOCK_KINDS.flatMap((kind) => record[kind][kernel] ?? []).reduce((sum, { loss }) => sum + loss, 0);
    table.push([
      record.at_context,
      show(skips.slice(0, 4)),
      show(skips.slice(-3).reverse()),
      ...kernels.flatMap((kernel) => [keep(blocks(kernel)), keep(record.head[kernel]?.loss ?? 0)]),
    ]);
  }
  return `Tokens still accepted when only this differs from the target:\n${table}`;
}

const keep = (loss: number): string => `${(100 * Math.exp(-loss)).toFixed(1)} %`;
