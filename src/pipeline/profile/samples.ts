/**
 * The raw samples of a sweep as JSON lines: a header that says what is measured, a line for every timed pass or burst, and
 * one that ends a round. Lines after the last finished round are dropped when a sweep goes on: a torn line among them.
 */
import { existsSync } from "node:fs";
import { z } from "zod";
import { DraftplanError } from "../../core/errors.js";
import { appendText, writeText } from "../../core/output-file.js";
import { counted } from "../../core/text.js";
import { readNamedFile } from "../../core/user-file.js";
import type { HeadsRound } from "../../profile/sweep/heads.js";
import type { Observation, QueryLineRound } from "../../profile/sweep/pass.js";
import { type Kept, nothingKept, type Recorder } from "../../profile/sweep/samples.js";
import { ChoiceName, type Device, HeadName, type KernelNumerics, type ModelRef } from "../../schema/common.js";

/** An hour of passes has some 50 MiB. */
const MAX_BYTES = 256 << 20;

const GO_ON = "Make room there, and run the same command again: it goes on from here.";

export interface SamplesHeader {
  kind: "draftplan/samples";
  version: 1;
  model: ModelRef;
  device: Device;
  kernels: KernelNumerics;
  grid: { context_tokens: number[]; query_tokens: number[]; query_line: number[] };
  seed: number;
  /** digests of trained heads that are measured too; absent: none are */
  heads?: string[];
  /** trees are timed without heads too; absent: they are not */
  trees?: true;
  /** of attention that are measured too; absent: none are */
  spans?: string[];
  /** that are measured too; absent: none are */
  short_heads?: string[];
  /** a deck of programs, queued; absent: passes of random choices */
  queued?: true;
}

const Count = z.int().min(0);
const Sample = z.strictObject({
  round: Count,
  visit: Count,
  n: Count,
  q: z.int().positive(),
  us: z.number().positive(),
  passes: z.int().positive(),
  logits: z.boolean(),
  head: HeadName,
  blocks: z.array(ChoiceName),
});
const Time = z.number().positive();
const Heads = z.strictObject({
  pairs: z.array(z.strictObject({ context: Count, query: z.int().positive(), chainUs: Time, treeUs: Time.nullable() })),
  passes: z.array(
    z.strictObject({ heads: Count, depth: Count.nullable(), rows: z.int().positive(), us: z.number().nonnegative() }),
  ),
});
const RoundEnd = z.strictObject({
  ended_round: Count,
  /** µs that the sweep has taken up to here, earlier ones it went on from included */
  elapsed_us: z.number().nonnegative(),
  /** [q] µs of the whole target over 1, 2, 3, … tokens; null: not measured */
  query_line_us: z.array(z.number().positive()).nullable(),
  /** rounds that trained heads drafted; absent: none did */
  heads: Heads.optional(),
});
const Line = z.union([Sample, RoundEnd]);

/** A recorder that knows what to tell the user whose sweep ended before a profile could be made of it. */
export interface KeptRounds extends Recorder {
  /** @returns null where no round was finished, or where the error says enough */
  keptText(error: unknown): string | null;
}

/** Counts the rounds that are lost without `--samples`. */
export class UnkeptRounds implements KeptRounds {
  readonly kept = nothingKept();
  private rounds = 0;

  record(round: number): void {
    this.rounds = round + 1;
  }

  keptText(error: unknown): string | null {
    const isInterrupted = error instanceof Error && error.name === "Interruption";
    return isInterrupted && this.rounds > 0
      ? `stopped after ${counted(this.rounds, "round")}, too early for a profile; with --samples FILE they are kept, and the same command goes on`
      : null;
  }
}

export class FileSamples implements KeptRounds {
  readonly kept: Kept;
  private rounds: number;
  /** the whole file as it should be, until this run has written to it */
  private start: string | null;

  /** @throws DOCUMENT_MISMATCH where the file is of another sweep; DOCUMENT_INVALID where it is no file of samples */
  constructor(
    readonly path: string,
    private readonly header: SamplesHeader,
  ) {
    const text = existsSync(path) ? readNamedFile(path, MAX_BYTES).toString("utf8") : "";
    const rows = text.split("\n").slice(0, -1);
    if (rows.length > 0) this.checkHeader(rows[0]);
    // a header that a crash cut off may be written anew, anything else is not ours to write over
    else if (!JSON.stringify(header).startsWith(text)) throw this.broken(1, "it is no header of samples");
    const { kept, lines } = this.read(rows.slice(1));
    this.kept = kept;
    this.rounds = kept.rounds;
    this.start = `${[JSON.stringify(header), ...lines].join("\n")}\n`;
  }

