// How well is a plan's speed predicted? Run after `npm run build`, on a machine that does nothing else:
//   node bench/prediction.mjs [MODEL=embedded] [--context 100,400] [--plans 36] [--time 600] [--out out/prediction]
//       [--profile FILE --calibration FILE] [--text FILE...] [--choices skip,int8,int4] [--max-tokens 64] [--pairs 1]
//       [--choose-prompts 32] [--prompts 16]
//   node bench/prediction.mjs ../SmolLM2-135M --context 200,1000,4000
// Plans of all kinds (blocks left out, int8, int4, mixtures; from several methods and from points of the frontier; of
// several lengths), each predicted within a factor of 2 of the best at every context. First predictions.json is written:
// tokens per second from profile and acceptance on --choose-prompts prompts of the part of the text that plans are chosen
// on. Then all are run by turns on --prompts prompts of the other part, and every run is added to runs.jsonl. What is in --out already is not made again, so an
// interrupted run goes on with the same plans and predictions; give other options another folder. --time bounds the runs.
// A second set of errors is with every prediction scaled by the one factor by which plain decoding is faster or slower than
// predicted at that context: what is left when the machine runs at another speed than when it was profiled.
// Rounds cut short by the end of an output are left out on both sides: predictions are of rounds of full length.
// Prints JSON; progress goes to stderr as JSON lines.
import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { mean, median, sampleCorrelation, sampleRankCorrelation } from "simple-statistics";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "100,400" },
    plans: { type: "string", default: "36" },
    time: { type: "string", default: "600" },
    out: { type: "string", default: "out/prediction" },
    profile: { type: "string" },
    calibration: { type: "string" },
    text: { type: "string", multiple: true },
    choices: { type: "string", default: "skip,int8,int4" },
    "max-tokens": { type: "string", default: "64" },
    pairs: { type: "string", default: "1" },
    "choose-prompts": { type: "string", default: "32" },
    prompts: { type: "string", default: "16" },
    threads: { type: "string", default: String(availableParallelism()) },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => import(pathToFileURL(resolve(values.dist, path)).href);
const { openInputs, comparedContexts, requireFit, roomFor } = await library("pipeline/compare/inputs.js");
const { mergeMeasured } = await library("pipeline/compare/methods.js");
const { compareRequest } = await library("pipeline/compare/options.js");
const { Predictor } = await library("pipeline/compare/predict.js");
const { heldBackPrompts } = await library("pipeline/compare/prompts.js");
const { contextsAlong } = await library("pipeline/compare/run.js");
const { measureProposals } = await library("pipeline/measuring/proposals.js");
const { choosing } = await library("pipeline/measuring/measuring.js");
const { withModel } = await library("pipeline/with-model.js");
const { ROUND_TOKENS } = await library("calibrate/calibrate.js");
const { contextPrompts, textCodec } = await library("pipeline/text/calibration-text.js");
const { continuePrompts } = await library("calibrate/continuation.js");
const { measureDrafts } = await library("calibrate/whole-drafts.js");
const { silentProgress } = await library("core/progress.js");
const { METHOD_NAMES } = await library("methods/names.js");
const { describeDevice, systemClock } = await library("runtime/device.js");
const { choiceKey, compactDraft, describeChoices, expandDraft, kernelsFor, uniformChoices } =
  await library("schema/choice.js");
const { writeDocument } = await library("schema/document.js");
const { groupsAt, openProblem, paretoFrontier } = await library("solve/index.js");
const { toChoiceSet } = await library("solve/problem.js");
const { openTokenizer } = await library("tokenizer/open.js");
const { comparePolicies } = await library("verify/index.js");

const model = positionals[0] ?? "embedded";
const maxTokens = Number(values["max-tokens"]);
const started = performance.now();
const seconds = () => (performance.now() - started) / 1000;
const say = (line) => console.error(JSON.stringify({ seconds: Math.round(seconds()), ...line }));
const digits = (x) => Number(x.toPrecision(5));

/** Object.groupBy, which Node 20 lacks */
function grouped(list, of) {
  const groups = {};
  for (const item of list) {
    groups[of(item)] ??= [];
    groups[of(item)].push(item);
  }
  return groups;
}

mkdirSync(values.out, { recursive: true });
const predictionsFile = join(values.out, "predictions.json");
const runsFile = join(values.out, "runs.jsonl");

