/** `draftplan doctor`: with planted answers, with processes that crash or hang, and as a user runs it where it must fail. */
import { mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, expect, test } from "vitest";
import { processProbes } from "../../src/cli/probe-process.js";
import type { CommandContext } from "../../src/commands/context.js";
import { doctorCommand } from "../../src/commands/doctor.js";
import { silentProgress } from "../../src/core/progress.js";
import { doctorWarnings } from "../../src/pipeline/doctor/warnings.js";
import type { Bandwidth } from "../../src/runtime/bandwidth.js";
import type { HostFacts } from "../../src/runtime/host.js";
import type { Probes } from "../../src/runtime/probe.js";
import { CLI, draftplan } from "../support/cli.js";
import { failureOf } from "../support/failure.js";
import { LONG } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const BANDWIDTH: Bandwidth = {
  bytesPerSecond: 25e9,
  medianBytesPerSecond: 20e9,
  bytes: 2 ** 28,
  passes: 40,
  threads: 2,
};
const FAILS = { ok: false, code: "PROVIDER_UNAVAILABLE", what: "no GPU was found", remedy: "Use another." } as const;
const PROBES: Probes = {
  library: async () => ({
    ok: true,
    value: { version: "1.30.0", available: ["CUDAExecutionProvider", "CPUExecutionProvider"], placement: true },
  }),
  provider: async (name) => (name === "cpu" ? { ok: true, value: 0 } : FAILS),
  bandwidth: async () => ({ ok: true, value: BANDWIDTH }),
  cuda: async () => ({ ok: true, value: [] }),
};

/** @returns what was printed, what was warned of, and the failure, if any */
async function doctor(probes: Partial<Probes> = {}, changes: Partial<CommandContext> = {}) {
  const printed: string[] = [];
  const warned: string[] = [];
  const context: CommandContext = {
    print: (text) => printed.push(text),
    write: () => {},
    command: () => {},
    note: () => {},
    progress: { ...silentProgress, warn: (code) => warned.push(code) },
    json: false,
    provider: "cpu",
    threads: 2,
    columns: 80,
    ...changes,
  };
  const work = doctorCommand(context, { ...PROBES, ...probes });
  const failure = await work.then(
    () => null,
    async (error) => failureOf(() => Promise.reject(error)),
  );
  return { text: printed.join("\n"), warned, failure };
}

/** Lines that were broken at 80 columns, whole again. */
const unwrapped = (text: string) => text.replace(/\n +/g, " ");

