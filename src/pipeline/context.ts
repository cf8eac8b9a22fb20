/** What a command gets from the command line, and how it speaks back. Only cli.ts makes one from a real process. */
import type { Progress } from "../core/progress.js";

export interface CommandContext {
  /** results, on stdout; a newline is added */
  print(text: string): void;
  /** raw text on stdout, for streaming */
  write(text: string): void;
  /** a line for the person watching, on stderr; never part of the result */
  note(text: string): void;
  progress: Progress;
  /** print exactly one JSON value instead of tables */
  json: boolean;
  provider: string;
  threads: number;
  /** another build of ONNX Runtime; undefined: the bundled one */
  ortLibrary?: string | undefined;
  /** columns of the terminal, or 80 where stdout is none */
  columns: number;
}
