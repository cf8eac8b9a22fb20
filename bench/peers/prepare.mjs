/**
 * What the bench decodes with, made by draftplan's own command line and kept for the next run: plans solved on this device,
 * a folder for onnxruntime-genai, a draft for llama.cpp. What is there already is not made again.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const CLI = fileURLToPath(new URL("../../dist/cli.js", import.meta.url));
/** tokens a round of exported drafts */
export const DRAFT_TOKENS = 4;

/** Standard output of a command line. @throws Error with what it said was wrong */
function draftplan(...args) {
  try {
    return execFileSync(process.execPath, [CLI, ...args], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  } catch (error) {
    const said = String(error.stderr ?? "").match(/^error [\s\S]*/m)?.[0] ?? error.message;
    throw new Error(`draftplan ${args[0]}: ${said.trim().replace(/\s*\n\s*/g, "; ")}`);
  }
}

/** Makes `path` by `make(path beside it)` unless it is there; what is half made has another name. */
function once(path, make) {
  if (existsSync(path)) return path;
  mkdirSync(dirname(path), { recursive: true });
  const half = join(dirname(path), `half-made.${basename(path)}`);
  rmSync(half, { recursive: true, force: true });
  console.error(`making ${path}`);
  make(half);
  renameSync(half, path);
  return path;
}

/** The fastest plan for this device with drafters that need nothing beside the model: its own blocks, and lookups. */
export function planFor(folder, { model, threads, contexts, tokens, target, budget }) {
  const at = (name) => join(folder, `${target}.${name}.yaml`);
  const device = ["--threads", String(threads)];
  const asked = [...device, "--target", target, "--drafters", "self,lookup", "--budget", `${budget}s`];
  // from the shortest context to where the longest one ends
  const grid = [...new Set([16, ...contexts, Math.max(...contexts) + tokens])].sort((a, b) => a - b);
  const profile = once(at("profile"), (path) => {
    draftplan("profile", model, ...asked, "--context", grid.join(), "-o", path);
  });
  const calibration = once(at("calibration"), (path) => {
    // at its default contexts: at 4,000 tokens the losses of single blocks alone would take a quarter of an hour
    draftplan("calibrate", model, ...asked, "-o", path);
  });
  return once(at("plan"), (path) => {
    draftplan("solve", "--profile", profile, "--calibration", calibration, ...device, "-o", path);
  });
}

/**
 * A draft for all contexts as an engine takes it, from a plan by hand: engines have one draft, with a cache of its own.
 * @param draftOf of the model's own blocks, as plans have it, given how many layers there are
 * @returns the folder
 */
export function exportFor(engine, folder, model, draftOf) {
  const plan = once(join(folder, `${engine}.plan.yaml`), (path) => {
    const facts = JSON.parse(draftplan("inspect", model, "--json"));
    const { name, layers, architecture_sha256, weights_sha256, context_limit: to } = facts;
    const segment = {
      context_tokens: { from: 0, to },
      speculate: true,
      draft: draftOf(layers),
      draft_tokens: DRAFT_TOKENS,
    };
    const of = { name, layers, architecture_sha256, weights_sha256 };
    // YAML reads JSON
    writeFileSync(
      path,
      JSON.stringify({ kind: "draftplan/plan", version: 1, model: of, segments: [segment] }, null, 1),
    );
  });
  return once(join(folder, engine), (path) => {
    draftplan("export", plan, "--to", engine, "--model", model, "-o", path);
  });
}
