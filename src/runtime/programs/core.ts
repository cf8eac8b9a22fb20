/** What engines over one store of weights share. */
import type { MoverOwner } from "../cache/row-mover.js";
import type { Engine } from "../engine.js";
import type { ComputeMemory } from "./memory.js";
import type { PassRunner } from "./pass-runner.js";
import type { ProgramSession } from "./program-session.js";
import type { Programs } from "./programs.js";
import type { Tensors } from "./tensors.js";

export interface ProgramCore extends Pick<Engine, "capacity" | "kernels" | "numerics" | "spec"> {
  memory: ComputeMemory;
  /** made anew for every engine, which closes them */
  tensors(): Tensors;
  programs: Programs<ProgramSession>;
  runner: PassRunner;
  /** null: no trees run there, and why */
  trees: { refused: string } | null;
  /** a graph of its own moves rows of the cache; undefined: they are moved in the host's memory */
  mover: MoverOwner | undefined;
  close(): void;
}
