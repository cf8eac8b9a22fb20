/** What an engine reported of its own, through `draftplan import-metrics`, beside rounds of our own decoding. */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import type { Round } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { openCheckpoint } from "../../src/model/open.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import type { Kernel } from "../../src/schema/choice.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Predicted } from "../../src/schema/plan.js";
import { sum } from "../../src/stats/numbers.js";
import { draftplan } from "./cli.js";
import { temporaryFolder } from "./tiny-checkpoint.js";

/** The plan with what our own rounds of it came to as its prediction; its times are made up. */
export function predicting(plan: Plan, rounds: readonly Round[]): Plan {
  const { curve } = acceptanceOf(rounds);
  if (curve === null) throw new Error("nothing was drafted");
  const length = sum(curve);
  const predicted: Predicted = {
    ...{ at_context: 32, acceptance: (length - 1) / sum(curve.slice(0, -1)), acceptance_curve: curve },
    ...{ accepted_length: length, draft_us: 100, verify_us: 1000, round_us: 0, target_step_us: 1000 },
    ...{ tokens_per_second: 1000, speedup: 1.5, lp_gap_percent: 0 },
  };
  return { ...plan, segments: plan.segments.map((segment) => ({ ...segment, predicted })) };
}

/**
 * The plan whose draft model is what a plan of own blocks makes of them, written as a folder: a model whose acceptance is
 * known, that of the same blocks as a draft of the target's own with a cache of its own.
 */
export async function asDraftModel(own: Plan, source: string, kernel: Kernel = "target"): Promise<Plan> {
  const folder = join(temporaryFolder(), "draft-model");
  const path = `${folder}.yaml`;
  writeFileSync(path, stringifyDocument(own));
  const plan = readDocumentOf("draftplan/plan", path);
  await exportPlan({ plan, to: "vllm", model: source, output: folder }, { progress: silentProgress });
  const { spec, weightsSha256: weights_sha256, close } = await openCheckpoint(folder);
  close();
  const drafter = { kind: "model", name: spec.name, weights_sha256, path: folder, kernel } as const;
  const { draft_cache: _, ...rest } = own;
  return { ...rest, segments: own.segments.map(({ draft: _own, ...segment }) => ({ ...segment, drafter })) };
}

/** Rounds that drafted, by what an engine counts that counts nothing behind the output's end. */
export const drafting = (rounds: readonly Round[]): Round[] => rounds.filter(({ drafted }) => drafted > 0);

interface Imported {
  code: number | null;
  codes: string[];
  /** by the names of import-metrics' rows */
  figures: Record<string, number>;
}

/** The engine's figures as it reported them, in a file, held against the export at the command line. */
export async function importedFrom(report: string, folder: string, ...options: string[]): Promise<Imported> {
  const file = join(temporaryFolder(), "report");
  writeFileSync(file, report);
  const args = ["import-metrics", file, "--export", join(folder, "export.yaml"), "--json", ...options];
  const { code, stdout, stderr } = await draftplan(args, { process: true });
  if (stdout === "") throw new Error(stderr);
  const { findings, compared } = JSON.parse(stdout) as {
    findings: { code: string }[];
    compared: { name: string; candidate: { value: number } }[];
  };
  return {
    ...{ code, codes: findings.map((finding) => finding.code) },
    figures: Object.fromEntries(compared.map(({ name, candidate }) => [name, candidate.value])),
  };
}

/** share of the drafted tokens */
const WITHIN = 0.02;

/**
 * Fails where the report's figures are not those of our own rounds, or its verdict is not that all is as predicted.
 * @param counted the rounds that the engine counts as such, drafted tokens as it counts them
 */
export function expectImported(
  { code, codes, figures }: Imported,
  counted: readonly { drafted: number; accepted: number }[],
  draftTokens: number,
): void {
  const accepted = sum(counted.map((round) => round.accepted));
  const ours = {
    length: 1 + accepted / counted.length,
    share: accepted / sum(counted.map(({ drafted }) => drafted)),
    rate: accepted / sum(counted.map((round) => Math.min(round.drafted, round.accepted + 1))),
  };
  const says = JSON.stringify({ ours, figures });
  expect({ code, codes }, says).toEqual({ code: 0, codes: [] });
  const share = figures["accepted of all drafted (Σ a_i / d)"];
  expect(Math.abs(share - ours.share), says).toBeLessThanOrEqual(WITHIN);
  const length = figures["tokens a round (1 + Σ a_i)"];
  expect(Math.abs(length - ours.length), says).toBeLessThanOrEqual(WITHIN * draftTokens);
  const rate = figures["acceptance rate, to the first rejection"];
  if (rate !== undefined) expect(Math.abs(rate - ours.rate), says).toBeLessThanOrEqual(WITHIN);
}
