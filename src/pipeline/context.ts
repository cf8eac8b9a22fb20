/** What work on a device needs of whoever asks for it: a command, a bench, a program. */
import type { Progress } from "../core/progress.js";
import type { TargetPrecision } from "../schema/numerics.js";

export interface PipelineContext {
  progress: Progress;
  /** a line for the person watching; never part of the result */
  note(text: string): void;
  provider: string;
  threads: number;
  /** another build of ONNX Runtime; undefined: the bundled one */
  ortLibrary?: string | undefined;
  /** precision of the target: what is served and reproduced; default: the provider's own */
  targetPrecision?: TargetPrecision | undefined;
}
