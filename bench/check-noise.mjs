// How often `check --measure` would raise a false alarm on this machine, and how often it would miss a slowdown.
// Run after `npm run build`:
//   node bench/check-noise.mjs [PLAN] [--model MODEL] [--slots 300] [--simulations 10000] [--slowdown 10] [--dist dist]
// Prints JSON. One plan is decoded again and again, in the order of a check (A B A B with A = B), and every time is kept.
// Then checks are simulated: each starts somewhere in the record and takes its times in the order they were recorded, so
// that spells of noise stay spells, and is decided by the code that the command uses. In the planted half the candidate's
// times are lengthened by --slowdown percent.
import { availableParallelism } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string", default: "embedded" },
    slots: { type: "string", default: "300" },
    simulations: { type: "string", default: "10000" },
    slowdown: { type: "string", default: "10" },
    tolerance: { type: "string", default: "5" },
    longest: { type: "string", default: "60" },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { loadModel } = await import(library("runtime/load.js"));
const { systemClock, describeDevice } = await import(library("runtime/device.js"));
const { readDocumentOf } = await import(library("schema/document.js"));
const { planPolicy } = await import(library("decode/policy.js"));
const { compareSlots, decideSlower, isPrecise, isTimeToLook, sideBySide } = await import(library("verify/index.js"));
const { bundledPrompts } = await import(library("pipeline/text/prompts.js"));
const { openTokenizer } = await import(library("tokenizer/open.js"));
const { seededRandom } = await import(library("stats/random.js"));

const threads = availableParallelism();
const model = await loadModel(values.model, { provider: "cpu", threads, capacity: 2048 });
const planPath = positionals[0] ?? "plans/union-10m.plan.yaml";
const { document } = readDocumentOf("draftplan/plan", planPath);
const policy = planPolicy(document, model.spec.layers, planPath);
const wanted = Number(values.slots);
const prompts = await bundledPrompts(() => openTokenizer(values.model));
const { slots } = await sideBySide({
  engine: model.engine,
  clock: systemClock,
  prompts,
  maxTokens: 64,
  endTokens: model.spec.eosTokenIds,
  baseline: policy,
  candidate: policy,
  enough: (taken) => taken.length >= wanted,
});
model.close();

const tolerance = Number(values.tolerance);
const longest = Number(values.longest);
const random = seededRandom(20261123);

/** Ends as the command does: when it is precise, or when the time for `longest` slots is over. */
function simulate(factor) {
  const start = random.index(slots.length);
  const taken = Array.from({ length: longest }, (_, i) => slots[(start + i) % slots.length]).map((slot) => ({
    ...slot,
    candidateUs: slot.candidateUs.map((us) => us * factor),
  }));
  for (let count = 1; ; count += 1) {
    if (!isTimeToLook(count, prompts.length) && count !== longest) continue;
    const comparison = compareSlots(taken.slice(0, count));
    if (isPrecise(comparison) || count === longest) return { ...decideSlower(comparison, tolerance), slots: count };
  }
}

function many(factor, count) {
  const found = Array.from({ length: count }, () => simulate(factor));
  const share = (verdict) => found.filter((check) => check.verdict === verdict).length / count;
  const used = found.map((check) => check.slots).sort((a, b) => a - b);
  return {
    simulations: count,
    regressed: share("regressed"),
    fine: share("fine"),
    inconclusive: share("inconclusive"),
    median_slots: used[count >> 1],
  };
}

const us = slots.flatMap(({ baselineUs }) => baselineUs).sort((a, b) => a - b);
const simulations = Number(values.simulations);
console.log(
  JSON.stringify(
    {
      device: describeDevice("cpu", threads),
      plan: planPath,
      recorded_runs: 4 * slots.length,
      spread_percent: (100 * (us[Math.floor(0.9 * us.length)] - us[Math.floor(0.1 * us.length)])) / us[us.length >> 1],
      tolerance_percent: tolerance,
      same_plan: many(1, simulations),
      [`slower_by_${values.slowdown}_percent`]: many(1 + Number(values.slowdown) / 100, Math.ceil(simulations / 10)),
    },
    null,
    2,
  ),
);