// ---------------------------------------------------------------------------------------------------- plans
/** Frontier points of a set of choices that are measured. */
const FRONTIER_POINTS = 6;
const LENGTHS = [1, 2, 3, 4, 5, 6, 8, 10, 12, 16];
/** Proposing with these takes seconds; swift's search would take longer than what it adds here. */
const PROPOSING = METHOD_NAMES.filter((name) => name !== "swift");

const spread = (list, count) =>
  list.length <= count
    ? list
    : Array.from({ length: count }, (_, i) => list[Math.round((i * (list.length - 1)) / Math.max(1, count - 1))]);

function kindOf({ blocks, head }) {
  const used = new Set([...blocks, head].filter((choice) => choice !== "target"));
  return used.size === 1 ? [...used][0] : "mixed";
}

/** Sets by what they may do: each choice alone, all together, and all but one. */
const variantsOf = (choices) => [
  ...choices.map((choice) => [choice]),
  ...(choices.length > 2 ? choices.map((left) => choices.filter((choice) => choice !== left)) : []),
  choices,
];

async function candidates(loaded, { profile, calibration, text }, choices) {
  const { layers } = loaded.spec;
  const sources = new Map(); // choiceKey -> { set, from }
  const add = (set, from) => {
    if (![...set.blocks, set.head].every((choice) => choice === "target"))
      sources.set(choiceKey(set), sources.get(choiceKey(set)) ?? { set, from });
  };
  for (const choice of choices) if (choice !== "skip") add(uniformChoices(layers, choice), "rule");
  for (const variant of variantsOf(choices)) {
    const problem = openProblem({ profile, calibration, choices: variant });
    for (const { losses } of problem.contexts) {
      const points = paretoFrontier(groupsAt(problem, Math.min(losses.at_context, problem.gridContexts.at(-1))));
      for (const { chosen } of spread(points, FRONTIER_POINTS)) add(toChoiceSet(chosen), "frontier");
    }
  }
  const measuring = { model: loaded, profile, variants: [choices], text, progress: silentProgress };
  if (choices.includes("skip"))
    for (const name of PROPOSING) {
      const { measured } = await measureProposals(name, measuring, calibration);
      for (const { draft } of measured) add(expandDraft(draft, layers, name), name);
      say({ proposed_by: name, drafts: sources.size });
    }
  return [...sources.values()];
}

/** Drafts' acceptance on the text that plans are chosen on. */
async function measureAll(loaded, calibration, continuationsAt, drafts) {
  const measured = [];
  for (const { at_context: at } of calibration.contexts) {
    const sets = drafts.map(({ set }) => set);
    const continuations = continuationsAt.get(at) ?? [];
    const curves = await measureDrafts(loaded.engine, continuations, sets, ROUND_TOKENS, silentProgress);
    sets.forEach((set, i) => measured.push(choosing(at, set, curves[i])));
    say({ measured_at: at, drafts: sets.length, prompts: continuations.length });
  }
  return mergeMeasured({ ...calibration, measured: [] }, [{ ...calibration, measured }]);
}

/** More prompts than a calibration has: the plans that are held against measurement are to be known well. */
async function moreContinuations(loaded, { calibration, text }, request) {
  const codec = textCodec(await openTokenizer(model));
  const contexts = calibration.contexts.map(({ at_context }) => at_context);
  const found = new Map();
  for (const { atContext, choose } of contextPrompts(request.text, codec, contexts, Number(values["choose-prompts"])))
    found.set(
      atContext,
      await continuePrompts(loaded.engine, systemClock, choose, text.continuationTokens, silentProgress),
    );
  return found;
}

/** Plans within a factor of 2 of the best at every context; as many of each kind, spread over their speeds. */
function choosePlans(drafts, contexts, predictor) {
  const all = drafts.flatMap(({ set, from }) =>
    LENGTHS.flatMap((draftTokens) => {
      const policy = () => ({ choices: set, draftTokens });
      const predicted = contexts.map((n) => predictor.along(contextsAlong(n, maxTokens), policy));
      if (predicted.some((one) => one === null)) return [];
      return [{ set, from, draftTokens, predicted, kind: kindOf(set) }];
    }),
  );
  const best = contexts.map((_, i) => Math.max(...all.map(({ predicted }) => predicted[i].tokensPerSecond)));
  const near = all.filter(({ predicted }) =>
    predicted.every(({ tokensPerSecond }, i) => tokensPerSecond >= best[i] / 2),
  );
  const byKind = grouped(near, ({ kind }) => kind);
  const speed = ({ predicted }) => mean(predicted.map(({ tokensPerSecond }, i) => tokensPerSecond / best[i]));
  const lists = Object.values(byKind).map((list) => list.sort((a, b) => speed(b) - speed(a)));
  const wanted = Number(values.plans);
  // what a kind cannot fill, the others do
  lists.sort((a, b) => a.length - b.length);
  const picked = [];
  lists.forEach((list, i) => picked.push(...spread(list, Math.ceil((wanted - picked.length) / (lists.length - i)))));
  return {
    picked,
    considered: near.length,
    kinds: Object.fromEntries(Object.entries(byKind).map(([k, l]) => [k, l.length])),
  };
}

