/**
 * The programs that are ready: the one longest unused goes first where they take more memory than they may. A program is
 * made in 0.02 to 0.04 s on a GPU, so what goes can come again.
 */
import { type ProgramForm, programKey } from "../../model/graph/program.js";
import type { ComputeMemory } from "./memory.js";
import { AS_IT_COMES, type Variant } from "./variants.js";

/** What programs that are kept ready may take: on an H200 one took 67 to 80 MB. */
export const PROGRAM_BYTES = 2 ** 31;

/** What is kept of a program. */
export interface ReadyProgram {
  /** what it takes at least */
  readonly leastBytes: number;
  close(): void;
}

export class Programs<Program extends ReadyProgram> {
  /** the one longest unused first */
  private readonly ready = new Map<string, { program: Program; bytes: number }>();
  private held = 0;

  /**
   * @param make       writes one and makes it ready
   * @param limitBytes what all of them may grow the memory by; the one in use always stays
   */
  constructor(
    private readonly make: (form: ProgramForm, variant: Variant) => Program,
    private readonly memory: Pick<ComputeMemory, "usedBytes" | "wait">,
    private readonly limitBytes: number,
  ) {}

  /** bytes that all of them have grown the memory by, as far as that was measured */
  get bytes(): number {
    return this.held;
  }

  get all(): Program[] {
    return Array.from(this.ready.values(), ({ program }) => program);
  }

  /** @throws what `make` throws; those that are ready stay so */
  get(form: ProgramForm, variant: Variant = AS_IT_COMES): Program {
    const key = `${variant.name} ${programKey(form)}`;
    const known = this.ready.get(key);
    if (known !== undefined) {
      this.ready.delete(key);
      this.ready.set(key, known);
      return known.program;
    }
    const { result: program, bytes } = this.measured(() => this.make(form, variant));
    const entry = { program, bytes: Math.max(bytes, program.leastBytes) };
    this.ready.set(key, entry);
    this.held += entry.bytes;
    this.shrink(program);
    return program;
  }

  /** Runs what may make a program's session grow, and counts by how much. */
  grow(program: Program, work: () => void): void {
    const { bytes } = this.measured(work);
    const entry = [...this.ready.values()].find((one) => one.program === program);
    if (entry === undefined) return;
    entry.bytes += bytes;
    this.held += bytes;
    this.shrink(program);
  }

  private measured<T>(work: () => T): { result: T; bytes: number } {
    const before = this.memory.usedBytes();
    const result = work();
    return { result, bytes: Math.max(0, this.memory.usedBytes() - before) };
  }

  private shrink(inUse: Program): void {
    for (const [key, { program, bytes }] of this.ready) {
      if (this.held <= this.limitBytes) return;
      if (program === inUse) continue;
      this.memory.wait(); // nothing that was queued may still run on it
      program.close();
      this.ready.delete(key);
      this.held -= bytes;
    }
  }

  close(): void {
    for (const { program } of this.ready.values()) program.close();
    this.ready.clear();
    this.held = 0;
  }
}
