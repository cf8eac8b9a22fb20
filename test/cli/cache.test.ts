/** What the cache holds, as a user sees it and deletes it. */
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, test, vi } from "vitest";
import { draftplan } from "../support/cli.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const GONE = 2 ** 22 + 1; // above every process number Linux gives
const KEYS = ["aaaa1111", "aaaa2222", "bbbb3333"].map((digits) => digits.padEnd(40, "0"));
let root: string;

beforeEach(() => {
  root = temporaryFolder();
  vi.stubEnv("DRAFTPLAN_CACHE_DIR", root);
  const labels = [
    { model: "Llama", kernels: "fp32 int8" },
    { model: "Llama", kernels: "fp32" },
    {}, // an earlier build's
  ];
  for (const [i, key] of KEYS.entries()) {
    mkdirSync(join(root, key));
    writeFileSync(join(root, key, "weights.bin"), "x".repeat(1000));
    writeFileSync(join(root, key, "manifest.json"), JSON.stringify(labels[i]));
    const used = new Date(`2026-01-0${i + 1}T12:00:00Z`);
    utimesSync(join(root, key), used, used);
  }
  for (const pid of [GONE, process.pid]) {
    mkdirSync(join(root, `.partial-${pid}-x`));
    writeFileSync(join(root, `.partial-${pid}-x`, "weights.bin"), "12345");
  }
});

test("lists model, kernels, size and last use, the last used first, and counts what is half made", async () => {
  const { entries, half_made } = JSON.parse((await draftplan(["cache", "--json"])).stdout);
  expect(half_made).toEqual({ count: 2, running: 1, bytes: 10 });
  const shown = entries.map(({ key, model, kernels, last_used }: Record<string, unknown>) => [
    key,
    model,
    kernels,
    last_used,
  ]);
  expect(shown).toEqual([
    [KEYS[2], null, null, "2026-01-03T12:00:00.000Z"],
    [KEYS[1], "Llama", ["fp32"], "2026-01-02T12:00:00.000Z"],
    [KEYS[0], "Llama", ["fp32", "int8"], "2026-01-01T12:00:00.000Z"],
  ]);
  const { stdout } = await draftplan(["cache"]);
  expect(stdout).toMatch(/: 3 converted models, /);
  expect(stdout).toMatch(/ {2}Llama\n {4}aaaa11110000 {2}fp32 int8, [\d.]+ (B|KiB), used 2026-01-01\n/);
  expect(stdout).toContain("made by an earlier build");
  expect(stdout).toContain("being converted now: 1, 5 B");
  expect(stdout).toContain("left half made: 1, 5 B; draftplan cache --clear removes them");
});

test.each([
  ["a model's name", "Llama", [KEYS[2]]],
  ["a whole key", KEYS[0], [KEYS[1], KEYS[2]]],
  ["the beginning of one", "bbbb", [KEYS[0], KEYS[1]]],
])("--clear with %s deletes that alone", async (_, name, left) => {
  expect((await draftplan(["cache", "--clear", name])).code).toBe(0);
  expect(readdirSync(root).filter((entry) => !entry.startsWith("."))).toEqual(left);
  expect(readdirSync(root).length).toBe(left.length + 2);
});

test.each([
  ["no model's name", "llama"],
  ["the beginning of two keys", "aaaa"],
  ["too little of a key", "b"],
  ["a path", "../x"],
  ["what is half made", `.partial-${GONE}-x`],
])("--clear with %s deletes nothing, and says so", async (_, name) => {
  const { code, stderr } = await draftplan(["cache", "--clear", name]);
  expect(code).toBe(2);
  expect(stderr).toMatch(/OPTION_INVALID\] --clear/);
  expect(readdirSync(root).length).toBe(KEYS.length + 2);
});

test("--clear alone deletes all but what is being converted", async () => {
  const { stdout } = await draftplan(["cache", "--clear"]);
  expect(stdout).toMatch(/ freed in /);
  expect(readdirSync(root)).toEqual([`.partial-${process.pid}-x`]);
});
