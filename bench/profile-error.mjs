// How far a profile's predictions are from what decoding shows. Run after `npm run build`:
//   node bench/profile-error.mjs [MODEL] [--threads N] [--budget 60] [--masks 40] [--rounds 2] [--dist dist]
// Prints JSON. While the profile is measured, rounds of drafting and verification run in between, --rounds of them after
// each step of the sweep, with random masks and at contexts that are off the grid; the finished profile then predicts them.
// Their time is not the sweep's: its clock stands still meanwhile. Both see the same machine at the same time, but
// a machine shared with others changes from one moment to the next: `ratio` (draft time divided by verification time, which
// is what a speedup depends on) is disturbed by that the least. Errors are 100 · (predicted / measured − 1).
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    threads: { type: "string", default: String(availableParallelism()) },
    budget: { type: "string", default: "60" },
    masks: { type: "string", default: "40" },
    rounds: { type: "string", default: "2" },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { loadModel } = await import(library("runtime/load.js"));
const { systemClock, describeDevice } = await import(library("runtime/device.js"));
const { profileModel } = await import(library("profile/profile.js"));
const { draftPass } = await import(library("profile/sweep/design.js"));
const { seededRandom } = await import(library("stats/random.js"));
const { resolveGrid, parseAxis } = await import(library("profile/grid.js"));
const { verify } = await import(library("decode/verification.js"));
const { draftChain } = await import(library("decode/drafters/self.js"));
const { targetChoices, uniformChoices } = await import(library("schema/choice.js"));
const { openLatency } = await import(library("solve/latency.js"));

const quantile = (numbers, share) =>
  numbers.toSorted((a, b) => a - b)[Math.min(numbers.length - 1, Math.floor(share * numbers.length))];
const median = (numbers) => quantile(numbers, 0.5);
const tenth = (x) => Math.round(10 * x) / 10;

const threads = Number(values.threads);
const model = await loadModel(positionals[0] ?? "embedded", { provider: "cpu", threads });
const { engine, spec } = model;
const grid = resolveGrid(null, parseAxis("--query", "1..17"), engine.capacity);
const between = grid.contexts.slice(1).map((n, i) => Math.round(Math.sqrt(n * grid.contexts[i])));

const random = seededRandom(4711);
const masks = [uniformChoices(spec.layers, "int8")];
while (masks.length <= Number(values.masks)) masks.push(draftPass(random, spec.layers, model.engine.kernels).choices);
const lengths = [2, 3, 4, 6, 8];
const rounds = [];

/** Each mask at a context and a length of its own, all in turn: what is left of a mask's median is the profile's error. */
const places = masks.map(() => ({
  n: between[random.index(between.length)],
  d: lengths[random.index(lengths.length)],
}));
let queue = [];

/** One round as decode() runs it, after one that is not counted. */
async function realRound() {
  if (queue.length === 0) queue = random.shuffle(masks.map((_, m) => m));
  const mask = queue.pop();
  const { n, d } = places[mask];
  for (let counted = 0; counted < 2; counted += 1) {
    await new Promise((next) => setImmediate(next));
    const start = systemClock.nowUs();
    const drafted = draftChain(engine, n, 3, masks[mask], d);
    const middle = systemClock.nowUs();
    verify({ engine, text: [3], context: n, pending: 3 }, drafted, targetChoices(spec.layers));
    const end = systemClock.nowUs();
    if (counted === 1) rounds.push({ mask, n, d, draftUs: middle - start, verifyUs: end - middle });
  }
}

let elsewhereUs = 0;
/** Stands still while real rounds run. */
const sweepClock = { nowUs: () => systemClock.nowUs() - elsewhereUs };
const progress = {
  warn: (code, message) => console.error(`${code}: ${message}`),
  async tick(update) {
    if (update?.stage !== "profile") return;
    const from = systemClock.nowUs();
    for (let i = 0; i < Number(values.rounds); i++) await realRound();
    elsewhereUs += systemClock.nowUs() - from;
  },
};
const started = performance.now();
const measured = await profileModel({
  engine,
  clock: sweepClock,
  ...grid,
  budgetSeconds: Number(values.budget),
  progress,
});
const seconds = tenth((performance.now() - started) / 1000);
model.close();

const profile = { ...measured, model: { name: spec.name, layers: spec.layers } };
const latency = openLatency(profile);
const percent = (predicted, actual) => 100 * (predicted / actual - 1);
const errors = rounds.map(({ mask, n, d, draftUs, verifyUs }) => {
  const [draft, verify] = [d * latency.draftUs(masks[mask], n), latency.verifyUs(n, d)];
  return {
    mask,
    n,
    d,
    draft: percent(draft, draftUs),
    verify: percent(verify, verifyUs),
    ratio: percent(draft / verify, draftUs / verifyUs),
  };
});

function figures(of) {
  const summary = (key) => {
    const all = of.map((error) => error[key]);
    return {
      bias: tenth(median(all)),
      median: tenth(median(all.map(Math.abs))),
      p90: tenth(quantile(all.map(Math.abs), 0.9)),
    };
  };
  return of.length === 0
    ? null
    : { rounds: of.length, draft: summary("draft"), verify: summary("verify"), ratio: summary("ratio") };
}

/** Each mask by the median of its rounds: what is left once the noise of single rounds is out. */
function byMask(key) {
  const medians = masks
    .map((_, m) => errors.filter(({ mask }) => mask === m))
    .filter((e) => e.length > 2)
    .map((e) => 100 * (1 / median(e.map((x) => 1 / (1 + x[key] / 100))) - 1));
  const sizes = medians.map(Math.abs);
  return {
    masks: medians.length,
    bias: tenth(median(medians)),
    median: tenth(median(sizes)),
    p90: tenth(quantile(sizes, 0.9)),
  };
}

const sum = (numbers) => numbers.reduce((a, b) => a + b, 0);
/** How far the sum over the target's parts lies from its whole pass, at every point of the grid. */
const partsPercent = measured.points.map((p) => {
  const parts = p.fixed_us + p.head_us.target + sum(p.attn_us.target) + sum(p.mlp_us.target);
  return percent(parts, p.whole_target_us);
});

const { sampling, loop, attention_line } = measured;
const residuals = measured.points.map((p) => p.residual_percent);
console.log(
  JSON.stringify(
    {
      ...{
        model: spec.name,
        device: describeDevice("cpu", threads),
        grid: measured.points.length,
        seconds,
        sampling,
        loop,
        attention_line,
      },
      sum_of_parts_percent: {
        bias: tenth(median(partsPercent)),
        median: tenth(median(partsPercent.map(Math.abs))),
        most: tenth(Math.max(...partsPercent.map(Math.abs))),
      },
      residual_percent: { median: tenth(median(residuals)), most: tenth(Math.max(...residuals)) },
      single_rounds: figures(errors),
      int8: figures(errors.filter(({ mask }) => mask === 0)),
      by_draft_length: Object.fromEntries(
        lengths.map((length) => [length, figures(errors.filter(({ d }) => d === length))]),
      ),
      by_context: Object.fromEntries(
        between.map((context) => [context, figures(errors.filter(({ n }) => n === context))]),
      ),
      by_mask: { draft: byMask("draft"), verify: byMask("verify"), ratio: byMask("ratio") },
    },
    null,
    1,
  ),
);
