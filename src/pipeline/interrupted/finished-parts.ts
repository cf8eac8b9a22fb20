/**
 * What an interrupted `run` or `compare` had finished, `DOCUMENT.partial.jsonl` beside the document that the command ends
 * with, a line for every part. The same command goes on from there.
 */
import { rmSync } from "node:fs";
import { z } from "zod";
import { isKept, orUnwritable } from "../../core/output-file.js";
import { ageText, counted } from "../../core/text.js";
import type { PipelineContext } from "../context.js";
import { KeptLines } from "./kept-lines.js";

const Line = z.strictObject({
  /** `profile`, `prompt 3` */
  part: z.string().max(400),
  /** 0: the first run; 1: the one that went on after its interruption, and so on */
  session: z.int().min(0),
  made: z.iso.datetime(),
  value: z.json(),
});
type Line = z.infer<typeof Line>;

/** Everything that the parts depend on, in words that tell what differs. */
export type PartsTask = { command: "run" | "compare" } & Record<string, unknown>;

export interface PartsOptions {
  /** what is there is not gone on from */
  fresh?: boolean | undefined;
  /** ms since 1970, for saying how old parts are */
  now?: () => number;
}

export class FinishedParts {
  /** null: what the command ends with is no file, so nothing is kept */
  private readonly path: string | null;
  private readonly lines = new Map<string, Line>();
  private readonly session: number = 0;
  private readonly file: KeptLines<Line> | null = null;
  private readonly now: () => number;

  /**
   * Reads what an interrupted run left beside a document, where it fits, and says so.
   * @param document that the command ends with; `-` or a device: nothing is kept
   */
  constructor(
    document: string,
    task: PartsTask,
    context: Pick<PipelineContext, "note" | "progress">,
    options: PartsOptions = {},
  ) {
    this.now = options.now ?? Date.now;
    this.path = document === "-" || !isKept(document) ? null : `${document}.partial.jsonl`;
    if (this.path === null) return;
    if (options.fresh === true) this.discard();
    const header = JSON.parse(JSON.stringify({ kind: "draftplan/finished-parts", version: 1, ...task }));
    const lineOf = (row: unknown) => Line.safeParse(row).data ?? null;
    this.file = new KeptLines(this.path, header, lineOf, (why) =>
      context.progress.warn(
        "JOURNAL_IGNORED",
        `${this.path} is not gone on from, and everything is measured anew: ${why}`,
      ),
    );
    const { found } = this.file;
    for (const line of found) this.lines.set(line.part, line);
    if (found.length === 0) return;
    this.session = 1 + Math.max(...found.map(({ session }) => session));
    context.note(
      `going on after ${this.told(true)}, which an interrupted ${task.command} finished (${this.path}; --fresh begins anew)`,
    );
  }

  /** Runs that were interrupted, of those that parts of these names come from. */
  resumed(parts: readonly string[]): number {
    const sessions = parts.flatMap((part) => this.lines.get(part)?.session ?? []);
    return new Set(sessions.filter((session) => session < this.session)).size;
  }

  /** A part that an interrupted run or this one finished; undefined: there is none */
  find(part: string): unknown {
    return this.lines.get(part)?.value;
  }

  /** Keeps a part: plain data, as JSON has it. @throws FILE_UNWRITABLE */
  record(part: string, value: unknown): void {
    const line = { part, session: this.session, made: new Date(this.now()).toISOString(), value } as Line;
    this.file?.add(line);
    this.lines.set(part, line);
  }

  /**
   * A part as it was finished, or made and kept now.
   * @param make plain data, as JSON has it
   * @throws FILE_UNWRITABLE, what `make` throws
   */
  readonly take = async <Value>(part: string, make: () => Promise<Value>): Promise<Value> => {
    const found = this.find(part);
    if (found !== undefined) return found as Value;
    const value = await make();
    this.record(part, value);
    return value;
  };

  /** Work that what is kept is for: once it is through, nothing is left to go on with; what interrupts it is told what is kept. */
  async through<Result>({ note }: Pick<PipelineContext, "note">, work: () => Promise<Result>): Promise<Result> {
    try {
      return await work();
    } catch (error) {
      const kept = this.kept();
      if (kept !== null) note(kept);
      throw error;
    }
  }

  /** What to tell the user who interrupted the work; null where nothing was finished, or nothing is kept. */
  kept(): string | null {
    if (this.path === null || this.lines.size === 0) return null;
    return `${this.told(false)} ${this.lines.size === 1 ? "is" : "are"} kept in ${this.path}; the same command goes on from there`;
  }

  /** All documents are written, and nothing is left to go on with. @throws FILE_UNWRITABLE */
  discard(): void {
    const { path } = this;
    if (path === null) return;
    orUnwritable(path, "Delete it: the next run would go on from it.", () => rmSync(path, { force: true }));
  }

  /** `profile (12 minutes old), losses (3 minutes old) and 5 prompts` */
  private told(withAge: boolean): string {
    const names: string[] = [];
    const numbered = new Map<string, number>();
    for (const { part, made } of this.lines.values()) {
      const kind = /^([a-z]+) \d+/.exec(part)?.[1];
      if (kind !== undefined) numbered.set(kind, (numbered.get(kind) ?? 0) + 1);
      else names.push(withAge ? `${part} (${ageText(this.now() - Date.parse(made))} old)` : part);
    }
    const all = [...names, ...[...numbered].map(([kind, count]) => counted(count, kind))];
    return all.length < 2 ? all.join("") : `${all.slice(0, -1).join(", ")} and ${all.at(-1)}`;
  }
}
