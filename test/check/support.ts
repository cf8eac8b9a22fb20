/** The committed documents in a folder of their own, to plant faults in and check again. */
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { checkDocuments } from "../../src/check/check.js";
import type { Finding } from "../../src/check/findings.js";
import type { ModelFacts } from "../../src/check/model.js";
import type { Solver } from "../../src/check/solver.js";
import { readForCheck } from "../../src/pipeline/check/read.js";
import { solver as real } from "../../src/pipeline/check/solver.js";
import { type DocumentOf, type Kind, parseDocument, sha256, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Predicted, Segment } from "../../src/schema/plan.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

/** Of the same documents the same answer: most faults are planted into a plan or a verification, and solving takes longest. */
const answers = new Map<string, unknown>();
function remembered<Given extends unknown[], Answer>(work: (...given: Given) => Answer) {
  return (...given: Given): Answer => {
    const key = sha256(`${work.name} ${JSON.stringify(given)}`);
    if (!answers.has(key)) answers.set(key, work(...given));
    return structuredClone(answers.get(key)) as Answer;
  };
}
const solver: Solver = { ...real, solve: remembered(real.solve), predict: remembered(real.predict) };

const ROOT = fileURLToPath(new URL("../..", import.meta.url));

export const PLAN = "plans/union-10m.plan.yaml";
export const PROFILE = "profiles/union-10m.profile.yaml";
export const CALIBRATION = "profiles/union-10m.calibration.yaml";
export const VERIFICATION = "plans/union-10m.verification.yaml";

const KINDS: Record<string, Kind> = {
  [PLAN]: "draftplan/plan",
  [PROFILE]: "draftplan/profile",
  [CALIBRATION]: "draftplan/calibration",
  [VERIFICATION]: "draftplan/verification",
};

type KindOf<F> = F extends typeof PLAN
  ? "draftplan/plan"
  : F extends typeof PROFILE
    ? "draftplan/profile"
    : F extends typeof CALIBRATION
      ? "draftplan/calibration"
      : "draftplan/verification";

export interface Workspace {
  folder: string;
  path(file: string): string;
  read(file: string): string;
  write(file: string, text: string): void;
  /** rewrites a document as draftplan writes it; what comes out need not be valid */
  edit<F extends typeof PLAN | typeof PROFILE | typeof CALIBRATION | typeof VERIFICATION>(
    file: F,
    change: (document: DocumentOf<KindOf<F>>) => void,
  ): void;
  /** files of findings are relative to the folder */
  check(files?: readonly string[], model?: ModelFacts): Finding[];
}

/** @param names folders and files that are there */
export function workspace(names: readonly string[] = ["profiles", "plans"]): Workspace {
  const folder = temporaryFolder();
  for (const name of names) cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  const path = (file: string) => join(folder, file);
  const read = (file: string) => readFileSync(path(file), "utf8");
  const write = (file: string, text: string) => writeFileSync(path(file), text);
  return {
    ...{ folder, path, read, write },
    edit(file, change) {
      const document = parseDocument(read(file), file);
      if (document.kind !== KINDS[file]) throw new Error(`${file} is a ${document.kind}`);
      change(document as never);
      write(file, stringifyDocument(document));
    },
    check(files = ["plans", "profiles"], model) {
      const { documents, open, faults } = readForCheck(files.map(path));
      const found = [...faults, ...checkDocuments({ documents, open, solver, model: model ?? null })];
      return found.map((one) => ({ ...one, file: one.file.slice(folder.length + 1).replaceAll("\\", "/") }));
    },
  };
}

/** Each once, in alphabetical order. */
export const codesOf = (findings: readonly Finding[]): string[] =>
  [...new Set(findings.map(({ code }) => code))].sort();

/** `CODE file: where` of every finding. */
export const placesOf = (findings: readonly Finding[]): string[] =>
  findings.map(({ code, file, where }) => `${code} ${file}: ${where}`);

export interface Speculating extends Segment {
  draft: NonNullable<Segment["draft"]>;
  draft_tokens: number;
  predicted: Predicted;
}

/** The plan's first segment with a draft and a prediction, and its place. */
export function speculating(plan: Plan): { segment: Speculating; index: number } {
  const index = plan.segments.findIndex(({ draft, predicted }) => draft !== undefined && predicted !== undefined);
  if (index === -1) throw new Error("the committed plan drafts nothing: these tests need one that does");
  return { segment: plan.segments[index] as Speculating, index };
}

/** Predicted figures made to follow from curve and times again, by the formulas of docs/documents.md. */
export function settle({ predicted: p, draft_tokens: d }: Speculating): void {
  let tokens = 0;
  for (const a of p.acceptance_curve) tokens += a;
  p.accepted_length = tokens;
  p.acceptance = (tokens - 1) / (tokens - p.acceptance_curve[d]);
  p.tokens_per_second = (1e6 * tokens) / (d * p.draft_us + p.verify_us + p.round_us);
  p.speedup = (p.tokens_per_second * p.target_step_us) / 1e6;
}

/** Takes the digests of changed files over into the plan, so that the change itself is all that is wrong. */
export function recordDigests(space: Workspace): void {
  space.edit(PLAN, ({ inputs }) => {
    if (inputs === undefined) throw new Error("the committed plan names no inputs");
    inputs.profile.sha256 = sha256(space.read(PROFILE));
    inputs.calibration.sha256 = sha256(space.read(CALIBRATION));
  });
}