describe.skipIf(LONG)("with planted answers", () => {
  test("says what runs, and why the rest does not, in 80 columns", async () => {
    const { text, failure } = await doctor();
    expect(failure).toBeNull();
    expect(text).toMatch(/^Library +onnxruntime 1\.30\.0, bundled with draftplan$/m);
    expect(text).toMatch(/^Providers +cuda +does not run: no GPU was found\n +Use another\.\n +cpu +runs$/m);
    expect(unwrapped(text)).toMatch(
      /webgpu +does not run: this build of ONNX Runtime 1\.30\.0 is without it; it offers cuda, cpu/,
    );
    expect(text).toMatch(/^Bandwidth +25\.0 GB\/s read, median 20\.0 GB\/s/m);
    expect(text).toContain("40.0 ms per GB");
    // a folder is one word, however long it is
    const lines = text.split("\n").filter((line) => !/[\\/]/.test(line.slice(40)));
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    for (const label of ["Processor", "Cores", "Caches", "Clock", "Load", "Memory", "Threads", "Models"]) {
      expect(text).toMatch(new RegExp(`^${label} +\\S`, "m"));
    }
  });

  test("as JSON: one value, every key there", async () => {
    const { text } = await doctor({}, { json: true });
    const report = JSON.parse(text);
    expect(Object.keys(report)).toEqual([
      ...[
        "can_run",
        "library",
        "provider",
        "providers",
        "cuda",
        "gpu",
        "platform",
        "processor",
        "simd",
        "cores",
        "caches",
      ],
      ...["clock_governors", "load", "memory", "threads", "bandwidth", "cache", "warnings"],
    ]);
    expect(report).toMatchObject({
      can_run: true,
      library: { version: "1.30.0", source: "bundled", refusal: null },
      bandwidth: { bytes_per_second: 25e9, bytes: 2 ** 28, threads: 2 },
    });
    expect(report.providers[0]).toEqual({
      name: "cuda",
      ort_name: "CUDAExecutionProvider",
      runs: false,
      refusal: { code: "PROVIDER_UNAVAILABLE", what: "no GPU was found", remedy: "Use another." },
    });
    expect(report.providers.find(({ name }: { name: string }) => name === "webgpu").refusal.what).toMatch(/without it/);
  });

  test("a provider that was asked for and does not run: the report first, then exit code 4", async () => {
    const { text, failure } = await doctor({}, { json: true, provider: "cuda" });
    expect(JSON.parse(text)).toMatchObject({ can_run: false, provider: "cuda" });
    expect(failure).toMatchObject({ code: "PROVIDER_UNAVAILABLE", exitCode: 4, at: "--provider cuda" });
  });

  test("a library that does not load: the rest of the report, then exit code 4", async () => {
    const refused = {
      ok: false,
      code: "RUNTIME_LOAD",
      what: "the file is no shared library",
      remedy: "Give one.",
    } as const;
    const never = async () => {
      throw new Error("must not be tried");
    };
    const probes = { library: async () => refused, provider: never, bandwidth: never };
    const { text, failure } = await doctor(probes, { ortLibrary: "x.so" });
    expect(failure).toMatchObject({ code: "RUNTIME_LOAD", exitCode: 4 });
    expect(unwrapped(text)).toMatch(
      /^Library +given with --ort-library: does not load: the file is no shared library Give one\./,
    );
    expect(text).toMatch(/^Bandwidth +not measured$/m);
    expect(text).toMatch(/^Processor +\S/m);
  });

  test("a provider that nobody knows is wrong usage", async () => {
    expect((await doctor({}, { provider: "tpu" })).failure).toMatchObject({ code: "OPTION_INVALID", exitCode: 2 });
  });

  test("libraries that CUDA lacks are named, each with the command that brings it", async () => {
    const state = { path: null, onDemand: false, reason: "no such file" };
    const cuda = async () => ({
      ok: true as const,
      value: [
        { ...state, name: "libcublas.so.13", found: false },
        { ...state, name: "libcudart.so.13", found: true, path: "/x/nvidia/cu13/lib/libcudart.so.13", reason: null },
        { ...state, name: "libcuda.so.1", found: false },
        { ...state, name: "libcudnn.so.9", found: false, onDemand: true },
      ],
    });
    const { text, failure } = await doctor({ cuda }, { provider: "cuda", json: true });
    expect(failure).toMatchObject({ code: "PROVIDER_UNAVAILABLE", exitCode: 4 });
    expect(failure?.what).toBe("libraries that it is linked against cannot be loaded: libcublas.so.13, libcuda.so.1");
    expect(failure?.remedy).toMatch(/^libcublas\.so\.13: pip install .* nvidia-cublas, .*; libcuda\.so\.1: .*driver/);
    const { libraries } = JSON.parse(text).cuda;
    expect(libraries[3]).toEqual({
      ...{ name: "libcudnn.so.9", found: false, path: null, on_demand: true, reason: "no such file" },
      remedy: expect.stringMatching(/nvidia-cudnn-cu13/),
    });
    const lines = unwrapped((await doctor({ cuda }, { provider: "cuda" })).text);
    expect(lines).toMatch(/^CUDA +libcublas\.so\.13: missing; pip install/m);
    expect(lines).toMatch(/libcudnn\.so\.9: missing \(wanted by some operators alone\)/);
  });

  test("a provider that is not beside the library, or is cut, is said by itself", async () => {
    const without = await doctor({}, { provider: "cuda" });
    expect(without.failure?.what).toMatch(/^there is no libonnxruntime_providers_cuda\.so beside/);
    const answer = { ok: false, code: "RUNTIME_FAILED", what: "it is cut: it has 10 bytes", remedy: "Again." } as const;
    expect((await doctor({ cuda: async () => answer }, { provider: "cuda" })).failure).toMatchObject({
      code: "RUNTIME_FAILED",
      what: answer.what,
    });
  });

  test("memory that could not be measured is not known", async () => {
    const { text, failure } = await doctor({ bandwidth: async () => FAILS });
    expect(failure).toBeNull();
    expect(text).toMatch(/^Bandwidth +not measured$/m);
  });
});

