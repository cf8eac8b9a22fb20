/** scripts/gpu-check/run.mjs where there is no GPU: its sections on the CPU, each with a limit, each failing alone. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const RUN = fileURLToPath(new URL("../../scripts/gpu-check/run.mjs", import.meta.url));

function gpuCheck(...args: string[]) {
  const { stdout, status } = spawnSync(process.execPath, [RUN, "--out", join(temporaryFolder(), "out"), ...args], {
    encoding: "utf8",
  });
  return {
    status,
    lines: stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line)),
  };
}

test("tokens of both kinds of graph are the CPU's, rounds on the device are the passes one by one, and a tiny shape is timed", () => {
  const asked = ["--provider", "cpu", "--shapes", "tiny", "--tokens", "24", "--sections", "library,tokens,speed-tiny"];
  const { status, lines } = gpuCheck(...asked, "--seconds", "400", "--sweep-seconds", "2");
  expect(status).toBe(0);
  expect(lines.every(({ ok }) => ok)).toBe(true);
  const compared = lines.filter(({ against }) => against !== undefined);
  expect(compared.map(({ equal, tokens }) => [equal, tokens])).toEqual([
    [true, 24],
    [true, 24],
    [true, 24],
  ]);
  const timed = lines.filter(({ context_tokens }) => context_tokens !== undefined);
  expect(timed.map(({ context_tokens }) => context_tokens)).toEqual([16, 64]);
  for (const { ar_ms, verify_ms, round_of_8 } of timed) {
    expect(ar_ms).toBeGreaterThan(0);
    expect(Object.keys(verify_ms)).toEqual(["4", "8", "9", "16"]);
    expect(round_of_8.sum_of_passes_ms).toBeGreaterThan(0);
    expect(round_of_8.ms).toBeGreaterThan(0);
  }
  const sweeps = lines.filter(({ sweep }) => sweep !== undefined);
  expect(sweeps.map(({ sweep, held_out }) => [sweep, held_out.drafts > 0])).toEqual([
    [1, true],
    [2, true],
  ]);
  expect(lines[lines.length - 1].sweeps_apart.drafts.worst_percent).toBeGreaterThanOrEqual(0);
});

test("a section that fails, and one that hangs, say so and take no other with them", () => {
  const asked = [
    "--provider",
    "cuda",
    "--ort-library",
    "/nowhere.so",
    "--sections",
    "library,torch-tokens",
    "--seconds",
    "60",
  ];
  const { status, lines } = gpuCheck(...asked, "--python", "/bin/false");
  expect(status).toBe(1);
  expect(lines.map(({ section, ok }) => [section, ok])).toEqual([
    ["library", false],
    ["torch-tokens", false],
  ]);
  expect(lines[0].code).toBe("RUNTIME_LOAD");
  const sleeper = join(temporaryFolder(), "python");
  writeFileSync(sleeper, "#!/bin/sh\nexec sleep 300\n", { mode: 0o755 });
  const late = gpuCheck("--shapes", "tiny", "--sections", "torch-tiny", "--seconds", "9", "--python", sleeper);
  expect(late.lines[late.lines.length - 1]).toMatchObject({
    ...{ section: "torch-tiny", ok: false },
    what: expect.stringMatching(/^not done within \d/),
  });
  expect(late.status).toBe(1);
});
