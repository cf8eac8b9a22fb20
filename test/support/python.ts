/** Python, with packages that a test needs: `$DRAFTPLAN_PYTHON`, else `python3` on the PATH. */
import { spawn, spawnSync } from "node:child_process";

export const PYTHON = process.env.DRAFTPLAN_PYTHON ?? "python3";

/** For `describe.skipIf`: the packages that cannot be imported, and a title that says so. */
export function unlessPackages(title: string, ...packages: string[]): { skip: boolean; title: string } {
  // found, not imported: importing takes seconds
  const find = `import importlib.util as u; print(*[p for p in ${JSON.stringify(packages)} if u.find_spec(p) is None])`;
  const { stdout, status } = spawnSync(PYTHON, ["-c", find], { encoding: "utf8" });
  const missing = status === 0 ? stdout.trim().split(/\s+/).filter(Boolean) : [PYTHON];
  return {
    skip: missing.length > 0,
    title:
      missing.length === 0 ? title : `${title} (skipped: ${missing.join(", ")} cannot be had; set DRAFTPLAN_PYTHON)`,
  };
}

/**
 * Runs a script of test/acceptance/python: JSON on its stdin, JSON on the last line of its stdout.
 * @throws where it fails, with the end of what it wrote to stderr
 */
export async function runPython<Result>(script: string, job: unknown): Promise<Result> {
  const path = new URL(`../acceptance/python/${script}`, import.meta.url).pathname;
  const child = spawn(PYTHON, [path], { stdio: "pipe", env: { ...process.env, ORT_DISABLE_TELEMETRY: "1" } });
  const output = { stdout: "", stderr: "" };
  child.stdout.on("data", (data) => (output.stdout += data));
  child.stderr.on("data", (data) => (output.stderr += data));
  const done = new Promise<number | null>((resolve, reject) => child.on("close", resolve).on("error", reject));
  child.stdin.on("error", () => {}); // it ended before it read all: its exit code and stderr say why
  child.stdin.end(JSON.stringify(job));
  const code = await done;
  if (code !== 0) throw new Error(`${script} ended with ${code}: ${output.stderr.slice(-4000)}`);
  return JSON.parse(output.stdout.trim().split("\n").at(-1) as string) as Result;
}
