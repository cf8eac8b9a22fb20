import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { stringifyDocument } from "../../src/schema/document.js";
import type { Verification } from "../../src/schema/verification.js";
import { draftplan } from "../support/cli.js";
import { plan, verification } from "../support/example-documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const root = temporaryFolder();
let made = 0;
const folderOf = (documents: Record<string, string>): string => {
  const folder = join(root, `history-${made++}`);
  for (const [name, text] of Object.entries(documents)) {
    mkdirSync(join(folder, name, ".."), { recursive: true });
    writeFileSync(join(folder, name), text);
  }
  mkdirSync(folder, { recursive: true });
  return folder;
};

const day = (i: number, changes: Partial<Verification> = {}): string =>
  stringifyDocument({
    ...verification(),
    model: { ...verification().model, name: "tiny" },
    created: new Date(Date.UTC(2026, 2, 1 + i, 2)).toISOString(),
    ...changes,
  });
const speedup = (median: number) => ({ median, low: median - 0.03, high: median + 0.03 });
/** Twenty nights; on the thirteenth another runtime came, and speed fell by a tenth. */
const nightly = (): Record<string, string> =>
  Object.fromEntries(
    Array.from({ length: 20 }, (_, i) => {
      const runtime = i < 12 ? "onnxruntime 1.30.0" : "onnxruntime 1.31.0";
      const device = { ...verification().device, runtime };
      return [`${i}/verification.yaml`, day(i, { speedup: speedup(i < 12 ? 1.5 : 1.35), device })];
    }),
  );

interface Trend {
  model: { name: string };
  verifications: { file: string; created: string | null; speedup: { median: number } }[];
  undated: { file: string }[];
  changes: { quantity: string; first_after: string; change_percent: number | null; also_changed: string[] }[];
  too_few: string[];
}
async function historyJson(folder: string, ...args: string[]) {
  const { code, stdout, stderr } = await draftplan(["history", folder, "--json", ...args]);
  expect(code).toBe(0);
  const value = JSON.parse(stdout) as { trends: Trend[]; left_out: { file: string; code: string }[] };
  return { ...value, stderr };
}

