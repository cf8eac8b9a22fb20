// Passes timed by turns, for benches: what several subjects cost beside one another, and how sure their ratio is.
import { performance } from "node:perf_hooks";
import { median, quantile } from "simple-statistics";

const FIRST_ROUNDS = 2; // not counted: they warm up

/**
 * Every other round goes backwards, so that whoever goes first is not always the same.
 * @param subjects {name: pass()}
 * @param passes   of one subject at a time, so that it has its weights in cache as in real decoding; the first `warmUp` don't count
 * @returns {name: [rounds] median ms of a pass}
 */
export function interleave(subjects, { rounds, warmUp, passes }) {
  const names = Object.keys(subjects);
  const times = Object.fromEntries(names.map((name) => [name, []]));
  for (let round = 0; round < rounds + FIRST_ROUNDS; round += 1) {
    for (const name of round % 2 === 0 ? names : names.toReversed()) {
      const own = [];
      for (let i = 0; i < warmUp + passes; i += 1) {
        const start = performance.now();
        subjects[name]();
        own.push(performance.now() - start);
      }
      if (round >= FIRST_ROUNDS) times[name].push(median(own.slice(warmUp)));
    }
  }
  return times;
}

/** Seeded (mulberry32), so that the same times give the same interval. @returns numbers from 0 to 1 */
export function seeded(state) {
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** Median of a's times over b's, round by round, and its 95 % bootstrap interval over rounds. */
export function ratio(a, b) {
  const ratios = a.map((ms, i) => ms / b[i]);
  const random = seeded(1);
  const draws = Array.from({ length: 2000 }, () =>
    median(ratios.map(() => ratios[Math.floor(random() * ratios.length)])),
  );
  return { ratio: median(ratios), low: quantile(draws, 0.025), high: quantile(draws, 0.975) };
}
