/**
 * Two sweeps of one model, one after the other: how far apart are they, and the plans made from them?
 *   node bench/profile-repeat.mjs MODEL CALIBRATION [BUDGET=60s] > repeat.json
 * Needs a build (npm run build), and an idle machine. Each plan is judged under both profiles.
 */
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parse } from "yaml";
import { openLatency } from "../dist/solve/latency.js";

const [model, calibration, budget = "60s"] = process.argv.slice(2);
if (calibration === undefined) throw new Error("usage: node bench/profile-repeat.mjs MODEL CALIBRATION [BUDGET]");
const cli = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "draftplan-repeat-"));
const read = (path) => parse(readFileSync(path, "utf8"));
const draftplan = (...args) =>
  execFileSync(process.execPath, [cli, ...args], { stdio: ["ignore", "ignore", "inherit"] });

const sum = (values) => values.reduce((a, b) => a + b, 0);
const percent = (a, b) => Math.round(1e4 * Math.abs(a / b - 1)) / 100;

/** Mean layer of every kind and kernel, and the whole pass, at every point. */
function differences(a, b) {
  return a.points.flatMap((p, i) => {
    const other = b.points[i];
    const at = { context_tokens: p.context_tokens, query_tokens: p.query_tokens };
    const kinds = ["attn_us", "mlp_us"].flatMap((kind) =>
      Object.keys(p[kind]).map((kernel) => ({
        ...at,
        part: `${kind.slice(0, -3)} ${kernel}`,
        percent: percent(sum(p[kind][kernel]), sum(other[kind][kernel])),
      })),
    );
    return [...kinds, { ...at, part: "whole target", percent: percent(p.whole_target_us, other.whole_target_us) }];
  });
}

/** Tokens per second of every speculating segment of a plan, under a profile's latencies. */
function tokensPerSecond(plan, profile, expand) {
  const latency = openLatency(profile);
  return plan.segments
    .filter(({ speculate }) => speculate)
    .map((segment) => {
      const n = Math.max(segment.context_tokens.from, profile.grid.context_tokens[0]);
      const { acceptance_curve: acceptance } = segment.predicted;
      const us =
        segment.draft_tokens * latency.draftUs(expand(segment.draft, plan.model.layers, "plan"), n) +
        latency.verifyUs(n, segment.draft_tokens) +
        profile.loop.round_us;
      return (1e6 * sum(acceptance)) / us;
    });
}

try {
  const { expandDraft } = await import("../dist/schema/choice.js");
  const runs = [1, 2].map((i) => {
    const [profile, plan] = [join(folder, `profile-${i}.yaml`), join(folder, `plan-${i}.yaml`)];
    draftplan("profile", model, "--budget", budget, "-o", profile);
    draftplan("solve", "--profile", profile, "--calibration", calibration, "-o", plan);
    return { profile: read(profile), plan: read(plan) };
  });
  const parts = differences(runs[0].profile, runs[1].profile);
  const judged = runs.map(({ profile }) => runs.map(({ plan }) => tokensPerSecond(plan, profile, expandDraft)));
  const worst = Math.max(...parts.map((one) => one.percent));
  console.log(
    JSON.stringify(
      {
        model,
        budget,
        worst_percent: worst,
        median_percent: parts.map((one) => one.percent).sort((a, b) => a - b)[parts.length >> 1],
        // of each segment of the first plan and of the second: how far the two profiles disagree about its speed
        tpt_percent: judged[0].map((own, plan) => own.map((tps, segment) => percent(tps, judged[1][plan][segment]))),
        parts,
        tpt: judged,
        sampling: runs.map(({ profile }) => profile.sampling),
      },
      null,
      2,
    ),
  );
} finally {
  rmSync(folder, { recursive: true });
}
