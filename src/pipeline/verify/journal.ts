/**
 * The journal of a verification, `FILE.partial.jsonl` beside its document: a header that says what is measured, then a
 * line for every prompt that is finished. The same command goes on from there after an interruption. A line is on the
 * disk before the next prompt begins; one that was cut off by a crash is dropped.
 */
import { existsSync, rmSync } from "node:fs";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import { appendText, writeText } from "../../core/output-file.js";
import type { Progress } from "../../core/progress.js";
import { readNamedFile } from "../../core/user-file.js";
import type { Decoded, Round } from "../../decode/loop.js";
import { sha256 } from "../../schema/document.js";
import type { Journal, PromptRuns, VerifyPrompt } from "../../verify/index.js";
import { DEFAULT_MAX_TOKENS, DEFAULT_PAIRS, softwareVersions, type VerificationRequest } from "./document.js";

/** A thousand prompts of some hundred tokens have 20 MiB. */
const MAX_BYTES = 256 << 20;

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

const GO_ON = "Make room there, and run the same command again: it goes on from here.";

export const journalPath = (output: string): string => `${output}.partial.jsonl`;

export class FileJournal implements Journal {
  readonly finished = new Map<number, readonly PromptRuns[]>();
  readonly resumed: number;
  /** the whole file as it should be, until this run has written to it */
  private start: string | null;

  /** Reads what an interrupted run left at `path`, where it fits. */
  constructor(
    readonly path: string,
    header: JournalHeader,
    private readonly prompts: readonly VerifyPrompt[],
    progress: Progress,
  ) {
    const lines = existsSync(path) ? readLines(path, header, prompts, progress) : [];
    for (const line of lines) this.finished.set(line.prompt, [runsOf(line, prompts[line.prompt])]);
    this.resumed = new Set(lines.map(({ session }) => session)).size;
    this.start = [header, ...lines].map((line) => `${JSON.stringify(line)}\n`).join("");
  }

  /** @param runs of the one plan @throws FILE_UNWRITABLE */
  record(index: number, runs: readonly PromptRuns[]): void {
    const line = `${JSON.stringify(lineOf(index, this.resumed, runs[0]))}\n`;
    if (this.start === null) appendText(this.path, line, GO_ON);
    else writeText(this.path, this.start + line); // whole, without the torn line of a crash
    this.start = null;
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

/** Lines of a journal that fits; none, and a warning, where it does not. */
function readLines(path: string, header: JournalHeader, prompts: readonly VerifyPrompt[], progress: Progress): Line[] {
  const ignored = (why: string): [] => {
    progress.warn("JOURNAL_IGNORED", `${path} is not gone on from, and will be written anew: ${why}`);
    return [];
  };
  let rows: string[];
  try {
    rows = readNamedFile(path, MAX_BYTES).toString("utf8").split("\n");
  } catch (error) {
    return ignored(error instanceof Error ? error.message : String(error));
  }
  const [first, ...rest] = rows.filter((row) => row !== "");
  const theirs = parsed(first);
  if (typeof theirs !== "object" || theirs === null) return ignored("its first line is not a header");
  const different = (Object.keys(header) as (keyof JournalHeader)[]).filter(
    (key) => JSON.stringify(header[key]) !== JSON.stringify((theirs as Partial<JournalHeader>)[key]),
  );
  if (different.length > 0) return ignored(`it was made with another ${different.join(", ")}`);
  const lines = rest.map((row) => validLine(row, prompts.length, header));
  const broken = lines.indexOf(null);
  if (broken !== -1 && broken < lines.length - 1) return ignored(`line ${broken + 2} is not readable`);
  return lines.filter((line) => line !== null);
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}

/** A line whose runs are as many as they should be; null for any other. */
function validLine(text: string, prompts: number, header: JournalHeader): Line | null {
  const { data } = Line.safeParse(parsed(text));
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