describe.skipIf(LONG)("warnings", () => {
  const QUIET: HostFacts = {
    processor: "Example 9000",
    simd: null,
    cores: { allowed: 4, logical: 4, physical: 4, quota: null },
    caches: null,
    governors: null,
    memory: { totalBytes: 2 ** 33, availableBytes: 2 ** 32, limitBytes: null },
    loadOneMinute: 0.1,
  };
  const codes = (host: Partial<HostFacts>, busy: number | null = 0, threads = 4) =>
    doctorWarnings({ ...QUIET, ...host }, busy, threads).map(({ code }) => code);

  test.each([
    ["none on a quiet machine", codes({}), []],
    ["none where nothing is known", codes({ loadOneMinute: null }, null), []],
    ["other work now", codes({}, 1), ["OTHER_WORK"]],
    ["other work in the last minute, said once", codes({ loadOneMinute: 3 }, 1), ["OTHER_WORK"]],
    ["a load average alone", codes({ loadOneMinute: 3 }), ["OTHER_WORK"]],
    ["a clock that saves power", codes({ governors: ["performance", "powersave"] }), ["CLOCK_GOVERNOR"]],
    ["a clock that does not", codes({ governors: ["performance"] }), []],
    ["more threads than processors", codes({}, 0, 5), ["TOO_MANY_THREADS"]],
    [
      "more threads than a control group allows",
      codes({ cores: { ...QUIET.cores, quota: 1.5 } }),
      ["TOO_MANY_THREADS"],
    ],
  ])("%s", (_what, found, expected) => {
    expect(found).toEqual(expected);
  });

  test("a control group's limit comes with the threads it has time for", () => {
    const [{ message }] = doctorWarnings({ ...QUIET, cores: { ...QUIET.cores, quota: 2.5 } }, 0, 4);
    expect(message).toMatch(/2\.5 cores' worth.*--threads 2$/);
  });
});

describe("each try in a process of its own", () => {
  const program = (source: string) => {
    const path = join(temporaryFolder(), "main.mjs");
    writeFileSync(path, source);
    return path;
  };
  const what = async (source: string, timeoutMs = 20_000) => {
    const answer = await processProbes(undefined, program(source), timeoutMs).provider("cuda");
    return answer.ok ? answer.value : answer.what;
  };

  test.skipIf(LONG)("an answer is handed on, whatever else is printed", async () => {
    const source = `import { writeFileSync } from "node:fs";
      console.log("a driver says hello"); console.error("{");
      const { probe, name } = JSON.parse(process.argv[2]);
      writeFileSync(3, JSON.stringify({ ok: true, value: [probe, name].join(" ") }));`;
    expect(await what(source)).toBe("provider cuda");
  });

  test.skipIf(LONG || process.platform === "win32")("a crash is an answer, too (Windows has no signals)", async () => {
    expect(await what('process.kill(process.pid, "SIGSEGV"); setTimeout(() => {}, 9e3);')).toMatch(/crashed.*SIGSEGV/);
  });

  test.skipIf(LONG)("so is an end without one, and one that never comes", async () => {
    expect(await what("process.exit(9);")).toMatch(/without an answer \(exit code 9\)/);
    expect(await what("setInterval(() => {}, 1000);", 500)).toMatch(/did not answer within 0\.5 s/);
  });

  test("the real one: the CPU runs; what else does not says why, and never crashes this process", async () => {
    const probes = processProbes(undefined, join(dirname(CLI), "cli", "probe-main.js"));
    const library = await probes.library();
    expect(library.ok && library.value.available).toContain("CPUExecutionProvider");
    expect(await probes.provider("cpu")).toEqual({ ok: true, value: 0 });
    for (const name of LONG ? ["cuda", "webgpu"] : []) {
      const answer = await probes.provider(name);
      if (answer.ok) expect(answer.value).toBeLessThan(1e-3);
      else expect(answer.what).not.toBe("");
    }
  });
});

describe.skipIf(LONG)("on the command line", () => {
  test("a library that is none: exit code 4, and --json is one value still", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "sub"));
    writeFileSync(join(folder, "sub", "lib.so"), "text");
    const { code, stdout, stderr } = await draftplan(["doctor", "--json", "--ort-library", "sub/lib.so"], {
      cwd: folder,
    });
    expect(code).toBe(4);
    expect(JSON.parse(stdout)).toMatchObject({ can_run: false, library: { version: null, source: "given" } });
    expect(stderr).toMatch(/error \[RUNTIME_LOAD\].*\n.*no shared library/);
  });

  test.each([
    ["a library that is not there", ["--ort-library", "no/such.so"], /\[RUNTIME_LOAD\] --ort-library no\/such\.so/],
    ["a provider that does not run here", ["--provider", "tensorrt"], /\[PROVIDER_UNAVAILABLE\] --provider tensorrt/],
  ])("generate with %s: refused with exit code 4, and nothing is generated", async (_what, options, text) => {
    const args = ["generate", "embedded", "--prompt", "x", "--max-tokens", "1", ...options];
    const { code, stdout, stderr } = await draftplan(args);
    expect({ code, stdout }).toEqual({ code: 4, stdout: "" });
    expect(stderr).toMatch(text);
    expect(stderr).toMatch(/^ {2}try: {2}\S/m);
  });
});
