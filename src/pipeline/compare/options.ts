/** What `draftplan compare` was asked for, checked as far as it can be without a model. */
import { DraftplanError } from "../../core/errors.js";
import { parseAxis } from "../../profile/grid.js";
import type { Calibration } from "../../schema/calibration.js";
import { type Loaded, readDocumentOf } from "../../schema/document.js";
import type { TargetPrecision } from "../../schema/numerics.js";
import type { Profile } from "../../schema/profile.js";
import { isPlainGreedy } from "../../schema/sampling.js";
import { besideTarget, type DraftChoice, parseChoices, usualChoices } from "../choices.js";
import { contextFor, precisionOf, type TargetContext } from "../context.js";
import { type SamplingOptions, type SamplingRequest, samplingOf } from "../sampling.js";
import { type CalibrationText, readCalibrationText } from "../text/calibration-text.js";
import { requireSameText } from "../text/measuring-text.js";
import { DEFAULT_MAX_TOKENS } from "../verify/document.js";
import { comparedDrafters, looksUp } from "./drafters.js";
import { type ComparedHeads, comparedHeads } from "./heads.js";
import { type ComparedMethod, comparedMethods } from "./methods.js";

export interface CompareOptions extends SamplingOptions {
  profile?: string | undefined;
  calibration?: string | undefined;
  methods?: string[] | undefined;
  /** what else gets a row */
  drafters?: string[] | undefined;
  /** undefined: what is usual beside the target */
  choices?: string[] | undefined;
  text?: string[] | undefined;
  prompts?: string | undefined;
  context?: string | undefined;
  /** contexts beyond the profile are allowed */
  extrapolate?: true | undefined;
  maxTokens?: number | undefined;
  pairs?: number | undefined;
  /** seconds for the runs side by side */
  time?: number | undefined;
  /** seconds for improving the knapsack's draft by exchanges */
  refine?: number | undefined;
  /** what an interrupted comparison finished is not gone on from */
  fresh?: boolean | undefined;
}

export interface CompareRequest {
  /** precision that is served and reproduced */
  target: TargetPrecision;
  profile: Loaded<Profile> | null;
  calibration: Loaded<Calibration> | null;
  choices: readonly DraftChoice[];
  methods: readonly ComparedMethod[];
  /** trained heads to measure and run; none where no method asks for them */
  heads: readonly ComparedHeads[];
  /** other models to measure and run */
  models: readonly string[];
  /** whether a lookup has a part in some row */
  looksUp: boolean;
  text: CalibrationText;
  /** a file of prompts; null: made from the text's second part */
  promptsFile: string | null;
  /** null: the calibration's, or the model's default ones */
  contexts: readonly number[] | null;
  extrapolate: boolean;
  maxTokens: number;
  pairs: number;
  timeLimitSeconds: number | null;
  refineSeconds: number;
  /** how tokens are chosen; null: the likeliest, as they are */
  sampling: SamplingRequest | null;
}

const DEFAULT_PAIRS = 2;
const DEFAULT_REFINE_SECONDS = 20;

/** Asks for no provider and no target in particular. */
const ANYWHERE: TargetContext = { provider: "cpu", note: () => {} };

/**
 * @param model as the user named it: heads may lie in its folder
 * @param asked with the target that was asked for; the profile says it otherwise
 * @throws OPTION_INVALID, DIGEST_MISMATCH, DRAFTER_UNAVAILABLE, and what reading documents and text throws
 */
export function compareRequest(
  options: CompareOptions,
  model: string,
  asked: TargetContext = ANYWHERE,
): CompareRequest {
  const sampling = samplingOf(options);
  const profile = options.profile === undefined ? null : readDocumentOf("draftplan/profile", options.profile);
  const calibration =
    options.calibration === undefined ? null : readDocumentOf("draftplan/calibration", options.calibration);
  const target = precisionOf(contextFor(asked, profile));
  const choices =
    options.choices === undefined ? usualChoices(target) : besideTarget(parseChoices(options.choices), target, asked);
  const known = comparedHeads({ profile, calibration }, model);
  const { rows, models } = comparedDrafters(options.drafters, { profile, calibration });
  const methods = comparedMethods(options.methods, choices, known.length > 0, rows);
  const heads = methods.some(({ name }) => name === "heads" || name === "hybrid") ? known : [];
  const text = readCalibrationText(options.text);
  if (calibration !== null) {
    requireSameText(calibration, text);
    requireGreedy(calibration);
  }
  return {
    ...{ target, profile, calibration, choices, methods, heads, models, looksUp: looksUp(rows), text },
    promptsFile: options.prompts ?? null,
    contexts: options.context === undefined ? null : contextsOf(options.context),
    extrapolate: options.extrapolate === true,
    maxTokens: options.maxTokens ?? DEFAULT_MAX_TOKENS,
    pairs: options.pairs ?? DEFAULT_PAIRS,
    timeLimitSeconds: options.time ?? null,
    sampling: isPlainGreedy(sampling.filters) ? null : sampling,
    refineSeconds: options.refine ?? DEFAULT_REFINE_SECONDS,
  };
}

/** A range stands for its ends. */
function contextsOf(text: string): number[] {
  const axis = parseAxis("--context", text);
  const contexts = axis.kind === "list" ? axis.values : [...new Set([axis.from, axis.to])];
  if (contexts[0] > 0) return contexts;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `--context ${text}`,
    what: "a prompt has at least one token",
    remedy: "Give contexts from 1 on, such as 200,1000.",
  });
}

function requireGreedy({ document, path }: Loaded<Calibration>): void {
  if (document.text.temperature === undefined) return;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: `${path}: text.temperature`,
    what: "this calibration is for sampling, and the plans that are compared are chosen for greedy decoding",
    remedy: "Give a calibration made without --temperature, or leave --calibration out.",
  });
}
