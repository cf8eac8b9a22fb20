/** How a pass of a program is run once everything is bound: eagerly here, or captured (capture.ts). */
import type { ProgramForm } from "../../model/graph/program.js";
import type { ProgramSession } from "./program-session.js";
import { AS_IT_COMES, type Variant } from "./variants.js";

/** What decides the sizes in a pass. */
export interface Shape {
  /** tokens in the cache before it */
  position: number;
  q: number;
  /** rows whose head is computed */
  rows: number;
}

export interface BoundPass {
  form: ProgramForm;
  shape: Shape;
  /** the total length that its operators are told */
  total: number;
  /** what its buffers and its cache belong to: the same program over others is another pass */
  over: object;
  /** copies of what it gave, once it is over */
  outputs(): Uint8Array[];
}

export interface PassRunner {
  /** The total length that such passes are all told; undefined: each is told its own. */
  frozenTotal(form: ProgramForm, shape: Shape, capacity: number): number | undefined;
  /** How the provider is to compute such passes. */
  variant(form: ProgramForm, shape: Shape): Variant;
  /** @throws RUNTIME_FAILED */
  run(program: ProgramSession, pass: BoundPass): void;
  /** Releases what it holds. */
  close(): void;
}

/** Runs what may make a program's session grow, and counts by how much (Programs.grow). */
export type Grow = (program: ProgramSession, work: () => void) => void;

/** Each pass by itself, ended when `run` returns. */
export class EagerRunner implements PassRunner {
  private readonly seen = new WeakMap<ProgramSession, Set<string>>();

  constructor(private readonly grow: Grow) {}

  frozenTotal(): undefined {
    return undefined;
  }

  variant(): Variant {
    return AS_IT_COMES;
  }

  run(program: ProgramSession, { shape: { q, rows } }: BoundPass): void {
    const seen = this.seen.get(program) ?? new Set();
    this.seen.set(program, seen);
    const key = `${q} ${rows}`;
    if (seen.has(key)) program.run(null);
    else this.grow(program, () => program.run(null));
    seen.add(key);
  }

  close(): void {}
}
