// How the exact solver's time grows with groups and with resolution. Run after `npm run build`:
//   node bench/solve.mjs [--repeat 7] [--dist dist]
// Prints JSON: median and minimum milliseconds of each case, and whether the targets hold.
import { availableParallelism, cpus } from "node:os";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: { repeat: { type: "string", default: "7" }, dist: { type: "string", default: "dist" } },
});
const { paretoFrontier, solveMultipleChoice, lpSolverBound } = await import(
  pathToFileURL(`${values.dist}/solve/index.js`).href
);

/** Seeded uniform numbers in [0, 1) (mulberry32). */
function uniform(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t = (t + Math.imul(t ^ (t >>> 7), t | 61)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

/**
 * Blocks whose dearest choice loses nothing and whose first costs nothing.
 * full: loss follows cost, so every cost is on the frontier, the longest list there can be.
 */
function blocks({ groups, choices, totalUs, whole = true, full = false }) {
  const random = uniform(1);
  return Array.from({ length: groups }, (_, g) => ({
    id: `b${g}`,
    choices: Array.from({ length: choices }, (_, c) => {
      const exact = (totalUs / groups) * (c / (choices - 1)) * (0.8 + 0.4 * random());
      const costUs = whole ? Math.round(exact) : exact;
      const drawn = c === choices - 1 ? 0 : -Math.log(1 - random()) * 0.05 * (choices - c);
      return { id: `c${c}`, costUs, loss: full ? ((1.3 * totalUs) / groups - costUs) / totalUs : drawn };
    }),
  }));
}

function measure(run) {
  const times = [];
  let result;
  for (let i = 0; i < Number(values.repeat); i += 1) {
    const start = performance.now();
    result = run();
    times.push(performance.now() - start);
  }
  times.sort((a, b) => a - b);
  const round = (ms) => Math.round(10 * ms) / 10;
  return { median_ms: round(times[times.length >> 1]), min_ms: round(times[0]), result };
}

function frontierCase(shape, targetMs = null) {
  const groups = blocks(shape);
  const { result, ...times } = measure(() => paretoFrontier(groups));
  // Lists of choices are made when they are read: the same with every list read.
  const read = measure(() => paretoFrontier(groups).reduce((ids, { chosen }) => ids + chosen.length, 0));
  return {
    ...shape,
    points: result.length,
    resolution_us: result[0].resolutionUs ?? null,
    ...times,
    all_lists_read: { median_ms: read.median_ms, min_ms: read.min_ms },
    target_ms: targetMs,
  };
}

function budgetCase(shape, share) {
  const groups = blocks(shape);
  const { result, ...times } = measure(() => solveMultipleChoice(groups, shape.totalUs * share));
  const { loss, lowerBound, resolutionUs = null } = result;
  return { ...shape, budget_share: share, loss, lower_bound: lowerBound, resolution_us: resolutionUs, ...times };
}

const base = { groups: 160, choices: 4, totalUs: 30_000 };
const frontier = {
  targets: [
    frontierCase(base, 200),
    frontierCase({ ...base, choices: 2 }, 100),
    // attention with spans and kernels has this many, and the head four
    frontierCase({ ...base, choices: 10 }, 200),
    frontierCase({ ...base, choices: 10, whole: false }, 200),
  ],
  groups: [40, 80, 160].map((groups) => frontierCase({ ...base, groups })),
  resolution: [3_000, 30_000, 300_000].map((totalUs) => frontierCase({ ...base, totalUs })),
  not_whole: [40, 80, 160].map((groups) => frontierCase({ ...base, groups, whole: false })),
  full_lists: [
    frontierCase({ ...base, choices: 2, full: true }, 100),
    frontierCase({ ...base, full: true }, 200),
    frontierCase({ ...base, choices: 10, full: true }, 200),
  ],
};
const oneBudget = [
  ...[40, 80, 160].map((groups) => budgetCase({ ...base, groups }, 0.5)),
  budgetCase({ ...base, whole: false }, 0.5),
  budgetCase({ ...base, full: true }, 0.5),
  budgetCase({ ...base, full: true, whole: false }, 0.5),
];
const lp = measure(() => lpSolverBound(blocks(base), 15_000));
console.log(
  JSON.stringify(
    {
      device: { cpu: cpus()[0]?.model ?? null, cores: availableParallelism(), node: process.version },
      repeat: Number(values.repeat),
      targets_met: [...frontier.targets, ...frontier.full_lists].every(
        ({ median_ms, target_ms }) => median_ms <= target_ms,
      ),
      frontier,
      one_budget: oneBudget,
      lp_bound_160x4: { median_ms: lp.median_ms, min_ms: lp.min_ms },
    },
    null,
    2,
  ),
);
