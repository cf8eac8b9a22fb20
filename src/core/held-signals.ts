/** Signals that would end the process at once, held back for the milliseconds in which a file is half written. */
import { isMainThread } from "node:worker_threads";

const SIGNALS = ["SIGHUP", "SIGINT", "SIGTERM"] as const;

/**
 * Where nobody listens for a signal, it is held, and raised again once released. Where somebody does, nothing is done:
 * a handler runs between two turns of the event loop, and never in the middle of a file.
 */
export function holdSignals(): () => void {
  const held = isMainThread ? SIGNALS.filter((signal) => process.listenerCount(signal) === 0) : [];
  const again = (signal: NodeJS.Signals) => {
    stop();
    process.kill(process.pid, signal);
  };
  const stop = () => {
    for (const signal of held) process.removeListener(signal, again);
  };
  for (const signal of held) process.on(signal, again);
  // one that came meanwhile is delivered in the event loop's next turn
  return () => void setImmediate(() => setImmediate(stop));
}
