/** The same profile and calibration give the same plan, byte for byte: in another process, folder, time zone and language. */
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { copyOnBundledText } from "../support/bundled-calibration.js";
import { draftplan } from "../support/cli.js";
import { EVERY, LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const ELSEWHERE = [
  { TZ: "UTC", LANG: "C", LC_ALL: "C" },
  { TZ: "Pacific/Kiritimati", LANG: "tr_TR.UTF-8", LC_ALL: "tr_TR.UTF-8", FORCE_COLOR: "1", COLUMNS: "40" },
];

/** What `solve` writes, by file, when it is run in a folder of its own. */
async function written(env: Record<string, string>, args: readonly string[], files: readonly string[]) {
  const folder = temporaryFolder();
  cpSync(join(ROOT, "profiles"), join(folder, "profiles"), { recursive: true });
  const calibration = "profiles/union-10m.calibration.yaml";
  copyOnBundledText(join(ROOT, calibration), join(folder, calibration));
  const inputs = [
    "--profile",
    "profiles/union-10m.profile.yaml",
    "--calibration",
    "profiles/union-10m.calibration.yaml",
  ];
  const { code, stderr } = await draftplan(["solve", ...inputs, ...args, "-o", "plan.yaml"], { cwd: folder, env });
  expect({ code, stderr: code === 0 ? "" : stderr }).toEqual({ code: 0, stderr: "" });
  return ["plan.yaml", ...files].map((file) => readFileSync(join(folder, file), "utf8"));
}

async function expectSame(args: readonly string[], files: readonly string[] = []): Promise<void> {
  const [here, there] = [await written(ELSEWHERE[0], args, files), await written(ELSEWHERE[1], args, files)];
  expect(there).toEqual(here);
}

describe("solve writes the same bytes in two processes, folders, time zones and languages", () => {
  const more: [string, string[]][] = [
    ["knapsack", []],
    ["knapsack of skips alone", ["--choices", "skip"]],
    ["knapsack under constraints", ["--whole-layers", "--keep", "0", "--max-skip", "4"]],
    ["knapsack, costs drawn on", ["--extrapolate", "4096"]],
  ];
  test.each<[string, string[]]>([["none", ["--method", "none"]], ...(LONG ? more : [])])("%s", async (_, args) => {
    await expectSame(args);
  });

  // What these propose is measured first; acceptance is counted, not timed, and chance comes from a fixed seed. Every
  // method takes half a minute: swift draws, the others do not, so two stand for them, and all with DRAFTPLAN_EVERY=1.
  const others = EVERY ? ["clasp", "del", "early-exit"] : [];
  const measured = LONG ? ["swift", "knapspec", "uniform", ...others] : [];
  test.each(measured)("%s, and the calibration of what it measures", async (method) => {
    // one thread: what is counted is the same by any number of them, and two wait for each other where two files run
    await expectSame(
      ["--method", method, "--model", "embedded", "--threads", "1"],
      [`profiles/union-10m.calibration.${method}.yaml`],
    );
  });
});
