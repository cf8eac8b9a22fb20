// Real checks: how often `check --measure` calls the same plan slower, and how often it catches a plan that is slower.
// Run after `npm run build`:
//   node bench/check-runs.mjs [PLAN] [--model embedded] [--runs 20] [--time 30] [--draft-tokens 2]
// Prints JSON, and each run to stderr as it ends. The slower plan is PLAN with another draft length in every segment; how much slower it is is measured too.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    model: { type: "string", default: "embedded" },
    runs: { type: "string", default: "20" },
    time: { type: "string", default: "30" },
    "draft-tokens": { type: "string", default: "2" },
  },
});
const plan = positionals[0] ?? "plans/union-10m.plan.yaml";
const folder = mkdtempSync(join(tmpdir(), "draftplan-check-runs-"));

// without inputs and predictions: it is compared as a plan written by hand
const text = readFileSync(plan, "utf8");
const { parse, stringify } = await import("yaml");
const document = parse(text);
const { inputs: _, ...rest } = document;
const bare = (changed) => ({
  ...rest,
  segments: document.segments.map(({ predicted: __, ...segment }) =>
    segment.speculate && changed ? { ...segment, draft_tokens: Number(values["draft-tokens"]) } : segment,
  ),
});
const write = (name, content) => {
  const path = join(folder, name);
  writeFileSync(path, stringify(content, { aliasDuplicateObjects: false }));
  return path;
};
const same = write("same.plan.yaml", bare(false));
const slower = write("slower.plan.yaml", bare(true));

function check(candidate) {
  const started = performance.now();
  const args = ["dist/cli.js", "check", candidate, "--baseline", same, "--measure", "--model", values.model];
  const { stdout, status } = spawnSync(process.execPath, [...args, "--time", values.time, "--json"], {
    encoding: "utf8",
    stdio: ["ignore", "pipe", "inherit"],
  });
  const { regressed, inconclusive, compared } = JSON.parse(stdout);
  const measured = compared?.find(({ name }) => name.startsWith("measured ms"));
  const verdict = regressed ? "regressed" : inconclusive ? "inconclusive" : "fine";
  const run = {
    verdict,
    status,
    change_percent: measured?.change_percent ?? null,
    seconds: (performance.now() - started) / 1000,
  };
  console.error(JSON.stringify({ candidate: candidate === same ? "same" : "slower", ...run }));
  return run;
}

try {
  const found = { same: [], slower: [] };
  for (let run = 0; run < Number(values.runs); run++) {
    found.same.push(check(same));
    found.slower.push(check(slower));
  }
  const count = (list) => ({
    regressed: list.filter(({ verdict }) => verdict === "regressed").length,
    fine: list.filter(({ verdict }) => verdict === "fine").length,
    inconclusive: list.filter(({ verdict }) => verdict === "inconclusive").length,
    change_percent: list.map((run) => run.change_percent),
    seconds: list.reduce((sum, { seconds }) => sum + seconds, 0),
  });
  console.log(
    JSON.stringify({ plan, runs: Number(values.runs), same: count(found.same), slower: count(found.slower) }),
  );
} finally {
  rmSync(folder, { recursive: true });
}
