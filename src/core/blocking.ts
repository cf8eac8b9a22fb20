/**
 * Reading and writing what may keep this process waiting for ever: a pipe whose other end does nothing. Such a call
 * blocks the event loop, and with it every handler of signals; so whoever handles signals hands them back to the system
 * for as long as it lasts, and one of them ends the process at once.
 */
type Suspend = () => () => void;

let suspend: Suspend = () => () => {};

/** @param handler gives signals back to the system; what it returns takes them again */
export function whenBlocking(handler: Suspend): void {
  suspend = handler;
}

/** Runs a call that may not return. */
export function blocking<T>(call: () => T): T {
  const resume = suspend();
  try {
    return call();
  } finally {
    resume();
  }
}

/** Blocks for a moment: what is open without waiting answers EAGAIN until its other end moves. */
function pause(ms: number): void {
  Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms);
}

const PAUSE_MS = 10;

/** A system call again and again until it does not answer EAGAIN. */
export function untilReady<T>(call: () => T): T {
  for (;;) {
    try {
      return call();
    } catch (error) {
      if (errnoOf(error) !== "EAGAIN") throw error;
      pause(PAUSE_MS);
    }
  }
}

/** `ENOENT` and the like; undefined for what is no system error */
export const errnoOf = (error: unknown): string | undefined =>
  error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
