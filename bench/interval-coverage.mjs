// How often the 95 % intervals of speedups and of tokens per second contain the truth, by simulation.
// Run after `npm run build`:
//   node bench/interval-coverage.mjs [--trials 4000] [--seed 1] [--json FILE] [--dist dist]
// Prints a table of percentages, 4 standard errors of which are about 1.4 points at 4,000 trials, and writes JSON with
// --json. Nothing is timed: any machine gives the same table in about a minute.
//
// A trial draws prompts, runs plain decoding and a plan by turns on each as `verify` does, with noise, and asks
// `speedupInterval` and `rateInterval`. The truth is the speedup over a very large number of prompts without noise.
// Claimed are 93 to 97 % in the first group. The second says where the claim ends: where a few prompts in a hundred are
// unlike all others, a handful of prompts does not know of them, and no interval can.
import { writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    trials: { type: "string", default: "4000" },
    seed: { type: "string", default: "1" },
    json: { type: "string" },
    dist: { type: "string", default: "dist" },
  },
});
const library = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { promptTiming, speedupInterval, rateInterval } = await import(library("verify/speedup.js"));
const { seededRandom } = await import(library("stats/random.js"));

const PROMPTS = [4, 7, 15, 40];
const MAX_TOKENS = 64;
const TRUTH_PROMPTS = 400_000;

/** ln of the prompts' speedups is normal. */
const logNormal = (spread) => (random, normal) => 1.3 * Math.exp(spread * normal(random));

/** The logit of the acceptance is normal: speedups are skewed, as those of real prompts are. */
const byAcceptance = (acceptance, spread) => (random, normal) => {
  const logit = Math.log(acceptance / (1 - acceptance)) + spread * normal(random);
  const a = 1 / (1 + Math.exp(-logit));
  const draftTokens = 4;
  let [tokens, chance] = [1, 1];
  for (let i = 0; i < draftTokens; i++) {
    chance *= a;
    tokens += chance;
  }
  return tokens / (0.35 * draftTokens + 1.25);
};

/** One prompt in seven is answered much faster than the others. */
const oneInSeven = (random, normal) => (random.float() < 1 / 7 ? 2.2 : 1.2) * Math.exp(0.05 * normal(random));

// noise: log standard deviation of one run; drift: of what both runs of a pair share; burst: chance that a run takes up
// to twice as long; early: share of prompts whose output ends early; slope: how far prompts differ in the plain step
const quiet = { pairs: 2, noise: 0.01, drift: 0.02, burst: 0, early: 0.2, slope: 0.3 };
const noisy = { ...quiet, noise: 0.1, drift: 0.2, burst: 0.05 };
const WORLDS = [
  { name: "quiet, speedups spread by 10 %", ...quiet, speedup: logNormal(0.1) },
  { name: "noisy, speedups spread by 10 %", ...noisy, speedup: logNormal(0.1) },
  { name: "quiet, acceptance about 0.8", ...quiet, speedup: byAcceptance(0.8, 0.6) },
  { name: "noisy, acceptance about 0.8", ...noisy, speedup: byAcceptance(0.8, 0.6) },
  { name: "quiet, outputs of one length", ...quiet, early: 0, speedup: byAcceptance(0.8, 0.6) },
  { name: "noisy, prompts all alike", ...noisy, early: 0, speedup: logNormal(0) },
  { name: "quiet, half the outputs end early", ...quiet, early: 0.5, speedup: byAcceptance(0.8, 0.6) },
  { name: "noisy, one pair a prompt", ...noisy, pairs: 1, speedup: byAcceptance(0.8, 0.6) },
  { name: "beyond: acceptance from 0.3 to 0.99", beyond: true, ...quiet, speedup: byAcceptance(0.9, 0.8) },
  { name: "beyond: one prompt in seven is fast", beyond: true, ...quiet, speedup: oneInSeven },
];

const normal = (random) => Math.sqrt(-2 * Math.log(1 - random.float())) * Math.cos(2 * Math.PI * random.float());

/** Tokens, µs of a plain step and speedup of one prompt. */
function drawPrompt(world, random) {
  const tokens = random.float() < world.early ? 9 + random.index(MAX_TOKENS - 9) : MAX_TOKENS;
  const stepUs = 1000 * (1 + world.slope * random.float());
  return { tokens, stepUs, speedup: world.speedup(random, normal) };
}

