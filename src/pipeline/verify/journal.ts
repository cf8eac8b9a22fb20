/**
 * The journal of a verification, `FILE.partial.jsonl` beside its document, a line for every prompt that is finished. The same
 * command goes on from there after an interruption.
 */
import { rmSync } from "node:fs";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import type { Progress } from "../../core/progress.js";
import type { Decoded, Round } from "../../decode/loop.js";
import { sha256 } from "../../schema/document.js";
import type { Journal, PromptRuns, VerifyPrompt } from "../../verify/index.js";
import { KeptLines } from "../interrupted/kept-lines.js";
import { DEFAULT_MAX_TOKENS, DEFAULT_PAIRS, softwareVersions, type VerificationRequest } from "./document.js";

const Count = z.int().min(0);
const Ids = z.array(Count);
const ROUND_KEYS = ["context", "nodes", "drafted", "accepted", "emitted", "draftUs", "verifyUs", "totalUs"] as const;
/** a round's values, in the order of ROUND_KEYS */
const RoundRow = z.array(z.number()).length(ROUND_KEYS.length);
const DecodedRow = z.strictObject({
  ids: Ids,
  finish: z.enum(["end", "length", "stop"]),
  rounds: z.array(RoundRow),
  promptUs: z.number(),
  decodeUs: z.number(),
});
type DecodedRow = z.infer<typeof DecodedRow>;

const Line = z.strictObject({
  prompt: Count,
  /** 0: the first run; 1: the one that went on after its interruption, and so on */
  session: Count,
  reference: Ids,
  output: Ids,
  verdict: z.strictObject({
    ties: z.array(z.strictObject({ position: Count, margin: z.number() })),
    firstMismatch: Count.nullable(),
    worstMargin: z.number(),
  }),
  plain: z.array(DecodedRow).min(1),
  plan: z.array(DecodedRow).min(1),
  distribution: z
    .array(z.strictObject({ statistic: z.number(), freedom: Count, variance: z.number() }))
    .optional()
    .describe("of texts drawn from the prompt"),
  alternatives: z.array(
    z.strictObject({ runs: z.array(DecodedRow).min(1), agreeing: Count, positions: Count, prefix: Count }),
  ),
});
type Line = z.infer<typeof Line>;

/** Everything that measured figures depend on. Thresholds are not among it: they decide, and measure nothing. */
export type JournalHeader = ReturnType<typeof journalHeader>;

export function journalHeader(request: Omit<VerificationRequest, "journal">) {
  const { loaded, prompts, planRef, device, alternatives } = request;
  return {
    kind: "draftplan/verification-journal",
    version: 4,
    plan: planRef.sha256,
    model: loaded.ref,
    prompts: sha256(JSON.stringify(prompts)),
    max_tokens: request.maxTokens ?? DEFAULT_MAX_TOKENS,
    pairs: request.pairs ?? DEFAULT_PAIRS,
    end_tokens: loaded.engine.spec.eosTokenIds,
    alternatives,
    drafter: request.drafter ?? null,
    draft_cache: request.plan.draft_cache ?? null,
    drawing: request.drawing ?? null,
    penalty: request.penalty ?? null,
    device,
    versions: softwareVersions(),
  };
}

export const journalPath = (output: string): string => `${output}.partial.jsonl`;

export class FileJournal implements Journal {
  readonly finished = new Map<number, readonly PromptRuns[]>();
  readonly resumed: number;
  private readonly lines: KeptLines<Line>;

  /** Reads what an interrupted run left at `path`, where it fits. */
  constructor(
    readonly path: string,
    header: JournalHeader,
    private readonly prompts: readonly VerifyPrompt[],
    progress: Progress,
  ) {
    const lineOf = (row: unknown) => validLine(row, prompts.length, header);
    this.lines = new KeptLines(path, header, lineOf, (why) =>
      progress.warn("JOURNAL_IGNORED", `${path} is not gone on from, and will be written anew: ${why}`),
    );
    const { found } = this.lines;
    for (const line of found) this.finished.set(line.prompt, [runsOf(line, prompts[line.prompt])]);
    this.resumed = new Set(found.map(({ session }) => session)).size;
  }

  /** @param runs of the one plan @throws FILE_UNWRITABLE */
  record(index: number, runs: readonly PromptRuns[]): void {
    this.lines.add(lineOf(index, this.resumed, runs[0]));
    this.finished.set(index, runs);
  }

  /** What to tell the user who interrupted the work; null where nothing was finished. */
  kept(): string | null {
    return this.finished.size === 0
      ? null
      : `${this.finished.size} of ${this.prompts.length} prompts are kept in ${this.path}; the same command goes on from there`;
  }

  /** The document is written, and nothing is left to go on with. @throws FILE_UNWRITABLE */
  discard(): void {
    try {
      rmSync(this.path, { force: true });
    } catch (cause) {
      throw unwritable(this.path, "removed", cause, "Delete it: the next run would go on from it.");
    }
  }
}

/** A line whose runs are as many as they should be; null for any other. */
function validLine(row: unknown, prompts: number, header: JournalHeader): Line | null {
  const { data } = Line.safeParse(row);
  if (data === undefined || data.prompt >= prompts) return null;
  const { plain, plan, alternatives } = data;
  const arms = [plain, plan, ...alternatives.map(({ runs }) => runs)];
  const whole =
    arms.every(({ length }) => length === plan.length) && alternatives.length === Number(header.alternatives);
  return whole ? data : null;
}

function lineOf(prompt: number, session: number, runs: PromptRuns): Line {
  const { reference, output, verdict, plain, plan, alternatives, distribution } = runs;
  return {
    prompt,
    session,
    reference: [...reference],
    output: [...output],
    verdict,
    plain: plain.map(rowOf),
    plan: plan.map(rowOf),
    ...(distribution === undefined ? {} : { distribution }),
    alternatives: alternatives.map(({ runs, ...figures }) => ({ runs: runs.map(rowOf), ...figures })),
  };
}

function runsOf({ prompt: _, session: __, ...line }: Line, prompt: VerifyPrompt): PromptRuns {
  const { plain, plan, alternatives } = line;
  return {
    ...line,
    prompt,
    plain: plain.map(decodedOf),
    plan: plan.map(decodedOf),
    alternatives: alternatives.map(({ runs, ...figures }) => ({ runs: runs.map(decodedOf), ...figures })),
  };
}

const rowOf = ({ rounds, ...run }: Decoded): DecodedRow => ({
  ...run,
  rounds: rounds.map((round) => ROUND_KEYS.map((key) => round[key])),
});

const decodedOf = ({ rounds, ...run }: DecodedRow): Decoded => ({
  ...run,
  rounds: rounds.map((row) => Object.fromEntries(ROUND_KEYS.map((key, i) => [key, row[i]])) as unknown as Round),
});

const unwritable = (at: string, done: string, cause: unknown, remedy: string) =>
  new DraftplanError({
    code: "FILE_UNWRITABLE",
    at,
    what: `the file could not be ${done} (${cause instanceof Error ? cause.message : cause})`,
    remedy,
    cause,
  });