/** @param draft null: plain decoding, whose round is a step */
function record({ latency }, context, { acceptance, tokensPerSecond, speedup }, draft) {
  const roundUs = contextsAlong(context, maxTokens).map((n) =>
    draft === null
      ? latency.stepUs(n)
      : draft.draftTokens * latency.draftUs(draft.choices, n) +
        latency.verifyUs(n, draft.draftTokens) +
        latency.roundUs,
  );
  return {
    context_tokens: context,
    ...{ acceptance: acceptance === null ? null : digits(acceptance), tokens_per_second: digits(tokensPerSecond) },
    ...{ speedup: digits(speedup), round_us: digits(mean(roundUs)) },
  };
}

/** Run with the others, and reported by itself: it shows how far the profile is from this machine's present state. */
function plainPlan(predictor, contexts) {
  const predicted = contexts.map((n) =>
    record(
      predictor,
      n,
      predictor.along(contextsAlong(n, maxTokens), () => null),
      null,
    ),
  );
  return { kind: "plain", from: "none", describe: "plain decoding", draft: null, draft_tokens: 0, predicted };
}

async function predict(loaded, request, inputs, contexts) {
  const drafts = await candidates(loaded, inputs, request.choices);
  const rough = await measureAll(loaded, inputs.calibration, inputs.text.continuations, drafts);
  const chosen = choosePlans(drafts, contexts, new Predictor(inputs.profile, rough));
  const { considered, kinds } = chosen;
  const more = await moreContinuations(loaded, inputs, request);
  const predictor = new Predictor(inputs.profile, await measureAll(loaded, inputs.calibration, more, chosen.picked));
  const picked = chosen.picked.map((one) => ({
    ...one,
    predicted: contexts.map((n) =>
      predictor.along(contextsAlong(n, maxTokens), () => ({ choices: one.set, draftTokens: one.draftTokens })),
    ),
  }));
  const document = {
    model: loaded.ref,
    device: describeDevice("cpu", Number(values.threads)),
    written: new Date().toISOString(),
    max_tokens: maxTokens,
    contexts,
    ...{ considered, kinds },
    plans: [
      ...picked.map(({ set, from, draftTokens, predicted, kind }) => ({
        ...{ kind, from, describe: describeChoices(set), draft: compactDraft(set), draft_tokens: draftTokens },
        predicted: predicted.map((one, i) => record(predictor, contexts[i], one, { choices: set, draftTokens })),
      })),
      plainPlan(predictor, contexts),
    ],
  };
  writeFileSync(predictionsFile, `${JSON.stringify(document, null, 1)}\n`);
  say({ written: predictionsFile, plans: picked.length, considered, kinds });
}

// ------------------------------------------------------------------------------------------------------ runs
const readRuns = () =>
  existsSync(runsFile)
    ? readFileSync(runsFile, "utf8")
        .split("\n")
        .filter((line) => line !== "")
        .flatMap((line) => {
          try {
            return [JSON.parse(line)];
          } catch {
            return []; // cut off where a run was interrupted
          }
        })
    : [];

/** Rounds of full length of one run. */
function fullRounds(run, draftTokens) {
  const full = run.rounds.filter(({ drafted }) => drafted === draftTokens);
  const sum = (of) => full.reduce((total, round) => total + of(round), 0);
  return { rounds: full.length, tokens: sum(({ emitted }) => emitted), us: digits(sum(({ totalUs }) => totalUs)) };
}

