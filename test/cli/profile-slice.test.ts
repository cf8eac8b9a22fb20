/** A configuration that memory cannot hold: a slice is made up, measured for real, and scaled to the whole model. */
import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, test, vi } from "vitest";
import { architectureSha256 } from "../../src/model/digest.js";
import { openCheckpoint, openConfigOnly } from "../../src/model/open.js";
import { memoryNeeded } from "../../src/model/synthetic/slice.js";
import { originLines } from "../../src/output/profile-tables.js";
import { makeProfile } from "../../src/pipeline/profile/make.js";
import { type MachineRoom, profileSynthetic } from "../../src/pipeline/profile/synthetic.js";
import type { Engine } from "../../src/runtime/engine.js";
import type { ModelRef } from "../../src/schema/common.js";
import { Profile } from "../../src/schema/profile.js";
import { planDocument } from "../../src/solve/index.js";
import { LAYERS, makeCalibration } from "../support/documents.js";
import { temporaryFolder, tinyConfig, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const TINY = { layers: LAYERS, headDim: 16, hidden: 64, intermediate: 256, vocab: 6000, tied: false } as const;
const GRID = { contexts: [16], queries: [1, 2], queryLine: [1, 2], capacity: 128 };
/** Memory that holds the slice and not the whole, and a cache that two layers are larger than. */
const whole = memoryNeeded({ ...tinySpec(TINY), contextLimit: GRID.capacity }, GRID.capacity);
const SHORT: MachineRoom = { memoryBytes: whole - 1000, cacheBytes: 1 };

let cache: string;
let warnings: string[];
beforeEach(() => {
  cache = temporaryFolder();
  vi.stubEnv("DRAFTPLAN_CACHE_DIR", cache);
  warnings = [];
});

function configFile(): string {
  const folder = join(temporaryFolder(), "tiny");
  mkdirSync(folder);
  writeFileSync(join(folder, "config.json"), JSON.stringify(tinyConfig(TINY)));
  return join(folder, "config.json");
}

const context = () => ({
  ...{ provider: "cpu", threads: 1 },
  progress: {
    tick: async () => {},
    warn: (code: string, message: string) => void warnings.push(`${code}: ${message}`),
  },
});
const make = (room: MachineRoom, seen: Engine[] = []) =>
  profileSynthetic(
    configFile(),
    room,
    {
      prepare: () => GRID,
      measure: (engine: Engine, ref: ModelRef) => {
        seen.push(engine);
        return makeProfile(engine, ref, GRID, context(), { minRounds: 2, maxRounds: 2 });
      },
    },
    context(),
  );

describe("a slice", () => {
  test("of two layers and their share of the head becomes a valid profile of all, which says so", async () => {
    const engines: Engine[] = [];
    const profile = await make(SHORT, engines);
    const [{ spec }] = engines;
    expect({ layers: spec.layers, rows: spec.vocabSize }).toEqual({ layers: 2, rows: 4096 });
    expect(Profile.safeParse(profile).error).toBeUndefined();
    expect(profile.model).toEqual({
      ...{ name: "tiny", layers: LAYERS, weights_sha256: null },
      architecture_sha256: architectureSha256(openConfigOnly(configFile())),
    });
    expect(profile.scaled).toEqual({
      ...{ layers_measured: 2, layers: LAYERS, vocabulary_measured: 4096, vocabulary: 6000 },
      ...{ weight_bytes: expect.any(Number), cache_bytes: 1, memory_bytes: SHORT.memoryBytes },
    });
    for (const point of profile.points) expect(point.attn_us.target?.length).toBe(LAYERS);
    expect(warnings.filter((line) => line.startsWith("SLICE_SCALED"))).toEqual([
      expect.stringMatching(/^SLICE_SCALED: 2 of 3 layers and 4096 of 6000 rows of the head are measured/),
    ]);
    expect(originLines(profile).join("\n")).toMatch(/2 of 3 layers and 4096 of 6000 rows of the head were measured/);
    expect(readdirSync(cache)).toEqual([]);
  });

  test("joins a calibration of the real model, whose weights it never saw", async () => {
    const profile = await make(SHORT);
    const checkpoint = await openCheckpoint(writeTinyCheckpoint(join(temporaryFolder(), "real"), TINY));
    checkpoint.close();
    const { architectureSha256: architecture_sha256, weightsSha256: weights_sha256 } = checkpoint;
    const model = { name: "real", layers: LAYERS, architecture_sha256, weights_sha256 };
    const calibration = { ...makeCalibration(), model };
    const input = { path: "x.yaml", sha256: "a".repeat(64) };
    const plan = planDocument(
      { profile, calibration, choices: ["int8", "skip"] },
      { profile: input, calibration: input },
    );
    expect(plan.model).toEqual(model);
  });

  test("is closed and its weights are gone where measuring fails", async () => {
    const close = vi.fn();
    const failing = profileSynthetic(
      configFile(),
      SHORT,
      {
        prepare: () => GRID,
        measure: async (engine) => {
          const release = engine.close.bind(engine);
          engine.close = () => {
            close();
            release();
          };
          throw new Error("no good");
        },
      },
      context(),
    );
    await expect(failing).rejects.toThrow("no good");
    expect(close).toHaveBeenCalledOnce();
    expect(readdirSync(cache)).toEqual([]);
  });
});

describe("where memory holds it, the whole model", () => {
  test.each([
    ["just so", whole],
    ["with room to spare", 10 * whole],
  ])("is measured, %s: nothing is scaled and nothing warned of", async (_how, memoryBytes) => {
    const engines: Engine[] = [];
    const profile = await make({ memoryBytes, cacheBytes: null }, engines);
    expect(engines[0].spec.layers).toBe(LAYERS);
    expect(profile.scaled).toBeUndefined();
    expect(profile.synthetic?.seed).toBe(1);
    expect(warnings.filter((line) => line.startsWith("SLICE_SCALED"))).toEqual([]);
    expect(originLines(profile)).toEqual(["made-up weights: latency does not depend on their values"]);
  });
});
