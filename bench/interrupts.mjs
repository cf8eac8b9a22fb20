/**
 * How long draftplan takes to end after Ctrl-C while a model is converted and loaded from an empty cache, or a draft of it is
 * written for an engine: SIGINT at many moments of one verb after the other, a line of JSON for each. Needs dist/ (npm run build), and Linux (/proc).
 *
 *     node bench/interrupts.mjs [--model MODEL] [--step MS] [--most MS] [--verbs inspect,export-llama.cpp]
 *
 * A moment is processor time that the process has had, so that a busy machine moves none of them. "wall_ms" is from the
 * signal to the end, on a busy machine mostly waiting; "cpu_ms" is what the process still did: a section that no signal
 * interrupts shows there. "left" is what a conversion left half made, and what stands in the output folder.
 */
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const { values: options } = parseArgs({
  options: {
    model: { type: "string", default: "embedded" },
    step: { type: "string", default: "500" },
    most: { type: "string", default: "8000" },
    verbs: { type: "string" },
  },
});
const CLI = fileURLToPath(new URL("../dist/cli.js", import.meta.url));
/** ms of a clock tick in /proc (proc(5), sysconf(_SC_CLK_TCK) is 100 on every Linux that Node runs on) */
const TICK_MS = 10;
const LOOK_EVERY_MS = 5;

/** A plan by hand that every engine below can express: the middle layer left out. */
function planByHand(folder) {
  const said = execFileSync(process.execPath, [CLI, "inspect", options.model, "--json"], { encoding: "utf8" });
  const { name, layers, architecture_sha256, weights_sha256 } = JSON.parse(said);
  const left = ["attn", "mlp"].map((kind) => `${layers >> 1}.${kind}`);
  const plan = {
    ...{ kind: "draftplan/plan", version: 1, model: { name, layers, architecture_sha256, weights_sha256 } },
    segments: [
      {
        context_tokens: { from: 0, to: 512 },
        speculate: true,
        draft: { default: "target", head: "target", skip: left, choices: {} },
        draft_tokens: 3,
      },
    ],
  };
  const path = join(folder, "plan.yaml");
  writeFileSync(path, JSON.stringify(plan));
  return path;
}

const documents = mkdtempSync(join(tmpdir(), "draftplan-interrupts-plan-"));
const plan = planByHand(documents);
const toEngine = (engine) => ["export", plan, "--to", engine, "--model", options.model, "-o", "draft"];
const ALL = {
  inspect: ["inspect", options.model],
  generate: ["generate", options.model, "--prompt", "hello", "--max-tokens", "400", "--threads", "1"],
  run: ["run", options.model, "--out", "out", "--threads", "1"],
  "train-heads": ["train-heads", options.model, "--kind", "medusa", "--heads", "1", "--threads", "1", "-o", "heads"],
  ...Object.fromEntries(
    ["transformers", "llama.cpp", "onnxruntime-genai", "vllm"].map((engine) => [`export-${engine}`, toEngine(engine)]),
  ),
};
const verbs = options.verbs === undefined ? Object.keys(ALL) : options.verbs.split(",");

/** ms of processor time of a process and its threads; null: it has ended */
function cpuOf(pid) {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, "utf8")
      .replace(/^.*\)\s/s, "")
      .split(" ");
    return TICK_MS * (Number(fields[11]) + Number(fields[12]));
  } catch {
    return null;
  }
}

/** @returns whether the verb was still at work at that moment */
async function interrupt(verb, momentMs) {
  const folder = mkdtempSync(join(tmpdir(), "draftplan-interrupts-"));
  const cache = mkdtempSync(join(tmpdir(), "draftplan-interrupts-cache-"));
  try {
    const child = spawn(process.execPath, [CLI, ...ALL[verb]], {
      ...{ cwd: folder, stdio: "ignore" },
      env: { ...process.env, DRAFTPLAN_CACHE_DIR: cache },
    });
    let signalled = null;
    let lastMs = 0;
    const timer = setInterval(() => {
      const cpuMs = cpuOf(child.pid);
      if (cpuMs === null) return;
      lastMs = cpuMs;
      if (signalled !== null || cpuMs < momentMs) return;
      signalled = { cpuMs, at: performance.now() };
      child.kill("SIGINT");
    }, LOOK_EVERY_MS);
    const [code, signal] = await new Promise((resolve) => child.on("exit", (...ended) => resolve(ended)));
    clearInterval(timer);
    if (signalled === null) return false;
    const halfMade = readdirSync(cache).filter((name) => name.startsWith(".partial"));
    const line = {
      ...{ verb, moment_ms: signalled.cpuMs, wall_ms: Math.round(performance.now() - signalled.at) },
      ...{ cpu_ms: lastMs - signalled.cpuMs, ended: code ?? signal },
      left: [...halfMade, ...readdirSync(folder, { recursive: true })],
    };
    console.log(JSON.stringify(line));
    return true;
  } finally {
    for (const each of [folder, cache]) rmSync(each, { recursive: true, force: true });
  }
}

try {
  for (const verb of verbs)
    for (let moment = Number(options.step); moment <= Number(options.most); moment += Number(options.step))
      if (!(await interrupt(verb, moment))) break;
} finally {
  rmSync(documents, { recursive: true, force: true });
}