async function measure(loaded, prompts, { plans }) {
  const { layers } = loaded.spec;
  const policies = plans.map(({ draft, draft_tokens }) => {
    const planned =
      draft === null ? null : { choices: expandDraft(draft, layers, predictionsFile), draftTokens: draft_tokens };
    return () => planned;
  });
  const limit = Number(values.time);
  const begun = seconds();
  const done = new Map();
  const key = (context, prompt) => `${context} ${prompt}`;
  for (const { context_tokens, prompt } of readRuns())
    done.set(key(context_tokens, prompt), (done.get(key(context_tokens, prompt)) ?? 0) + 1);
  const most = Math.max(...prompts.map((at) => at.prompts.length));
  for (let pass = 0; pass < Number(values.pairs); pass++)
    for (let i = 0; i < most; i++)
      for (const { contextTokens, prompts: own } of prompts) {
        if (own[i] === undefined || (done.get(key(contextTokens, own[i].name)) ?? 0) > pass) continue;
        if (seconds() - begun > limit) return say({ time_ended_at: { pass, prompt: i, context: contextTokens } });
        // the order turns from one prompt and pass to the next, so that drift cancels
        const first = (pass * most + i) % policies.length;
        const order = [...policies.slice(first), ...policies.slice(0, first)];
        const [[turns]] = await comparePolicies({
          ...{ engine: loaded.engine, clock: systemClock, maxTokens, endTokens: loaded.spec.eosTokenIds },
          contexts: [{ prompts: [own[i]], policies: order }],
          ...{ pairs: 1, limitUs: null },
        });
        if (turns === undefined) continue;
        const at = (plan) => (plan - first + policies.length) % policies.length;
        const line = {
          context_tokens: contextTokens,
          prompt: own[i].name,
          pass,
          lossless: turns.verdicts.every(({ firstMismatch }) => firstMismatch === null),
          runs: plans.map(({ draft_tokens }, plan) => fullRounds(turns.runs[at(plan)][0], draft_tokens)),
        };
        appendFileSync(runsFile, `${JSON.stringify(line)}\n`);
        say({ context: contextTokens, prompt: own[i].name, pass, lossless: line.lossless });
      }
}

// ------------------------------------------------------------------------------------------------- statistics
function statistics(points) {
  if (points.length === 0) return { plans: 0 };
  const [predicted, measured] = [points.map((one) => one.predicted), points.map((one) => one.measured)];
  const errors = points.map((one) => 100 * (one.predicted / one.measured - 1));
  return {
    plans: points.length,
    pearson: points.length < 3 ? null : digits(sampleCorrelation(predicted, measured)),
    spearman: points.length < 3 ? null : digits(sampleRankCorrelation(predicted, measured)),
    median_absolute_error_percent: digits(median(errors.map(Math.abs))),
    median_signed_error_percent: digits(median(errors)),
    // where the error comes from: time of a round, and tokens that a round yields
    median_signed_round_time_error_percent: digits(
      median(points.map((one) => 100 * (one.predictedUs / one.roundUs - 1))),
    ),
    median_signed_tokens_a_round_error_percent: digits(
      median(points.map((one) => 100 * (one.predictedTokens / one.tokens - 1))),
    ),
    // of what is measured, over its prompts: no prediction can be known to be better than this
    median_standard_error_percent: digits(median(points.map((one) => one.standardErrorPercent))),
    slowest_over_fastest: digits(Math.min(...measured) / Math.max(...measured)),
  };
}

/** Standard error of tokens / time over runs, in percent (delta method for a ratio of sums). */
function ratioErrorPercent(runs, measured) {
  const residuals = runs.map(({ tokens, us }) => tokens - (measured * us) / 1e6);
  const squares = residuals.reduce((sum, residual) => sum + residual ** 2, 0);
  const tokens = runs.reduce((sum, run) => sum + run.tokens, 0);
  return (100 * Math.sqrt((squares * runs.length) / Math.max(1, runs.length - 1))) / tokens;
}

