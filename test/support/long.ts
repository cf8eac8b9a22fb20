/**
 * What `npm test` runs a sample of, `npm run test:long` runs at length: fuzzers with many seeds, statistical trials,
 * other methods' searches. A file `x.long.test.ts` belongs to the latter alone; where it only imports `x.test.ts`, that
 * is run again with more trials. What the long run has nothing to add to is not run twice: `test.skipIf(LONG)`.
 */
export const LONG = process.env.DRAFTPLAN_LONG === "1";

/** `DRAFTPLAN_EVERY=1 npm run test:long`: also what stands for itself no more than others do for it, and takes too long for CI. */
export const EVERY = process.env.DRAFTPLAN_EVERY === "1";

/** How many trials to run: a sample by default, all of them at length. */
export const trials = (sample: number, all: number): number => (LONG ? all : sample);

/** `DRAFTPLAN_FUZZ=10000` runs so many mutations of every file, at leisure; then each is held to the limits below. */
const FUZZ = Number(process.env.DRAFTPLAN_FUZZ ?? 0);

/** How many mutations of a file to try. */
export const mutations = (sample: number, all: number): number => (FUZZ > 0 ? FUZZ : trials(sample, all));

/** For one mutation. Only where fuzzing is all that runs: no other test asserts how long something takes. */
export const FUZZ_LIMIT_MS = FUZZ > 0 ? 5000 : Number.POSITIVE_INFINITY;
const MOST_GROWTH_BYTES = 300 * 2 ** 20;

/** @throws Error where the process has grown by more than damaged input may make it */
export function expectNoGrowth(beforeBytes: number): void {
  const grown = process.memoryUsage().rss - beforeBytes;
  if (grown > MOST_GROWTH_BYTES) throw new Error(`the process grew by ${(grown / 2 ** 20).toFixed(0)} MiB`);
}
