/**
 * Signals and closed pipes, as something that work can notice: the first one asks it to stop, through Progress.tick,
 * so that finally blocks run and no file stays half written. A later one kills at once.
 */

import { whenBlocking } from "../core/blocking.js";
import { ERROR_CODES } from "../core/errors.js";
import { writeWhole } from "./whole-output.js";

/** Exit codes as a shell reports them: 128 + the signal's number. */
const SIGNALS = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const;
/** The one interruption that ends a turn of a conversation alone. */
export const BY_CTRL_C = SIGNALS.SIGINT;
const CLOSED_PIPE = 141; // 128 + SIGPIPE

/** npm passes Ctrl-C on to a child that the terminal has told already: both are one press. */
const SAME_PRESS_MS = 300;

/** Work was asked to stop. Not a failure: nothing is explained, the exit code says which signal it was. */
export class Interruption extends Error {
  constructor(
    readonly exitCode: number,
    message: string,
  ) {
    super(message);
    this.name = "Interruption";
  }
}

export interface Interrupts {
  /** set once something asked the work to stop */
  readonly reason: Interruption | undefined;
  /** set once something that was printed could not be written, as on a full disk */
  readonly lost: Interruption | undefined;
  /**
   * From now on signals are noticed; until then, while options and documents are read, one ends the process at once. Heard
   * from the start, a signal would wait for the event loop, and a pipe that nobody writes to never lets it turn.
   */
  listen(): void;
  /** gives the signals back to the system */
  release(): void;
  /**
   * A Ctrl-C has done its work, such as ending a turn of a conversation: forgets it, and listens for the next.
   * @param anew something else was typed since, so that whatever comes now is another press
   */
  resume(anew?: boolean): void;
  /** Called once something asks to stop: for what waits for the event loop, and asks nobody. null: nobody is. */
  wake: (() => void) | null;
}

export function listenForInterrupts(): Interrupts {
  let reason: Interruption | undefined;
  let lost: Interruption | undefined;
  let later: NodeJS.Timeout | undefined;
  let pressed = Number.NEGATIVE_INFINITY;
  const onSignal = (signal: NodeJS.Signals) => {
    const exitCode = SIGNALS[signal as keyof typeof SIGNALS];
    if (reason?.exitCode === exitCode) return;
    if (signal === "SIGINT" && performance.now() - pressed < SAME_PRESS_MS) return;
    if (signal === "SIGINT") pressed = performance.now();
    reason = new Interruption(exitCode, "interrupted");
    later = setTimeout(release, SAME_PRESS_MS).unref();
    interrupts.wake?.();
  };
  const onClosed = (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE")
      lost ??= new Interruption(
        ERROR_CODES.FILE_UNWRITABLE,
        `error [FILE_UNWRITABLE] stdout: ${error.message}; make room, or print elsewhere`,
      );
    reason ??= lost ?? new Interruption(CLOSED_PIPE, "");
    interrupts.wake?.();
  };
  const release = () => {
    for (const signal of Object.keys(SIGNALS)) process.removeListener(signal, onSignal);
    whenBlocking(() => () => {});
  };
  const listen = () => {
    for (const signal of Object.keys(SIGNALS)) process.on(signal, onSignal);
    whenBlocking(() => {
      if (reason !== undefined) throw reason;
      release();
      return listen;
    });
  };
  let asked = false;
  writeWhole(process.stdout);
  process.stdout.on("error", onClosed);
  process.stderr.on("error", () => {}); // nobody is left to tell
  const interrupts: Interrupts = {
    wake: null,
    get reason() {
      return reason;
    },
    get lost() {
      return lost;
    },
    listen() {
      if (!asked) listen();
      asked = true;
    },
    release,
    resume(anew = false) {
      clearTimeout(later);
      if (anew) pressed = Number.NEGATIVE_INFINITY;
      if (reason?.exitCode === BY_CTRL_C) reason = undefined;
      release();
      listen();
    },
  };
  return interrupts;
}
