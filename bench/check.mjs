// How long `draftplan check` takes over many committed plans. Run after `npm run build`:
//   node bench/check.mjs [--plans 1000] [--pairs 10] [--dist dist]
// Writes the documents into a temporary folder, checks them as a user does, and prints JSON: seconds of the whole
// process, and whether the target holds.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { availableParallelism, cpus, tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";

const { values } = parseArgs({
  options: {
    plans: { type: "string", default: "1000" },
    pairs: { type: "string", default: "10" },
    dist: { type: "string", default: "dist" },
  },
});
const TARGET_SECONDS = 10;
const [plans, pairs] = [Number(values.plans), Number(values.pairs)];
const dist = (path) => pathToFileURL(resolve(values.dist, path)).href;
const { readDocumentOf, sha256, stringifyDocument } = await import(dist("schema/document.js"));
const { planDocument } = await import(dist("solve/index.js"));
const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));

/** The committed pair on a device that is slower by a factor. */
function makePair(index) {
  const factor = 1 + index / 10;
  const { document: profile } = readDocumentOf("draftplan/profile", root("profiles/union-10m.profile.yaml"));
  const { document: calibration } = readDocumentOf(
    "draftplan/calibration",
    root("profiles/union-10m.calibration.yaml"),
  );
  for (const point of profile.points) {
    point.fixed_us *= factor;
    for (const part of [point.attn_us, point.mlp_us])
      for (const costs of Object.values(part)) costs.forEach((us, i) => (costs[i] = us * factor));
  }
  return { profile, calibration: { ...calibration, text: { ...calibration.text, source: `text ${index}` } } };
}

const CHOICES = [["int8", "skip"], ["skip"], ["int8"]];

function write(folder) {
  mkdirSync(join(folder, "plans"));
  for (let pair = 0; pair < pairs; pair++) {
    const documents = makePair(pair);
    const inputs = {};
    for (const [role, document] of Object.entries(documents)) {
      const text = stringifyDocument(document);
      writeFileSync(join(folder, `${role}-${pair}.yaml`), text);
      inputs[role] = { path: `../${role}-${pair}.yaml`, sha256: sha256(text) };
    }
    const made = CHOICES.map((choices) => stringifyDocument(planDocument({ ...documents, choices }, inputs)));
    for (let i = pair; i < plans; i += pairs) {
      const text = `# plan ${i}\n${made[Math.floor(i / pairs) % made.length]}`;
      writeFileSync(join(folder, "plans", `${i}.yaml`), text);
    }
  }
}

const folder = mkdtempSync(join(tmpdir(), "draftplan-bench-"));
try {
  write(folder);
  const start = performance.now();
  const { status, stdout, stderr } = spawnSync(
    process.execPath,
    [resolve(values.dist, "cli.js"), "check", join(folder, "plans"), "--json"],
    { encoding: "utf8", maxBuffer: 1 << 28 },
  );
  const seconds = (performance.now() - start) / 1000;
  if (stdout === "") throw new Error(stderr);
  const { files, findings } = JSON.parse(stdout);
  console.log(
    JSON.stringify(
      {
        device: { cpu: cpus()[0]?.model ?? null, cores: availableParallelism(), node: process.version },
        plans,
        pairs,
        files: files.length,
        findings: findings.length,
        exit_code: status,
        seconds: Math.round(100 * seconds) / 100,
        target_seconds: TARGET_SECONDS,
        target_met: seconds <= TARGET_SECONDS && status === 0,
      },
      null,
      2,
    ),
  );
} finally {
  rmSync(folder, { recursive: true });
}
