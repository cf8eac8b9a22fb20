// Is the knapsack's plan as good as every other method's, and as the best single rule? Run after `npm run build`, on a
// machine that does nothing else:
//   node bench/quality.mjs [MODEL=embedded] [--context 100,400] [--sets "skip,int8,int4;skip"] [--time 200] [--out out/quality]
//       [--profile FILE --calibration FILE] [--text FILE...] [--prompts FILE] [--max-tokens 64] [--pairs 4] [--refine 20]
//   node bench/quality.mjs ../SmolLM2-135M --context 200,1000,4000
// Profile and calibration are made once (unless given), then `draftplan compare` runs for each set of choices: every
// method's plan side by side on text that none was chosen on, --time seconds a set. What is in --out already is not made
// again, so an interrupted run goes on; give other options another folder. Prints JSON; progress goes to stderr as JSON lines.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    context: { type: "string", default: "100,400" },
    sets: { type: "string", default: "skip,int8,int4;skip" },
    time: { type: "string", default: "200" },
    out: { type: "string", default: "out/quality" },
    profile: { type: "string" },
    calibration: { type: "string" },
    text: { type: "string", multiple: true },
    prompts: { type: "string" },
    "max-tokens": { type: "string", default: "64" },
    pairs: { type: "string", default: "4" },
    refine: { type: "string", default: "20" },
    budget: { type: "string", default: "60s" },
    dist: { type: "string", default: "dist" },
  },
});
const model = positionals[0] ?? "embedded";
const sets = values.sets.split(";");
const contexts = values.context.split(",").map(Number);
const { readDocumentOf } = await import(pathToFileURL(resolve(values.dist, "schema/document.js")).href);
const started = performance.now();
const say = (line) =>
  console.error(JSON.stringify({ seconds: Math.round((performance.now() - started) / 1000), ...line }));

function draftplan(file, args) {
  if (existsSync(file)) return say({ kept: file });
  const { status } = spawnSync(process.execPath, [join(values.dist, "cli.js"), ...args, "-o", file], {
    stdio: ["ignore", "ignore", "inherit"],
  });
  if (status !== 0 && !existsSync(file)) throw new Error(`draftplan ${args[0]} ended with ${status}`);
  say({ made: file, status });
}

mkdirSync(values.out, { recursive: true });
const kernels = ["--choices", [...new Set(sets.flatMap((set) => set.split(",")))].join(",")];
const text = values.text === undefined ? [] : ["--text", ...values.text];
const profile = values.profile ?? join(values.out, "profile.yaml");
const calibration = values.calibration ?? join(values.out, "calibration.yaml");
const last = Math.max(...contexts) + Number(values["max-tokens"]) + 16;
if (values.profile === undefined)
  draftplan(profile, ["profile", model, "--context", `64..${last}`, "--budget", values.budget, ...kernels]);
if (values.calibration === undefined)
  draftplan(calibration, ["calibrate", model, "--context", values.context, ...kernels, ...text]);

const RULES = ["int8", "int4"];
const ratioOf = (row) => row.measured.baseline_speed_ratio;

/** What is to be shown of one set of choices at one context; the knapsack's speed over the others'. */
function claims(at, choices) {
  const others = at.rows.filter(({ method }) => method !== "knapsack");
  const beaten = others.filter((row) => ratioOf(row).high < 0.98);
  const rules = others.filter(({ method }) => RULES.includes(method));
  const best = rules.reduce((a, b) => (a === null || ratioOf(b).median < ratioOf(a).median ? b : a), null);
  const knapspec = others.find(({ method }) => method === "knapspec");
  return {
    wholly_slower_than_by_2_percent: beaten.map(({ method }) => method),
    knapsack_over_knapspec: knapspec === undefined ? null : ratioOf(knapspec),
    knapspec_target_ratio: choices === "skip" ? 1 : 1.2,
    best_single_rule: best?.method ?? null,
    knapsack_over_best_single_rule: best === null ? null : ratioOf(best),
  };
}

const results = sets.map((choices) => {
  const file = join(values.out, `${choices.replaceAll(",", "-")}.comparison.yaml`);
  const limits = ["--time", values.time, "--pairs", values.pairs, "--max-tokens", values["max-tokens"]];
  const prompts = values.prompts === undefined ? [] : ["--prompts", values.prompts];
  const inputs = ["--profile", profile, "--calibration", calibration, "--context", values.context];
  const args = ["compare", model, ...inputs, "--choices", choices, "--refine", values.refine];
  draftplan(file, [...args, ...limits, ...text, ...prompts]);
  const { document } = readDocumentOf("draftplan/comparison", file);
  return {
    choices,
    file,
    device: document.device,
    lossless: document.lossless,
    solve_seconds: Object.fromEntries(document.methods.map((one) => [one.method, one.solve_seconds])),
    contexts: document.contexts.map((at) => ({
      context_tokens: at.context_tokens,
      prompts: at.prompts.length,
      runs_of_each_plan: at.rows[0].us_per_token.flat().length,
      ...claims(at, choices),
      rows: at.rows.map(({ method, draft_tokens, same_draft_as, measured, predicted, prediction_error_percent }) => ({
        ...{ method, draft_tokens, same_draft_as, acceptance: measured.acceptance },
        tokens_per_second: measured.tokens_per_second,
        speedup: measured.speedup,
        knapsack_over_this: measured.baseline_speed_ratio,
        ...{ predicted_tokens_per_second: predicted?.tokens_per_second ?? null, prediction_error_percent },
      })),
    })),
  };
});
const all = results.flatMap(({ contexts: at }) => at);
console.log(
  JSON.stringify(
    {
      model,
      seconds: Math.round((performance.now() - started) / 1000),
      lossless: results.every(({ lossless }) => lossless),
      never_wholly_below_minus_2_percent: all.every((at) => at.wholly_slower_than_by_2_percent.length === 0),
      results,
    },
    null,
    2,
  ),
);
