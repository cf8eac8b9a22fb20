/** Documents against a model, and against each other: are they all of the same one? */
import { type Device, differingDeviceKeys, type ModelRef } from "../schema/common.js";
import type { Checked } from "./documents.js";
import { type Finding, finding } from "./findings.js";

/** What is known of a model without converting it. */
export interface ModelFacts {
  /** as the user gave it */
  source: string;
  name: string;
  layers: number;
  architecture_sha256: string;
  weights_sha256: string;
  /** null where it has no tokenizer that draftplan reads */
  tokenizer_sha256: string | null;
}

type Other = Pick<ModelRef, "name" | "layers" | "architecture_sha256" | "weights_sha256">;

/**
 * @param other        what `model` is to be
 * @param whose        how the message names it: `the calibration`
 * @param weightsCount false for a profile, which depends on the architecture alone
 */
export function modelFindings(
  file: string,
  model: ModelRef,
  other: Other,
  whose: string,
  weightsCount = true,
): Finding[] {
  const differs = (key: string, what: string) => [finding("MODEL_DIFFERS", file, `model.${key}`, what)];
  if (model.architecture_sha256 !== other.architecture_sha256)
    return differs("architecture_sha256", `it is of ${model.name}; ${whose} is of ${other.name}, another architecture`);
  if (model.layers !== other.layers)
    return differs("layers", `${model.layers} layers, and ${whose} says ${other.layers}`);
  const [mine, theirs] = [model.weights_sha256, other.weights_sha256];
  if (weightsCount && mine !== null && theirs !== null && mine !== theirs)
    return differs("weights_sha256", `it is of ${model.name}; ${whose} is of ${other.name}, with other weights`);
  return [];
}

/** The digest of the tokenizer that a document was made with; undefined where it records none. */
export function tokenizerOf({ document }: Checked): { sha256: string; where: string } | undefined {
  const [sha256, where] =
    document.kind === "draftplan/calibration"
      ? [document.text.tokenizer_sha256, "text.tokenizer_sha256"]
      : document.kind === "draftplan/verification" ||
          document.kind === "draftplan/comparison" ||
          document.kind === "draftplan/targets"
        ? [document.tokenizer_sha256, "tokenizer_sha256"]
        : [undefined, ""];
  return sha256 === undefined || sha256 === null ? undefined : { sha256, where };
}

/** One document against the model given with --model. */
export function givenModelFindings(checked: Checked, facts: ModelFacts): Finding[] {
  const { file, document } = checked;
  const whose = `the model given (${facts.source})`;
  const found = modelFindings(file, document.model, facts, whose, document.kind !== "draftplan/profile");
  const recorded = tokenizerOf(checked);
  if (recorded === undefined || recorded.sha256 === facts.tokenizer_sha256) return found;
  const tokenizer =
    facts.tokenizer_sha256 === null
      ? finding("TOKENIZER_UNCHECKED", file, recorded.where, `${whose} has no tokenizer to compare with`)
      : finding("TOKENIZER_DIFFERS", file, recorded.where, `it was made with another tokenizer than that of ${whose}`);
  return [...found, tokenizer];
}

/** The same machine as far as documents tell. Another version of the runtime on it is what a comparison is to show. */
export const isSameDevice = (a: Device, b: Device): boolean =>
  differingDeviceKeys(a, b).every((key) => key === "runtime");
