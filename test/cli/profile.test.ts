/** draftplan profile of a configuration alone, and of a table from another engine. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { readDocumentOf, sha256 } from "../../src/schema/document.js";
import { draftplan } from "../support/cli.js";
import { LONG } from "../support/long.js";
import { temporaryFolder, tinyConfig, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const CONFIG = join(ROOT, "models/union-10m/config.json");
const CALIBRATION = join(ROOT, "profiles/union-10m.calibration.yaml");
const profileAt = (path: string) => readDocumentOf("draftplan/profile", path).document;
const solve = (profile: string, ...more: string[]) =>
  draftplan(["solve", "--profile", profile, "--calibration", CALIBRATION, "-o", "-", "--json", ...more]);

describe("of a config.json", () => {
  test.skipIf(LONG)(
    "is a profile without weights that joins a calibration of the real ones; nothing is left in the cache",
    async () => {
      const folder = temporaryFolder();
      const cache = join(folder, "cache");
      const path = join(folder, "profile.yaml");
      const { code, stdout } = await draftplan(
        ["profile", CONFIG, "--context", "64", "--query", "1,2,5", "--threads", "1", "--budget", "1s", "-o", path],
        { env: { DRAFTPLAN_CACHE_DIR: cache } },
      );
      expect(code).toBe(0);
      expect(stdout).toContain("made-up weights");
      expect(readdirSync(cache)).toEqual([]);
      const { model, synthetic, scaled, points } = profileAt(path);
      const real = profileAt(join(ROOT, "profiles/union-10m.profile.yaml")).model;
      expect(model).toEqual({ ...real, weights_sha256: null });
      expect(synthetic).toEqual({ config_sha256: sha256(readFileSync(CONFIG)), seed: 1 });
      expect(scaled).toBeUndefined();
      expect(points.map(({ query_tokens }) => query_tokens)).toEqual([1, 2, 5]);

      const solved = await solve(path);
      expect(solved.code).toBe(0);
      const calibrated = readDocumentOf("draftplan/calibration", CALIBRATION).document.model;
      expect((JSON.parse(solved.stdout) as { model: unknown }).model).toEqual(calibrated);
    },
  );

  test.skipIf(LONG)("is named after its file, where that is not config.json", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "tiny-8b.json"), JSON.stringify(tinyConfig({ headDim: 16 })));
    const { code, stdout } = await draftplan(
      ["profile", join(folder, "tiny-8b.json"), ..."--context 16 --query 1 --threads 1 --budget 1s -o -".split(" ")],
      { env: { DRAFTPLAN_CACHE_DIR: join(folder, "cache") } },
    );
    expect(code).toBe(0);
    expect(stdout).toContain("name: tiny-8b");
  });

  test
    .skipIf(process.platform === "win32")
    .each<[string, (files: string[]) => boolean]>([
      LONG
        ? ["while passes are measured", (files) => files.includes("manifest.json")]
        : ["while weights are made", (files) => files.length > 0],
    ])("is stopped by Ctrl-C %s: no weights are left (Windows has no signals)", async (_when, isDue) => {
    const cache = temporaryFolder();
    const made = () => readdirSync(cache).flatMap((entry) => readdirSync(join(cache, entry)));
    const path = join(cache, "..", `${basename(cache)}.yaml`);
    const { code, stdout, stderr } = await draftplan(["profile", CONFIG, "--threads", "1", "-o", path], {
      env: { DRAFTPLAN_CACHE_DIR: cache },
      during(child) {
        const timer = setInterval(() => {
          if (!isDue(made())) return;
          clearInterval(timer);
          child.kill("SIGINT");
        }, 2);
        child.once("exit", () => clearInterval(timer));
      },
    });
    expect({ code, stdout, left: readdirSync(cache), written: existsSync(path) }).toEqual({
      ...{ code: 130, stdout: "", left: [], written: false },
    });
    expect(stderr).not.toContain("--samples"); // no round was finished: there is nothing to keep
  });

  test.skipIf(LONG)("is refused where not even a slice of it fits into --memory", async () => {
    const { code, stderr } = await draftplan(["profile", CONFIG, "--memory", "0.1"]);
    expect({ code, stderr }).toEqual({ code: 4, stderr: expect.stringMatching(/OUT_OF_MEMORY.*config\.json/) });
  });

  test.skipIf(LONG).each([
    ["--memory with a model that has weights", ["profile", "embedded", "--memory", "4"], "USAGE"],
    ["no memory at all", ["profile", CONFIG, "--memory", "0"], "OPTION_INVALID"],
    ["a grid past the model's limit", ["profile", CONFIG, "--context", "64..100000"], "CONTEXT_LIMIT"],
  ])("%s is refused before anything is made", async (_what, args, code) => {
    const cache = temporaryFolder();
    const { stderr } = await draftplan(args, { env: { DRAFTPLAN_CACHE_DIR: cache } });
    expect(stderr).toContain(`error [${code}]`);
    expect(readdirSync(cache)).toEqual([]);
  });
});

describe.skipIf(LONG)("of a table: docs/profile-import.md", () => {
  const page = readFileSync(join(ROOT, "docs/profile-import.md"), "utf8");
  const block = (language: string) => new RegExp(`^\`\`\`${language}\n([\\s\\S]*?)^\`\`\`$`, "m").exec(page)?.[1] ?? "";
  /** the words of a command line, quotes as a shell reads them */
  const words = (line: string) => (line.match(/(?:"[^"]*"|[^\s"])+/g) ?? []).map((word) => word.replaceAll('"', ""));
  const commands = block("sh").replaceAll("\\\n", " ").trim().split("\n").map(words);

  test("its commands do what they say with its table, word for word", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "measured.csv"), block("csv"));
    expect(commands.map(([program, verb]) => `${program} ${verb}`)).toEqual(["draftplan profile", "draftplan solve"]);
    for (const [, ...args] of commands) {
      const here = args.map((arg) => (arg.startsWith("profiles/") ? join(ROOT, arg) : arg));
      const { code, stderr } = await draftplan(here, { cwd: folder });
      expect({ code, error: /error.*/.exec(stderr)?.[0] }).toEqual({ code: 0, error: undefined });
    }
    const { model, device, imported, grid, points, sampling } = profileAt(join(folder, "profile.yaml"));
    expect(model).toEqual({ ...profileAt(join(ROOT, "profiles/union-10m.profile.yaml")).model, weights_sha256: null });
    expect(device).toEqual({
      ...{ processor: "Example GPU", provider: "cuda", threads: 1 },
      ...{ runtime: "an engine 1.0", platform: "linux x64" },
    });
    expect(imported).toEqual({ source: "measured.csv", sha256: sha256(block("csv")), whole_pass: "summed" });
    expect(grid).toEqual({ context_tokens: [64, 1024], query_tokens: [1, 5] });
    expect(points[0].whole_target_us).toBe(20 + 180 + 12 * (85 + 120));
    expect(sampling).toBeUndefined();
    expect(readDocumentOf("draftplan/plan", join(folder, "plan.yaml")).document.device).toEqual(device);
  });

  test("its tables name every component and column", async () => {
    for (const name of ["component", "choice", "context_tokens", "query_tokens", "us", "layer"])
      expect(page).toContain(`| \`${name}\` |`);
    for (const name of ["fixed", "head", "attn", "mlp", "whole", "round", "step"]) expect(page).toMatch(`\`${name}\``);
  });

  const DEVICE = ["--device", "processor=p", "provider=cpu", "threads=2", "runtime=r", "platform=x"];
  const tableIn = (folder: string) => {
    writeFileSync(join(folder, "t.csv"), block("csv"));
    return join(folder, "t.csv");
  };

  test("the model may be a config.json, its folder or a model; -o and --json are the import's own", async () => {
    const folder = writeTinyCheckpoint(temporaryFolder(), { layers: 12 });
    const documents = [];
    for (const model of [join(folder, "config.json"), folder, "embedded"]) {
      const path = join(folder, "imported.yaml");
      const args = ["profile", "import", tableIn(folder), "--model-config", model, "-o", path, "--json", ...DEVICE];
      const { code, stdout } = await draftplan(args);
      expect(code).toBe(0);
      expect(JSON.parse(stdout)).toEqual(profileAt(path));
      documents.push(profileAt(path));
    }
    expect(documents[1]).toEqual(documents[0]);
    expect(documents[2].model.name).toBe("union-10m");
  });

  test("a target in fp16 is told, and named as what was computed; another number is refused", async () => {
    const table = tableIn(temporaryFolder());
    const out = join(temporaryFolder(), "p.yaml");
    const args = [
      "profile",
      "import",
      table,
      "--model-config",
      "embedded",
      "-o",
      out,
      "--json",
      ...DEVICE,
      "target=fp16",
    ];
    const { device, kernels } = JSON.parse((await draftplan(args)).stdout);
    expect(device.target).toBe("fp16");
    expect(kernels.target).toBe("fp16");
    expect(kernels.int8 ?? "fp16").toContain("fp16");
    const wrong = await draftplan(["profile", "import", table, "--model-config", "embedded", ...DEVICE, "target=fp8"]);
    expect({ code: wrong.code, stderr: wrong.stderr }).toEqual({ code: 2, stderr: expect.stringContaining("target:") });
  });

  test.each([
    ["no device", [], "USAGE", /--device/],
    ["half a device", DEVICE.slice(0, 3), "OPTION_INVALID", /threads and runtime and platform are missing/],
    ["a field without a name", [...DEVICE, "Example"], "OPTION_INVALID", /'Example' is no field/],
    ["an unknown field", [...DEVICE, "cores=2"], "OPTION_INVALID", /'cores=2' is no field/],
    ["a field twice", [...DEVICE, "threads=2"], "OPTION_INVALID", /threads is given twice/],
    ["no number of threads", [...DEVICE.slice(0, 3), "threads=many", ...DEVICE.slice(4)], "OPTION_INVALID", /threads/],
  ])("%s is refused", async (_what, device, code, message) => {
    const table = tableIn(temporaryFolder());
    const finished = await draftplan(["profile", "import", table, "--model-config", "embedded", ...device]);
    expect(finished.stderr).toContain(`error [${code}]`);
    expect(finished.stderr).toMatch(message);
    expect({ code: finished.code, stdout: finished.stdout }).toEqual({ code: 2, stdout: "" });
  });

  test.each([
    ["a table that is not there", ["nowhere.csv"], /FILE_NOT_FOUND/],
    ["options before the word import", ["--json"], /after import/],
  ])("%s: said as such", async (what, words, message) => {
    const folder = temporaryFolder();
    const import_ = what.startsWith("options") ? [...words, "import", tableIn(folder)] : ["import", ...words];
    const { stderr } = await draftplan(["profile", ...import_, "--model-config", "embedded", ...DEVICE]);
    expect(stderr).toMatch(message);
  });

  test("a table with a fault names the file and the line, and nothing is written", async () => {
    const folder = temporaryFolder();
    writeFileSync(join(folder, "t.csv"), block("csv").replace("180,", "-180,"));
    const args = ["profile", "import", "t.csv", "--model-config", "embedded", "-o", "out.yaml", ...DEVICE];
    const { code, stderr } = await draftplan(args, { cwd: folder });
    expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/\[CSV_INVALID\] t\.csv: line 3\n/) });
    expect(readdirSync(folder)).toEqual(["t.csv"]);
  });
});