describe("twenty nights with a slower runtime from the thirteenth on", () => {
  const folder = folderOf({
    ...nightly(),
    "plan.yaml": stringifyDocument(plan()),
    "other.yaml": "name: CI\non: push\n",
  });

  test("are a table by date with the change marked, in 80 columns", async () => {
    const { code, stdout, stderr } = await draftplan(["history", folder]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const lines = stdout.trimEnd().split("\n");
    expect(lines.filter((line) => [...line].length > 80)).toEqual([]);
    expect(lines.slice(0, 3)).toEqual([
      "tiny (weights 01234567), plan plan.yaml",
      "on Some CPU @ 2.00GHz, cpu, 2 threads, linux x64",
      "runtime onnxruntime",
    ]);
    const rows = lines.filter((line) => /^[ >] 2026-03-\d\d 02:00 /.test(line));
    expect(rows).toHaveLength(20);
    expect(rows[0]).toMatch(/^ {2}2026-03-01 02:00 +a{8} +1\.30\.0 +56\.0 +1\.50 \(1\.47-1\.53\) +91\.0 % +\+3\.6 %$/);
    expect(rows.filter((row) => row.startsWith(">"))).toEqual([expect.stringMatching(/^> 2026-03-13 .* 1\.31\.0 /)]);
    const change = lines.indexOf("> 2026-03-13 02:00: speedup fell by 10.0 %, from 1.50 to 1.35");
    expect(lines.slice(change, change + 2)).toEqual([lines[change], "  changed as well: runtime"]);
  });

  test("are one JSON value with all of it", async () => {
    const { trends, left_out, stderr } = await historyJson(folder);
    expect({ left_out, stderr }).toEqual({ left_out: [], stderr: "" });
    expect(trends).toHaveLength(1);
    expect(trends[0].verifications.map(({ created }) => created?.slice(8, 10))).toEqual(
      Array.from({ length: 20 }, (_, i) => String(i + 1).padStart(2, "0")),
    );
    expect(trends[0].changes).toEqual([
      expect.objectContaining({
        quantity: "speedup",
        first_after: join(folder, "12", "verification.yaml"),
        change_percent: expect.closeTo(-10, 6),
        also_changed: ["runtime"],
      }),
    ]);
  });
});

test("with few verifications it says that no change can be marked yet", async () => {
  const { stdout } = await draftplan(["history", folderOf({ "a.yaml": day(0), "b.yaml": day(1) })]);
  expect(stdout).toContain("No change can be marked yet: 2 verifications with a date, and it takes 10.\n");
});

test("several models are listed one by one, and filters choose", async () => {
  const other = { model: { ...verification().model, name: "Other-2B", weights_sha256: "c".repeat(64) } };
  const folder = folderOf({ "a.yaml": day(0), "b.yaml": day(1, other) });
  expect((await historyJson(folder)).trends.map(({ model }) => model.name)).toEqual(["Other-2B", "tiny"]);
  expect((await historyJson(folder, "--model-name", "other")).trends.map(({ model }) => model.name)).toEqual([
    "Other-2B",
  ]);
  expect((await draftplan(["history", folder])).stdout).toMatch(/2 trends; choose among them with --model-name/);
  for (const flag of ["--model-name", "--device", "--plan"]) {
    const { code, stderr } = await draftplan(["history", folder, flag, "nowhere"]);
    expect(code).toBe(2);
    expect(stderr).toMatch(new RegExp(`^error \\[OPTION_INVALID\\] ${flag} nowhere`));
  }
});

test("a verification without a date is listed apart, with a warning", async () => {
  const undated = day(1).replace(/^created: .*\n/m, "");
  const folder = folderOf({ "a.yaml": day(0), "b.yaml": undated });
  const { trends, stderr } = await historyJson(folder);
  expect(trends[0].undated.map(({ file }) => file)).toEqual([join(folder, "b.yaml")]);
  expect(stderr).toBe(`warning [HISTORY_UNDATED]: ${join(folder, "b.yaml")} does not say when it was made (created)\n`);
  expect((await draftplan(["history", folder])).stdout).toContain(
    "Without a date (created), and no part of the trend:",
  );
});

describe("a file that cannot be read is named, and the rest is shown", () => {
  const hostile: [string, string, string][] = [
    ["cut short", day(1).slice(0, 400), "DOCUMENT_SYNTAX"],
    ["no YAML", "kind: [draftplan/verification\n\t", "DOCUMENT_SYNTAX"],
    ["a key too many", `${day(1)}more: 1\n`, "DOCUMENT_INVALID"],
    ["bytes", "\u0000\u0001\u0002\ud83d: {", "DOCUMENT_SYNTAX"],
    ["nested without end", "[".repeat(50_000), "DOCUMENT_SYNTAX"],
    [
      "aliases without end",
      `a: &a [x]\n${Array.from({ length: 90 }, (_, i) => `k${i}: *a`).join("\n")}`,
      "DOCUMENT_SYNTAX",
    ],
    ["a copy of another", day(0), "HISTORY_REPEATED"],
  ];
  test.each(hostile)("%s", async (_what, text, code) => {
    const folder = folderOf({ "a.yaml": day(0), "b.yaml": text });
    const { trends, left_out, stderr } = await historyJson(folder);
    expect(trends.map(({ verifications }) => verifications.length)).toEqual([1]);
    expect(left_out).toEqual([expect.objectContaining({ file: join(folder, "b.yaml"), code })]);
    expect(stderr).toContain(`warning [HISTORY_LEFT_OUT]: ${join(folder, "b.yaml")} is left out: `);
  });

  test.skipIf(process.platform === "win32")("a pipe (Windows has none)", async () => {
    const folder = folderOf({ "a.yaml": day(0) });
    execFileSync("mkfifo", [join(folder, "b.yaml")]);
    const { trends, left_out } = await historyJson(folder);
    expect([trends.length, left_out.length]).toEqual([1, 1]);
  });
});

test("strings of a document cannot write to the terminal", async () => {
  const name = "\u001b[31mred\u202e ##[error]x";
  const folder = folderOf({ "a.yaml": day(0, { model: { ...verification().model, name } }) });
  const { stdout } = await draftplan(["history", folder]);
  expect(stdout).toContain("\\u001b[31mred\\u202e");
  expect(stdout).not.toContain("\u001b");
});

test("a folder without verifications says how to make one", async () => {
  const { code, stdout } = await draftplan(["history", folderOf({ "plan.yaml": stringifyDocument(plan()) })]);
  expect(code).toBe(0);
  expect(stdout).toContain("draftplan verify PLAN --model MODEL -o FILE");
});

test.each([
  ["a folder that is not there", join(root, "nowhere"), "FILE_NOT_FOUND"],
  ["a file", join(folderOf({ "a.yaml": day(0) }), "a.yaml"), "FILE_UNREADABLE"],
])("%s ends with exit code 3", async (_what, path, code) => {
  const { code: exit, stderr } = await draftplan(["history", path]);
  expect(exit).toBe(3);
  expect(stderr).toMatch(new RegExp(`^error \\[${code}\\] `));
});
