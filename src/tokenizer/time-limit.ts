/** What a model's files make run: templates, and regular expressions that may backtrack for ever. */
import { createContext, Script } from "node:vm";

const script = new Script("run()");
const sandbox: { run: () => void } = { run: () => {} };
const context = createContext(sandbox);

/**
 * Runs what may not end. V8 can be told to stop only what a Script runs; what that script calls is stopped with it, a
 * regular expression too.
 * @throws what the work throws, and an Error of Node's where it takes longer
 */
export function withinTimeLimit<T>(limitMs: number, work: () => T): T {
  const result: { value?: T } = {};
  sandbox.run = () => {
    result.value = work();
  };
  script.runInContext(context, { timeout: limitMs });
  return result.value as T;
}