  /** @throws FILE_UNWRITABLE */
  record(
    round: number,
    observations: readonly Observation[],
    line: QueryLineRound | null,
    elapsedUs: number,
    heads: HeadsRound | null = null,
  ): void {
    const end = {
      ended_round: round,
      elapsed_us: elapsedUs,
      query_line_us: line,
      ...(heads === null ? {} : { heads }),
    };
    const text = [...observations.map(toSample), end].map((one) => `${JSON.stringify(one)}\n`).join("");
    if (this.start === null) appendText(this.path, text, GO_ON);
    else writeText(this.path, this.start + text); // whole, without what a crash cut off
    this.start = null;
    this.rounds = round + 1;
  }

  /** What to tell the user whose sweep ended before a profile could be made; null where no round was finished. */
  keptText(): string | null {
    return this.rounds === 0
      ? null
      : `${counted(this.rounds, "round")} ${this.rounds === 1 ? "is" : "are"} kept in ${this.path}; the same command goes on from there`;
  }

  private checkHeader(row: string): void {
    const theirs = parsed(row);
    if (typeof theirs !== "object" || theirs === null || (theirs as { kind?: unknown }).kind !== this.header.kind)
      throw this.broken(1, "it is no header of samples");
    // heads and trees that nobody asks for now are passed over; passes timed in another way are another measurement
    const keys = new Set([...Object.keys(this.header), "queued"]);
    const different = ([...keys] as (keyof SamplesHeader)[]).filter(
      (key) => JSON.stringify(this.header[key]) !== JSON.stringify((theirs as Partial<SamplesHeader>)[key]),
    );
    if (different.length === 0) return;
    throw new DraftplanError({
      code: "DOCUMENT_MISMATCH",
      at: this.path,
      what: `its samples are of another ${different.join(", ")}`,
      remedy: "Name another file with --samples, or run the command that began this one.",
    });
  }

  private read(rows: readonly string[]): { kept: Kept; lines: string[] } {
    const kept = nothingKept();
    let open: Observation[] = [];
    let end = 0;
    for (const [i, row] of rows.entries()) {
      const { data } = Line.safeParse(parsed(row));
      if (data === undefined) {
        if (rows.slice(i).some((later) => RoundEnd.safeParse(parsed(later)).success))
          throw this.broken(i + 2, "the line cannot be read, and rounds follow it");
        break; // what a crash left of the last round
      }
      if (!("ended_round" in data)) {
        open.push(this.toObservation(data, i + 2));
        continue;
      }
      if (data.ended_round !== kept.rounds) throw this.broken(i + 2, `round ${kept.rounds} is missing`);
      const wanted = this.header.grid.query_line.length;
      if ((data.query_line_us?.length ?? 0) !== wanted) throw this.broken(i + 2, "its query line is of another length");
      kept.observations.push(...open);
      if (data.query_line_us !== null) kept.queryLines.push(data.query_line_us);
      kept.headsRounds.push(
        this.header.heads === undefined && this.header.trees === undefined ? null : (data.heads ?? null),
      );
      kept.rounds += 1;
      kept.elapsedUs = data.elapsed_us;
      open = [];
      end = i + 1;
    }
    return { kept, lines: rows.slice(0, end) };
  }

  private toObservation(sample: z.infer<typeof Sample>, line: number): Observation {
    const { n, q, logits, head, blocks, ...rest } = sample;
    if (blocks.length !== 2 * this.header.model.layers) throw this.broken(line, "it has another number of blocks");
    return { ...rest, context: n, query: q, head: logits, choices: { blocks, head } };
  }

  private broken(line: number, what: string): DraftplanError {
    return new DraftplanError({
      code: "DOCUMENT_INVALID",
      at: `${this.path}: line ${line}`,
      what,
      remedy: "Name another file with --samples, or delete this one.",
    });
  }
}

const toSample = ({ context, query, head, choices, ...rest }: Observation) => ({
  ...rest,
  n: context,
  q: query,
  logits: head,
  head: choices.head,
  blocks: choices.blocks,
});

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? "");
  } catch {
    return undefined;
  }
}