/** [pairs] of plain runs and of the plan's, as decoding gives them. */
function drawRuns(world, { tokens, stepUs, speedup }, random) {
  const run = (us) => ({ ids: { length: tokens }, rounds: [], promptUs: 0, decodeUs: (tokens - 1) * us });
  const disturbed = () =>
    Math.exp(world.noise * normal(random)) * (random.float() < world.burst ? 1 + random.float() : 1);
  const [plain, plan] = [[], []];
  for (let pair = 0; pair < world.pairs; pair++) {
    const shared = stepUs * Math.exp(world.drift * normal(random));
    plain.push(run(shared * disturbed()));
    plan.push(run((shared / speedup) * disturbed()));
  }
  return { plain, plan };
}

function truthOf(world) {
  const random = seededRandom(20261128);
  let [tokens, plainUs, planUs] = [0, 0, 0];
  for (let i = 0; i < TRUTH_PROMPTS; i++) {
    const prompt = drawPrompt(world, random);
    tokens += prompt.tokens - 1;
    plainUs += (prompt.tokens - 1) * prompt.stepUs;
    planUs += ((prompt.tokens - 1) * prompt.stepUs) / prompt.speedup;
  }
  // what noise makes of an average run, which is part of the rate and not of the speedup
  const noise = Array.from({ length: TRUTH_PROMPTS / 10 }, () => medianRun(world, random));
  const slower = noise.reduce((sum, us) => sum + us, 0) / noise.length;
  return { speedup: plainUs / planUs, rate: (1e6 * tokens) / (planUs * slower) };
}

/** Median over pairs of a run that takes 1 without noise. */
function medianRun(world, random) {
  const { plan } = drawRuns(world, { tokens: 2, stepUs: 1, speedup: 1 }, random);
  const us = plan.map(({ decodeUs }) => decodeUs).sort((a, b) => a - b);
  const middle = us.length >> 1;
  return us.length % 2 === 1 ? us[middle] : (us[middle - 1] + us[middle]) / 2;
}

const trials = Number(values.trials);
const seed = Number(values.seed);
const holds = ({ low, high }, truth) => (low <= truth && truth <= high ? 1 : 0);

function coverage(world, index) {
  const truth = truthOf(world);
  const speedup = {};
  const rate = {};
  for (const prompts of PROMPTS) {
    let [covered, coveredRate] = [0, 0];
    for (let trial = 0; trial < trials; trial++) {
      const random = seededRandom(seed, index, prompts, trial);
      const runs = Array.from({ length: prompts }, () => drawRuns(world, drawPrompt(world, random), random));
      covered += holds(speedupInterval(runs.map(({ plain, plan }) => promptTiming(plain, plan))), truth.speedup);
      coveredRate += holds(rateInterval(runs.map(({ plan }) => plan)), truth.rate);
    }
    speedup[prompts] = (100 * covered) / trials;
    rate[prompts] = (100 * coveredRate) / trials;
  }
  return { world: world.name, claimed: world.beyond !== true, speedup, rate };
}

const rows = WORLDS.map(coverage);
const cells = (of) => PROMPTS.map((prompts) => of[prompts].toFixed(1).padStart(6)).join("");
const heads = PROMPTS.map((prompts) => String(prompts).padStart(6)).join("");
console.log(`% of 95 % intervals that contain the truth, ${trials} trials each`);
console.log(`${"prompts".padEnd(38)}${heads}  ${heads}`);
console.log(`${"".padEnd(38)}${"speedup".padStart(24)}  ${"tokens/s".padStart(24)}`);
for (const { world, speedup, rate } of rows) console.log(`${world.padEnd(38)}${cells(speedup)}  ${cells(rate)}`);
const claimed = rows
  .filter((row) => row.claimed)
  .flatMap(({ speedup, rate }) => [...Object.values(speedup), ...Object.values(rate)]);
const [least, most] = [Math.min(...claimed), Math.max(...claimed)];
console.log(`claimed 93 to 97 %: ${least.toFixed(1)} to ${most.toFixed(1)} %`);
if (values.json !== undefined)
  writeFileSync(values.json, `${JSON.stringify({ trials, seed, least, most, rows }, null, 2)}\n`);
if (least < 93 || most > 97) process.exitCode = 1;
