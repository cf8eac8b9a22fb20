// What adapting the plan while generating is worth. Run after `npm run build`:
//   node bench/adapt.mjs [--seeds 100] [--dist dist]
//       simulated: texts whose drafts are rejected as often as on the calibration text, more often, less often, or more
//       often from the middle on. Time of an adaptive generation by that of the fixed plan on the same text; and by that
//       of the best single arm in hindsight. Clustered rejections, and drafts 4 % off their profiled time, are tried too.
//   node bench/adapt.mjs --model embedded --plan plans/union-10m.plan.yaml [--pairs 3] [--max-tokens 256] [--seconds 240]
//       measured, on a machine that does nothing else: fixed and adaptive by turns (A B, B A) over the bundled prompts and
//       texts very unlike the calibration's. The prompt's pass is left out; re-planning is not.
// Prints JSON. A ratio below 1: adapting is faster.
import { availableParallelism, cpus } from "node:os";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { gaussian, madeProblem, makeText, simulate, tickingClock, uniform } from "./adapt-simulation.mjs";

const { values } = parseArgs({
  options: {
    seeds: { type: "string", default: "100" },
    model: { type: "string" },
    plan: { type: "string" },
    pairs: { type: "string", default: "3" },
    "max-tokens": { type: "string", default: "256" },
    seconds: { type: "string", default: "240" },
    threads: { type: "string", default: String(availableParallelism()) },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => import(pathToFileURL(resolve(values.dist, path)).href);
const { Adaptation } = await library("decode/adaptive/adaptation.js");
const { adaptivePolicy } = await library("decode/adaptive/policy.js");

const quantile = (numbers, p) => {
  const sorted = [...numbers].sort((a, b) => a - b);
  return sorted[Math.round(p * (sorted.length - 1))];
};
const mean = (numbers) => numbers.reduce((sum, x) => sum + x, 0) / numbers.length;
const digits = (x) => Number(x.toPrecision(4));

// ---------------------------------------------------------------------------------------------------- simulated
const REPLAN_LOOK_US = 60; // a look at the clock: four a weighing, so a weighing takes about what it takes on a cold cache
const TEXTS = {
  "as the calibration": () => () => 1,
  "rejected 0.3 times as often": () => () => 0.3,
  "rejected 2 times as often": () => () => 2,
  "rejected 3 times as often": () => () => 3,
  "rejected 5 times as often": () => () => 5,
  "rejected 10 times as often": () => () => 10,
  "rejected 8 times as often from the middle on": (tokens) => (t) => (t < tokens / 2 ? 1 : 8),
  // what a model does with text that makes no sense: lost at first, then repeating itself
  "rejected 12 times as often for 40 tokens, then 0.3 times": () => (t) => (t < 40 ? 12 : 0.3),
  "by turns of 40 tokens 8 times and 0.3 times": () => (t) => (Math.floor(t / 40) % 2 === 0 ? 8 : 0.3),
};
const DISTURBANCES = { none: { clusters: 0, error: 0 }, "clusters and latency errors": { clusters: 24, error: 0.04 } };

function simulated(seeds) {
  const { drafts, latency } = madeProblem();
  const planned = { draft: drafts.find(({ key }) => key === "mixed"), draftTokens: 7 };
  const arms = drafts.flatMap((draft) => [2, 3, 5, 7, 9, 12].map((draftTokens) => ({ draft, draftTokens })));
  const draftOf = (drafter) => drafts.find((draft) => draft.drafter === drafter);
  const policyOf = (arm) => () => arm && { drafter: arm.draft.drafter, draftTokens: arm.draftTokens };
  const cell = (tokens, factor, { clusters, error }, hindsight) =>
    Array.from({ length: seeds }, (_, i) => {
      const seed = i + 1;
      const text = makeText({ seed, factor, clusters });
      const off = drafts.map((_, k) => Math.exp(error * gaussian(seed, k + 11)));
      const draftUs = (choices, n) =>
        latency.draftUs(choices, n) * off[drafts.findIndex((draft) => draft.choices === choices)];
      const shared = { text, draftOf, latency: { ...latency, draftUs }, tokens, seed };
      const timeOf = (arm) => simulate({ ...shared, policy: policyOf(arm), clock: tickingClock(0) }).us;
      const clock = tickingClock(REPLAN_LOOK_US);
      const adaptive = adaptivePolicy(
        new Adaptation([{ to: 1e9, drafts, planned }], latency),
        clock,
        policyOf(planned),
      );
      const { us } = simulate({ ...shared, policy: adaptive.policy, clock });
      const { switches, replanUs } = adaptive.summary();
      const best = hindsight ? Math.min(timeOf(null), ...arms.map(timeOf)) : null;
      return {
        toFixed: us / timeOf(planned),
        toBest: best === null ? null : us / best,
        switches,
        replan: replanUs / us,
      };
    });
  const rows = [];
  for (const [text, factorOf] of Object.entries(TEXTS))
    for (const tokens of [64, 128, 256, 512, 1024])
      for (const [disturbance, how] of Object.entries(DISTURBANCES)) {
        const hindsight = tokens === 512 && disturbance === "none";
        const runs = cell(tokens, factorOf(tokens), how, hindsight);
        const ratios = runs.map(({ toFixed }) => toFixed);
        rows.push({
          text,
          tokens,
          disturbance,
          time_by_fixed: {
            mean: digits(mean(ratios)),
            median: digits(quantile(ratios, 0.5)),
            p95: digits(quantile(ratios, 0.95)),
            worst: digits(quantile(ratios, 1)),
          },
          above_1_02_percent: digits((100 * ratios.filter((ratio) => ratio > 1.02).length) / seeds),
          time_by_best_arm_in_hindsight: hindsight
            ? digits(
                quantile(
                  runs.map(({ toBest }) => toBest),
                  0.5,
                ),
              )
            : null,
          switches: digits(mean(runs.map((run) => run.switches))),
          replan_percent: digits(100 * mean(runs.map((run) => run.replan))),
        });
      }
  const stationary = rows.filter((row) => row.text === "as the calibration" && row.tokens >= 256);
  return {
    seeds,
    worst_on_calibration_like_text: Math.max(...stationary.map((row) => row.time_by_fixed.worst)),
    target: 1.02,
    rows,
  };
}

// ----------------------------------------------------------------------------------------------------- measured
const UNLIKE = {
  code: `import re\n\nclass Parser:\n    def __init__(self, text):\n        self.tokens = re.findall(r"\\w+|\\S", text)\n        self.pos = 0\n\n    def next(self):\n        `,
  table: `{"id": 1, "x": 0.138, "y": -2.71}\n{"id": 2, "x": 9.004, "y": 17.3}\n{"id": 3, "x": `,
  letters: "qzx vvk jjw pqf zzk xxj wqy kkz bvq jxz qqp zkx vwj ",
};

/** 95 % percentile interval of the mean log ratio, whole prompts drawn with replacement. */
function bootstrap(byPrompt) {
  const draws = Array.from({ length: 2000 }, (_, draw) => {
    const picked = byPrompt.flatMap((_, i) => byPrompt[Math.floor(uniform(draw, i, 17) * byPrompt.length)]);
    return Math.exp(mean(picked.map(Math.log)));
  });
  return {
    ratio: digits(Math.exp(mean(byPrompt.flat().map(Math.log)))),
    low: digits(quantile(draws, 0.025)),
    high: digits(quantile(draws, 0.975)),
  };
}

async function measured() {
  const { decode, prefill } = await library("decode/loop.js");
  const { planPolicy, requireSameModel } = await library("decode/policy.js");
  const { openAdaptation } = await library("pipeline/generate/adaptation.js");
  const { readInputs } = await library("pipeline/plan-inputs.js");
  const { planKernels } = await library("pipeline/choices.js");
  const { bundledPrompts } = await library("pipeline/text/prompts.js");
  const { systemClock, describeDevice } = await library("runtime/device.js");
  const { loadModel } = await library("runtime/load.js");
  const { readDocumentOf } = await library("schema/document.js");
  const { targetChoices } = await library("schema/choice.js");
  const { openTokenizer } = await library("tokenizer/open.js");
  const plan = readDocumentOf("draftplan/plan", values.plan);
  const { profile, calibration } = readInputs(plan);
  const started = performance.now();
  const maxTokens = Number(values["max-tokens"]);
  const threads = Number(values.threads);
  const model = await loadModel(values.model, {
    provider: "cpu",
    threads,
    kernels: planKernels([plan.document], plan.document.choices),
  });
  try {
    const { engine, spec } = model;
    requireSameModel(
      plan.document,
      { spec, architectureSha256: model.ref.architecture_sha256, weightsSha256: model.ref.weights_sha256 },
      plan.path,
    );
    const tokenizer = await openTokenizer(values.model);
    const prompts = [
      ...(await bundledPrompts(async () => tokenizer)).map(({ name, ids }) => ({ name, ids, unlike: false })),
      ...Object.entries(UNLIKE).map(([name, text]) => ({ name, ids: tokenizer.encode(text), unlike: true })),
      {
        name: "random ids",
        ids: Array.from({ length: 48 }, (_, i) => Math.floor(uniform(i, 23) * spec.vocabSize)),
        unlike: true,
      },
    ];
    const planned = planPolicy(plan.document, spec.layers, plan.path);
    const adapt = () =>
      adaptivePolicy(openAdaptation(plan.document, profile, calibration, plan.path)([]), systemClock, planned);
    /** one generation; no end token, so that all are of one length */
    const run = async (ids, policy) => {
      const prefilled = await prefill(engine, ids, targetChoices(spec.layers));
      return decode(engine, ids, { maxTokens, endTokens: [], policy, clock: systemClock, prefilled });
    };
    const found = prompts.map(({ name, unlike }) => ({ name, unlike, ratios: [], adapted: [] }));
    let outputsDiffer = 0;
    await run(prompts[0].ids, planned); // warm-up
    for (let pair = 0; pair < Number(values.pairs); pair++) {
      for (const [i, { ids }] of prompts.entries()) {
        if (performance.now() - started > 1000 * Number(values.seconds)) break;
        const adaptive = adapt();
        const sides = { fixed: planned, adaptive: adaptive.policy };
        const done = {};
        for (const side of (pair + i) % 2 === 0 ? ["fixed", "adaptive"] : ["adaptive", "fixed"])
          done[side] = await run(ids, sides[side]);
        if (JSON.stringify(done.fixed.ids) !== JSON.stringify(done.adaptive.ids)) outputsDiffer++;
        found[i].ratios.push(done.adaptive.decodeUs / done.fixed.decodeUs);
        const { switches, replanUs, difficulty } = adaptive.summary();
        found[i].adapted.push({ switches, replan: replanUs / done.adaptive.decodeUs, difficulty });
      }
    }
    const of = (unlike) => found.filter((prompt) => prompt.unlike === unlike && prompt.ratios.length > 0);
    return {
      model: spec.name,
      plan: values.plan,
      device: describeDevice("cpu", threads),
      max_tokens: maxTokens,
      outputs_that_differ: outputsDiffer,
      bundled_prompts: bootstrap(of(false).map(({ ratios }) => ratios)),
      unlike_prompts: bootstrap(of(true).map(({ ratios }) => ratios)),
      prompts: found
        .filter(({ ratios }) => ratios.length > 0)
        .map(({ name, unlike, ratios, adapted }) => ({
          name,
          unlike,
          time_by_fixed: ratios.map(digits),
          switches: adapted.map(({ switches }) => switches),
          rejections_factor: adapted.map(({ difficulty }) => digits(difficulty)),
          replan_percent: adapted.map(({ replan }) => digits(100 * replan)),
        })),
      seconds: Math.round((performance.now() - started) / 1000),
    };
  } finally {
    model.close();
  }
}

const machine = { cpu: cpus()[0]?.model ?? null, cores: availableParallelism(), node: process.version };
const result = values.model === undefined ? { machine, ...simulated(Number(values.seeds)) } : await measured();
console.log(JSON.stringify(result, null, 2));
