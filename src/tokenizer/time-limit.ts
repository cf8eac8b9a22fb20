/** What a model's files make run: templates, and regular expressions that may backtrack for ever. */
import { createContext, Script } from "node:vm";

const script = new Script("run()");
const sandbox: { run: () => void } = { run: () => {} };
const context = createContext(sandbox);

/** A starved process begins anew, with twice the time, so often. */
const TRIES = 6;
/** share of the time that a process must have computed for it to be the work that is slow */
const COMPUTED = 0.5;

const cpuMs = (): number => {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
};

/**
 * Runs what may not end. V8 can be told to stop only what a Script runs; what that script calls is stopped with it, a
 * regular expression too. The limit is by the wall's clock, and on a busy machine the process may have had little of it: then
 * the work is begun anew, and may wait longer for the processor; what it may compute stays.
 * @param computedMs by this process so far, on all its threads
 * @throws what the work throws, and an Error of Node's where it takes longer
 */
export function withinTimeLimit<T>(limitMs: number, work: () => T, computedMs: () => number = cpuMs): T {
  const result: { value?: T } = {};
  for (let tries = 1; ; tries++) {
    sandbox.run = () => {
      result.value = work();
    };
    const before = computedMs();
    try {
      script.runInContext(context, { timeout: limitMs * 2 ** (tries - 1) });
      return result.value as T;
    } catch (thrown) {
      if ((thrown as { code?: unknown }).code !== "ERR_SCRIPT_EXECUTION_TIMEOUT") throw thrown;
      if (tries === TRIES || computedMs() - before >= COMPUTED * limitMs) throw thrown;
    }
  }
}
