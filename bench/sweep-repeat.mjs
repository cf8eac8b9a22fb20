// How far apart are sweeps in what plans rest on most: what a verification costs in plain steps? After `npm run build`:
//   node bench/sweep-repeat.mjs [MODEL=embedded] [--sweeps 8] [--budget 8] [--threads 2] [--out out/sweep-repeat.json]
// Sweeps of `run`'s grid, one after the other, each with passes drawn anew. The ratio of the whole target's pass over q tokens
// and its step, both at the same context, by three estimates from the same passes: medians of each by itself; medians of
// passes brought to the level of their visit; the profile's own surface. Every sweep is compared with the mean of the others
// in logarithms, so no sweep judges itself, and what is printed (root mean square, percent) is what two sweeps differ by over
// √2. A machine at rest and a busy one both tell something; the load is printed beside. Progress goes to stderr.
import { mkdirSync, writeFileSync } from "node:fs";
import { loadavg } from "node:os";
import { dirname } from "node:path";
import { parseArgs } from "node:util";
import { mean, median } from "simple-statistics";
import { silentProgress } from "../dist/core/progress.js";
import { makeProfile } from "../dist/pipeline/profile/make.js";
import { steady, withoutDrift } from "../dist/profile/fit/drift.js";
import { DEFAULT_QUERY, parseAxis, resolveGrid } from "../dist/profile/grid.js";
import { isTarget } from "../dist/profile/sweep/pass.js";
import { loadModel } from "../dist/runtime/load.js";
import { openLatency } from "../dist/solve/latency.js";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    sweeps: { type: "string", default: "8" },
    budget: { type: "string", default: "8" },
    threads: { type: "string", default: "2" },
    out: { type: "string", default: "out/sweep-repeat.json" },
  },
});
const LONGEST = 1920;
const context = { provider: "cpu", threads: Number(values.threads), progress: silentProgress };
const model = await loadModel(positionals[0] ?? "embedded", { ...context, capacity: 2048 });
const grid = resolveGrid(
  { kind: "range", from: 64, to: Math.min(LONGEST, model.engine.capacity - 64) },
  parseAxis("--query", DEFAULT_QUERY),
  model.engine.capacity,
);
const cells = grid.contexts.flatMap((n) => grid.queries.filter((q) => q > 1).map((q) => ({ n, q })));

/** [cells] ln of the pass over its step */
const ratios = (us) => cells.map(({ n, q }) => Math.log(us(n, q) / us(n, 1)));

const medians = (passes) => (n, q) => {
  const here = passes.filter((o) => isTarget(o) && o.context === n && o.query === q);
  return here.length === 0 ? Number.NaN : median(here.map(({ us }) => us));
};

/** Root mean square over cells and sweeps, percent, of each sweep against the mean of the others. */
function scatter(sweeps) {
  const squares = sweeps.flatMap((own, i) => {
    const others = sweeps.filter((_, j) => j !== i);
    return own.flatMap((x, cell) => {
      const rest = others.map((other) => other[cell]).filter(Number.isFinite);
      return Number.isFinite(x) && rest.length > 0 ? [((x - mean(rest)) ** 2 * rest.length) / (rest.length + 1)] : [];
    });
  });
  return Math.round(1000 * Math.sqrt(mean(squares))) / 10;
}

const found = { apart: [], visits: [], surface: [] };
const sampling = [];
try {
  for (let i = 0; i < Number(values.sweeps); i++) {
    const passes = [];
    const recorder = { record: (_round, seen) => void passes.push(...seen) };
    const budgetSeconds = Number(values.budget);
    const profile = await makeProfile(model.engine, model.ref, grid, context, {
      ...{ budgetSeconds, recorder, seed: i + 1, draws: 0 },
    });
    const level = withoutDrift(passes);
    const latency = openLatency(profile);
    found.apart.push(ratios(medians(level)));
    found.visits.push(ratios(medians(steady(level))));
    found.surface.push(ratios((n, q) => latency.verifyUs(n, q - 1)));
    const { rounds, spread_percent, precision_percent } = profile.sampling;
    sampling.push({ rounds, spread_percent, precision_percent, load: loadavg()[0] });
    console.error(`sweep ${i + 1}: ${rounds} rounds, passes spread by ${spread_percent} %`);
  }
} finally {
  model.close();
}
const result = {
  ...{ sweeps: found.apart.length, budget_seconds: Number(values.budget), contexts: grid.contexts },
  scatter_percent: Object.fromEntries(Object.entries(found).map(([name, sweeps]) => [name, scatter(sweeps)])),
  sampling,
};
mkdirSync(dirname(values.out), { recursive: true });
writeFileSync(values.out, JSON.stringify({ ...result, cells, found }, null, 2));
console.log(JSON.stringify(result, null, 2));
