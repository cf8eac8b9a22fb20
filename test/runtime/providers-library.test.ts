/** --ort-library: what is refused before it is loaded, and a second library that is. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, test } from "vitest";
import { convertInto } from "../../src/model/convert.js";
import { syntheticWeights } from "../../src/model/synthetic/weights.js";
import { describeDevice, describeProcessor, nvidiaModels, parseNvidiaModel } from "../../src/runtime/device.js";
import { checkLibraryFile, libraryFormat } from "../../src/runtime/library-file.js";
import { bundledLibraryPath, loadOrt, minorVersion, type Pointer } from "../../src/runtime/ort-api.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import { openEnvironment } from "../../src/runtime/threads/pool.js";
import { targetChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder, tinySpec } from "../support/tiny-checkpoint.js";

const SPEC = tinySpec({ seed: 31, headDim: 16 });

/** The first bytes of a library, as the formats lay them down. */
function head(format: "elf" | "pe" | "mach-o" | "universal", machine: number): Uint8Array {
  const bytes = new Uint8Array(256);
  const view = new DataView(bytes.buffer);
  if (format === "elf") {
    bytes.set([0x7f, 0x45, 0x4c, 0x46, 2, 1]);
    view.setUint16(18, machine, true);
  } else if (format === "pe") {
    bytes.set([0x4d, 0x5a]);
    view.setUint32(60, 128, true);
    bytes.set([0x50, 0x45, 0, 0], 128);
    view.setUint16(132, machine, true);
  } else if (format === "mach-o") {
    view.setUint32(0, 0xfeedfacf, true);
    view.setUint32(4, machine, true);
  } else view.setUint32(0, 0xcafebabe);
  return bytes;
}

describe("what a file is", () => {
  test.each([
    ["elf", 62, "x64"],
    ["elf", 183, "arm64"],
    ["pe", 0x8664, "x64"],
    ["pe", 0xaa64, "arm64"],
    ["mach-o", 0x0100000c, "arm64"],
    ["elf", 22, "machine 0x16"],
  ] as const)("%s for machine %i", (format, machine, arch) => {
    expect(libraryFormat(head(format, machine))).toEqual({ format, arch });
  });

  test.each([
    ["text", new TextEncoder().encode("version https://git-lfs.github.com/spec/v1\n")],
    ["nothing", new Uint8Array(0)],
    ["a cut ELF", head("elf", 62).subarray(0, 10)],
    ["a DOS program whose header points outside", head("pe", 0x8664).subarray(0, 100)],
  ])("%s is no library", (_what, bytes) => {
    expect(libraryFormat(bytes)).toEqual({ format: "none" });
  });

  test("a real one is what this process runs on", () => {
    expect(() => checkLibraryFile(bundledLibraryPath(), "here")).not.toThrow();
  });
});

describe("refused with RUNTIME_LOAD", () => {
  const folder = temporaryFolder();
  const file = (name: string, bytes: Uint8Array | string) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };

  test.each([
    ["a path that leads nowhere", join(folder, "no.so"), /no such file/],
    ["a folder", folder, /not a file/],
    ["a text", file("text.so", "not a library"), /no shared library/],
    ["a library for another processor", file("arm.so", head("elf", 183)), /Linux arm64.*linux x64/],
    ["a library for another system", file("win.dll", head("pe", 0x8664)), /Windows x64.*linux x64/],
    ["a library for two processors of another system", file("mac.dylib", head("universal", 0)), /macOS.*linux x64/],
  ])("%s", async (_what, path, text) => {
    await expectFailure(() => checkLibraryFile(path, "--ort-library x", "linux", "x64"), "RUNTIME_LOAD", text);
  });

  test("a file that only looks like a library: the loader's own message", async () => {
    await expectFailure(() => loadOrt(process.execPath), "RUNTIME_LOAD", /--ort-library/);
  });
});

