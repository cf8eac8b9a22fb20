/**
 * What `npm test` runs a sample of, `npm run test:long` runs at length: fuzzers with many seeds, statistical trials,
 * other methods' searches. A file `x.long.test.ts` belongs to the latter alone; where it only imports `x.test.ts`, that
 * is run again with more trials.
 */
export const LONG = process.env.DRAFTPLAN_LONG === "1";

/** How many trials to run: a sample by default, all of them at length. */
export const trials = (sample: number, all: number): number => (LONG ? all : sample);