function evaluate({ plans, contexts, ...made }) {
  const runs = readRuns();
  const points = contexts.flatMap((context, c) =>
    plans.flatMap(({ kind, describe, draft_tokens, predicted }, plan) => {
      const own = runs.filter(({ context_tokens }) => context_tokens === context).map((line) => line.runs[plan]);
      const sum = (of) => own.reduce((total, run) => total + of(run), 0);
      const rounds = sum((run) => run.rounds);
      if (rounds === 0) return [];
      const { tokens_per_second, round_us } = predicted[c];
      const measured = (1e6 * sum((run) => run.tokens)) / sum((run) => run.us);
      return [
        {
          ...{ context, kind, describe, draft_tokens, predicted: tokens_per_second, predictedUs: round_us },
          predictedTokens: (tokens_per_second * round_us) / 1e6,
          ...{ measured, standardErrorPercent: ratioErrorPercent(own, measured) },
          roundUs: sum((run) => run.us) / rounds,
          tokens: sum((run) => run.tokens) / rounds,
        },
      ];
    }),
  );
  const plainFactor = new Map(
    points.flatMap((one) => (one.kind === "plain" ? [[one.context, one.measured / one.predicted]] : [])),
  );
  const atPlainSpeed = points.map((one) => ({
    ...one,
    predicted: one.predicted * (plainFactor.get(one.context) ?? 1),
  }));
  const drafting = points.filter(({ kind }) => kind !== "plain");
  return {
    ...made,
    lossless: runs.every(({ lossless }) => lossless),
    all: statistics(drafting),
    plain_measured_over_predicted: Object.fromEntries([...plainFactor].map(([n, factor]) => [n, digits(factor)])),
    at_plain_speed: contexts.map((context) => {
      const own = atPlainSpeed.filter((one) => one.kind !== "plain" && one.context === context);
      const { median_absolute_error_percent, median_signed_error_percent } = statistics(own);
      return { context_tokens: context, median_absolute_error_percent, median_signed_error_percent };
    }),
    by_context: contexts.map((context) => ({
      context_tokens: context,
      prompts: new Set(runs.filter((run) => run.context_tokens === context).map(({ prompt }) => prompt)).size,
      ...statistics(drafting.filter((one) => one.context === context)),
    })),
    by_kind: Object.entries(grouped(points, ({ kind }) => kind)).map(([kind, own]) => ({
      kind,
      ...statistics(own),
    })),
    points: points.map(({ context, kind, describe, draft_tokens, predicted, measured }) => ({
      ...{ context_tokens: context, kind, draft: describe, draft_tokens, predicted_tokens_per_second: predicted },
      measured_tokens_per_second: digits(measured),
      error_percent: digits(100 * (predicted / measured - 1)),
    })),
  };
}

// ------------------------------------------------------------------------------------------------------- main
const { text, context } = values;
/** Made by an earlier run, unless it is given. */
const kept = (name) =>
  values[name] ?? (existsSync(join(values.out, `${name}.yaml`)) ? join(values.out, `${name}.yaml`) : undefined);
const [profile, calibration] = ["profile", "calibration"].map(kept);
const asked = { choices: values.choices.split(","), profile, calibration, text, context, maxTokens };
const request = compareRequest(asked, model);
const device = { provider: "cpu", threads: Number(values.threads), ortLibrary: undefined, progress: silentProgress };
const known = existsSync(predictionsFile) ? JSON.parse(readFileSync(predictionsFile, "utf8")) : null;
if (known !== null) say({ kept: predictionsFile, plans: known.plans.length });
await withModel(
  model,
  { ...device, kernels: kernelsFor(request.choices) },
  (checkpoint) => {
    const contexts = comparedContexts(request, checkpoint.spec);
    requireFit(request, checkpoint, contexts);
    const calibrated = request.calibration?.document.contexts.map(({ at_context }) => at_context) ?? [];
    return { contexts, capacity: roomFor([...contexts, ...calibrated], maxTokens) };
  },
  async (loaded, { contexts }) => {
    if (known === null) {
      const inputs = await openInputs(loaded, request, contexts, device);
      for (const name of ["profile", "calibration"])
        if (kept(name) === undefined) writeDocument(join(values.out, `${name}.yaml`), inputs[name]);
      say({ inputs: "ready" });
      await predict(loaded, request, inputs, contexts);
    }
    const predictions = JSON.parse(readFileSync(predictionsFile, "utf8"));
    const tokenizer = await openTokenizer(model);
    const nothing = { continuations: new Map(), prompts: [], continuationTokens: 0 };
    const prompts = heldBackPrompts(request.text, tokenizer, predictions.contexts, nothing, Number(values.prompts));
    await measure(loaded, prompts, predictions);
  },
);
const { model: ref, ...result } = evaluate(JSON.parse(readFileSync(predictionsFile, "utf8")));
console.log(JSON.stringify({ model: ref.name, seconds: Math.round(seconds()), ...result }, null, 2));
