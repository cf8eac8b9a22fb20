/** A CommandContext for this process: the one place that connects commands to streams, signals and the terminal. */
import { isatty } from "node:tty";
import type { CommandContext } from "../commands/context.js";
import { DraftplanError } from "../core/errors.js";
import type { Progress } from "../core/progress.js";
import { harmless, withoutControls } from "../core/text.js";
import { defaultThreads } from "../runtime/device.js";
import type { TargetPrecision } from "../schema/numerics.js";
import type { Interrupts } from "./interruption.js";
import type { SharedOptions } from "./options.js";
import { displayFor, type ProgressDisplay } from "./progress-bar.js";
import { openTerminal } from "./terminal.js";

/** Work may block the event loop for so long before signals are let in. */
const YIELD_MS = 20;
const DEFAULT_COLUMNS = 80;

export interface ProcessContext extends CommandContext {
  /** takes the progress bar off the screen */
  close(): void;
}

export function createContext(options: SharedOptions, interrupts: Interrupts): ProcessContext {
  const display = displayFor(process.stderr, process.env.TERM);
  const out = (text: string) => {
    display.clear();
    process.stdout.write(text);
  };
  const err = (text: string) => {
    display.clear();
    process.stderr.write(`${text}\n`);
  };
  const write = (text: string) => out(process.stdout.isTTY ? withoutControls(text) : text);
  // Model and device names are anybody's text: cleaned here, where it leaves. In JSON these are the escapes JSON has.
  const note = (text: string) => err(harmless(text));
  const progress = createProgress(display, interrupts, note);
  // asked by number: looking at process.stdin opens it, and a pipe that was opened no longer waits for its writer
  const onTerminal = isatty(0) && process.stdout.isTTY;
  const terminal = onTerminal ? openTerminal({ input: process.stdin, output: process.stdout }, interrupts) : null;
  return {
    write,
    print: (text) => out(`${harmless(text)}\n`),
    // stdout holds exactly one JSON value with --json; a GitHub runner reads commands from stderr as well
    command: (text) => (options.json ? err(text) : out(`${text}\n`)),
    note,
    progress,
    json: options.json ?? false,
    provider: options.provider ?? "cpu",
    threads: boundedThreads(options.threads ?? defaultThreads(), progress),
    ortLibrary: options.ortLibrary ?? (process.env.DRAFTPLAN_ORT_LIBRARY || undefined),
    targetPrecision: precisionNamed(options.target, options.provider ?? "cpu"),
    scales: options.scales,
    columns: columnsOf(process.stdout.columns, process.env.COLUMNS),
    terminal,
    close() {
      display.clear();
      terminal?.close();
    },
  };
}

/** Of the terminal; else what COLUMNS says, as a pager or a test does that shows what was printed; else 80. */
function columnsOf(terminal: number | undefined, said: string | undefined): number {
  if (terminal !== undefined && terminal > 0) return terminal;
  return said !== undefined && /^[1-9]\d{0,3}$/.test(said) ? Number(said) : DEFAULT_COLUMNS;
}

/** @throws OPTION_INVALID for a precision that draftplan computes in nowhere */
function precisionNamed(target: SharedOptions["target"], provider: string): TargetPrecision | undefined {
  if (target !== "bf16") return target;
  throw new DraftplanError({
    code: "OPTION_INVALID",
    at: "--target bf16",
    what: `draftplan does not compute in bf16 on ${provider}`,
    remedy: "Use --target fp32, int8 or int4 on the CPU, and fp16, int8 or int4 on cuda.",
  });
}

/** Threads that wait for one another by spinning; beyond this the library hangs, or is refused a thread and aborts. */
const MOST_THREADS = Math.max(16, 2 * defaultThreads());

function boundedThreads(asked: number, progress: Pick<Progress, "warn">): number {
  if (asked <= MOST_THREADS) return asked;
  progress.warn("TOO_MANY_THREADS", `--threads ${asked} is more than this machine can serve; ${MOST_THREADS} are used`);
  return MOST_THREADS;
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