test.each([
  ["1.30.0", 30],
  ["1.24.0-dev", 24],
  ["2.0.0", undefined],
  ["nightly", undefined],
])("version %s", (version, minor) => {
  expect(minorVersion(version)).toBe(minor);
});

describe.skipIf(process.platform === "win32")("a second library in one process (needs symbolic links)", () => {
  let other: string;
  let modelPath: string;
  beforeAll(async () => {
    const folder = join(temporaryFolder(), "größe");
    mkdirSync(folder);
    other = join(folder, "another.so");
    symlinkSync(bundledLibraryPath(), other);
    ({ modelPath } = await convertInto(join(folder, "model"), syntheticWeights(SPEC)));
  });

  test("runs a model as the bundled one does, and its version is recorded, not its path", () => {
    const options = { provider: "cpu", threads: 1, capacity: 16 };
    const logits = (ortLibrary?: string) => {
      const engine = openOrtEngine(modelPath, SPEC, { ...options, ortLibrary });
      const { logits } = engine.run({ position: 0, input: [1, 2], choices: targetChoices(SPEC.layers), logitRows: 2 });
      const copy = [...logits];
      engine.close();
      return copy;
    };
    expect(logits(other)).toEqual(logits());
    const device = describeDevice("cpu", 1, other);
    expect(device.runtime).toBe(`onnxruntime ${loadOrt().version}`);
    expect(JSON.stringify(device)).not.toContain("another");
  });

  test("is loaded once, and kept apart from the bundled one", () => {
    expect(loadOrt(other)).toBe(loadOrt(other));
    expect(loadOrt(other)).not.toBe(loadOrt());
    expect(loadOrt(other).availableProviders()).toEqual(loadOrt().availableProviders());
  });

  test("says where every input and operator of draftplan's graph is: on the CPU, nested ones included", () => {
    const api = loadOrt(other);
    const open: [Parameters<typeof api.release>[0], Pointer][] = [];
    const own = (release: Parameters<typeof api.release>[0], handle: Pointer) => {
      open.unshift([release, handle]);
      return handle;
    };
    const env = openEnvironment(api, own, 1);
    const settings = own("ReleaseSessionOptions", api.create("CreateSessionOptions"));
    api.check("AddSessionConfigEntry", settings, "session.record_ep_graph_assignment_info", "1");
    const path = Buffer.from(`${modelPath}\0`);
    const session = own("ReleaseSession", api.create("CreateSession", env, path, settings));
    const memory = api.placement?.inputMemory(session) ?? new Map();
    const nodes = api.placement?.assignments(session) ?? [];
    for (const [release, handle] of open) api.release(release, handle);
    expect(memory.get("input_ids")).toBe("Cpu");
    expect(memory.get("past.0.key")).toBe("Cpu");
    expect(new Set(nodes.map(({ provider }) => provider))).toEqual(new Set(["CPUExecutionProvider"]));
    // in each of two layers: in the branch of the int8 kernel, and in the target's for chains, for trees and with heads folded
    expect(nodes.filter(({ operator }) => operator === "GroupQueryAttention")).toHaveLength(4 * SPEC.layers);
  });
});

describe("the device of a GPU", () => {
  test("is the GPU's model, where the driver names it", () => {
    const root = temporaryFolder();
    mkdirSync(join(root, "0000:01:00.0"));
    writeFileSync(join(root, "0000:01:00.0", "information"), "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 120\n");
    expect(describeProcessor(true, "AMD EPYC", nvidiaModels(root))).toBe("NVIDIA H100 80GB HBM3 with AMD EPYC");
  });

  test("is said to be unknown where it does not, and the CPU's is the CPU's own", () => {
    expect(nvidiaModels(join(temporaryFolder(), "none"))).toEqual([]);
    expect(parseNvidiaModel("IRQ: 1\n")).toBeUndefined();
    expect(describeProcessor(true, "AMD EPYC", [])).toBe("GPU of unknown model with AMD EPYC");
    expect(describeProcessor(false, "AMD EPYC", ["NVIDIA H100"])).toBe("AMD EPYC");
  });
});
