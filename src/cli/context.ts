/** A CommandContext for this process: the one place that connects commands to streams, signals and the terminal. */

import type { CommandContext } from "../commands/context.js";
import type { Progress } from "../core/progress.js";
import { defaultThreads } from "../runtime/device.js";
import type { Interrupts } from "./interruption.js";
import type { SharedOptions } from "./options.js";
import { noDisplay, type ProgressDisplay, terminalDisplay } from "./progress-bar.js";

/** Work may block the event loop for so long before signals are let in. */
const YIELD_MS = 20;
const DEFAULT_COLUMNS = 80;

export interface ProcessContext extends CommandContext {
  /** takes the progress bar off the screen */
  close(): void;
}

export function createContext(options: SharedOptions, interrupts: Interrupts): ProcessContext {
  const display = process.stderr.isTTY ? terminalDisplay(process.stderr) : noDisplay;
  const write = (text: string) => {
    display.clear();
    process.stdout.write(text);
  };
  const note = (text: string) => {
    display.clear();
    process.stderr.write(`${text}\n`);
  };
  return {
    write,
    print: (text) => write(`${text}\n`),
    note,
    progress: createProgress(display, interrupts, note),
    json: options.json ?? false,
    provider: options.provider ?? "cpu",
    threads: options.threads ?? defaultThreads(),
    ortLibrary: options.ortLibrary,
    columns: process.stdout.columns ?? DEFAULT_COLUMNS,
    close: () => display.clear(),
  };
}

export function createProgress(
  display: ProgressDisplay,
  interrupts: Pick<Interrupts, "reason" | "listen">,
  note: (text: string) => void,
): Progress {
  let yielded = performance.now();
  const warned = new Set<string>();
  return {
    async tick(update) {
      interrupts.listen();
      if (update !== undefined) display.update(update);
      // By the clock, not by the count: passes take from microseconds to a second.
      if (performance.now() - yielded >= YIELD_MS) {
        await new Promise((resolve) => setImmediate(resolve));
        yielded = performance.now();
      }
      if (interrupts.reason !== undefined) throw interrupts.reason;
    },
    warn(code, message) {
      const line = `warning [${code}]: ${message}`;
      if (warned.has(line)) return;
      warned.add(line);
      note(line);
    },
  };
}
