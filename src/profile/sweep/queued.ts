/** Passes timed as decoding runs them on an engine that queues: none waits for the host. */
import type { Bench } from "./bench.js";
import type { SweepPass } from "./pass.js";

/** Passes that are not timed: the second replay of a capture is trusted (runtime/programs/capture.ts). */
const WARM_UP = 2;
/** Passes that are queued and timed together. */
export const QUEUED = 6;

/** What queued passes are timed with. */
interface QueueBench extends Pick<Bench, "engine" | "clock"> {
  ids: readonly number[];
}

/** µs of one pass among several that were queued: no pass waits for the host. */
export function timeQueued(
  { engine, clock, ids }: QueueBench,
  pass: SweepPass,
  context: number,
  query: number,
): number {
  const run = engine.runQueued?.bind(engine);
  if (run === undefined) throw new Error("an engine that queues no passes");
  const queued = { position: context, input: ids.slice(0, query), ...pass };
  run(queued, WARM_UP);
  const from = clock.nowUs();
  run(queued, QUEUED);
  return (clock.nowUs() - from) / QUEUED;
}
