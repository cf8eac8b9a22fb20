// The solver's own plan for contexts from short to long, spans among its choices, beside plain decoding. Run after
// `npm run build`, on a machine that does nothing else (some 14 minutes with SmolLM2-135M on two cores):
//   node bench/long-plan.mjs MODEL [--target fp32] [--context 200,4000,8000] [--calibrate 200,4000] [--choices int8,int8@256]
//       [--prompts 2] [--tokens 48] [--turns 2] [--budget 150s] [--threads 2] [--folder out/long-plan]
// Profiles up to the last context, calibrates at `--calibrate` (by default the contexts up to 4,000: an 8,000-token prompt takes a
// minute to read), solves on the model, all by the command line, into a folder whose documents are used again where they are there. Then, at each context,
// plain decoding and the plan by turns (A B B A …) behind prompts cut from the half of the calibration text that no plan was
// chosen on, each prompt read once. JSON a context: the segment, predicted and measured times plain, and per turn-by-turn pair
// the least and greatest; acceptance, tokens of a round, what of a round drafting and verifying take; whether all tokens are plain
// decoding's. Where two logits are a tie within the margin tokens may differ: `draftplan verify` judges that.
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { median } from "simple-statistics";
import { parse } from "yaml";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    target: { type: "string", default: "fp32" },
    context: { type: "string", default: "200,4000,8000" },
    calibrate: { type: "string" },
    choices: { type: "string", default: "int8,int8@256" },
    prompts: { type: "string", default: "2" },
    tokens: { type: "string", default: "48" },
    turns: { type: "string", default: "2" },
    threads: { type: "string", default: String(availableParallelism()) },
    budget: { type: "string", default: "150s" },
    folder: { type: "string", default: "out/long-plan" },
  },
});
const ROOT = fileURLToPath(new URL("..", import.meta.url));
const library = (path) => import(pathToFileURL(resolve(ROOT, "dist", path)).href);
const { decode, prefill } = await library("decode/loop.js");
const { planPolicy } = await library("decode/policy.js");
const { acceptanceOf } = await library("decode/statistics.js");
const { systemClock } = await library("runtime/device.js");
const { loadModel } = await library("runtime/load.js");
const { contextPrompts, readCalibrationText, textCodec } = await library("pipeline/text/calibration-text.js");
const { openTokenizer } = await library("tokenizer/open.js");
const { targetChoices } = await library("schema/choice.js");

const contexts = values.context.split(",").map(Number);
const [tokens, turns, threads] = ["tokens", "turns", "threads"].map((key) => Number(values[key]));
const path = positionals[0] ?? "embedded";
const digits = (x) => Number(x.toPrecision(4));
/** Longest prompt that losses are measured behind, if nobody says where. */
const CALIBRATED = 4000;
const DRAFTED = 16;

mkdirSync(values.folder, { recursive: true });
const file = (name) => join(values.folder, `${name}.yaml`);
const draftplan = (name, ...args) => {
  if (existsSync(file(name))) return;
  const from = Date.now();
  execFileSync(
    process.execPath,
    [join(ROOT, "dist", "cli.js"), ...args, "--threads", values.threads, "-o", file(name)],
    {
      stdio: ["ignore", "ignore", "inherit"],
    },
  );
  console.error(`${name}: ${Math.round((Date.now() - from) / 1e3)} s`);
};
const last = Math.max(...contexts);
const short = contexts.filter((n) => n <= Math.max(CALIBRATED, Math.min(...contexts)));
const target = ["--target", values.target];
const profiled = [...contexts.filter((n) => n < last), last + tokens + DRAFTED];
draftplan(
  ...[
    "profile",
    "profile",
    path,
    ...target,
    "--drafters",
    "self",
    "--choices",
    values.choices,
    "--context",
    profiled.join(","),
  ],
  ...["--query", "1,2,4,6,9", "--budget", values.budget],
);
draftplan(
  ...[
    "calibration",
    "calibrate",
    path,
    ...target,
    "--drafters",
    "self",
    "--choices",
    values.choices,
    "--context",
    values.calibrate ?? short.join(","),
    "--budget",
    values.budget,
  ],
);
draftplan(
  ...[
    "plan",
    "solve",
    "--profile",
    file("profile"),
    "--calibration",
    file("calibration"),
    "--model",
    path,
    "--refine",
    "0",
    "--drafters",
    "self",
  ],
);
const plan = parse(readFileSync(file("plan"), "utf8"));

const capacity = last + tokens + 2 * DRAFTED;
const kernels = ["target", ...new Set(values.choices.split(",").map((choice) => choice.split("@")[0]))];
const model = await loadModel(path, { provider: "cpu", target: values.target, threads, capacity, kernels });
try {
  const { engine, spec } = model;
  const codec = textCodec(await openTokenizer(path));
  const prompts = contextPrompts(readCalibrationText(undefined), codec, contexts, Number(values.prompts));
  const policy = planPolicy(plan, spec.layers, file("plan"));
  for (const { atContext: n, report } of prompts) {
    const runs = { plain: [], plan: [] };
    for (const prompt of report) {
      const prefilled = await prefill(engine, prompt, targetChoices(spec.layers));
      for (let turn = 0; turn < 2 * turns; turn++) {
        const name = turn % 4 === 0 || turn % 4 === 3 ? "plain" : "plan";
        const how = { maxTokens: tokens, endTokens: spec.eosTokenIds, clock: systemClock, prefilled };
        runs[name].push(await decode(engine, prompt, { ...how, policy: name === "plain" ? null : policy }));
      }
    }
    const perToken = ({ decodeUs, ids }) => decodeUs / ids.length;
    const ratios = runs.plan.map((one, i) => perToken(runs.plain[i]) / perToken(one));
    const rounds = runs.plan.flatMap((one) => one.rounds);
    const sum = (key) => rounds.reduce((total, round) => total + round[key], 0);
    const { draft, draft_tokens, drafter, speculate, predicted } = plan.segments.find(
      ({ context_tokens }) => n < context_tokens.to,
    );
    console.log(
      JSON.stringify(
        {
          ...{ context: n, threads, speculate, drafter, draft_tokens, draft, predicted: predicted?.speedup },
          times_plain: digits(median(ratios)),
          of_pairs: [digits(Math.min(...ratios)), digits(Math.max(...ratios))],
          plain_ms: digits(median(runs.plain.map(perToken)) / 1e3),
          plan_ms: digits(median(runs.plan.map(perToken)) / 1e3),
          ...(sum("nodes") === 0 ? {} : { acceptance: digits(acceptanceOf(rounds).acceptance) }),
          tokens_per_round: digits(sum("emitted") / rounds.length),
          drafting: digits(sum("draftUs") / sum("totalUs")),
          verifying: digits(sum("verifyUs") / sum("totalUs")),
          same_as_plain: runs.plan.every((one, i) => one.ids.join() === runs.plain[i].ids.join()),
        },
        null,
        1,
      ),
    );
  }
} finally {
  model.close();
}
