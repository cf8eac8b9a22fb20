/** Weights made up from a configuration, and the files they are written to. */
import { existsSync, mkdirSync, readdirSync, statSync, utimesSync, writeFileSync } from "node:fs";
import * as files from "node:fs/promises";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { type Progress, silentProgress } from "../../src/core/progress.js";
import { listCache } from "../../src/model/cache.js";
import { architectureSha256 } from "../../src/model/digest.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint, openConfigOnly } from "../../src/model/open.js";
import type { WeightSource } from "../../src/model/spec.js";
import { withWeightFiles } from "../../src/model/synthetic/files.js";
import { weightSizes } from "../../src/model/synthetic/slice.js";
import { syntheticWeights } from "../../src/model/synthetic/weights.js";
import { openOrtEngine } from "../../src/runtime/ort-engine.js";
import { targetChoices, uniformChoices } from "../../src/schema/choice.js";
import { expectFailure } from "../support/failure.js";
import { TINY_ARCHITECTURES, temporaryFolder, tinySpec, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

vi.mock("node:fs/promises", async (original) => {
  const actual = await original<typeof import("node:fs/promises")>();
  return { ...actual, statfs: vi.fn(actual.statfs) };
});

const SMALLEST_NORMAL = 2 ** -126;
const EMBEDDED_CONFIG = fileURLToPath(new URL("../../models/union-10m/config.json", import.meta.url));

describe("made-up weights", () => {
  const spec = tinySpec({ architecture: "qwen3", layers: 3, hidden: 48, headDim: 16 });
  const all = (source: WeightSource, names = [...expectedTensors(spec)]) =>
    new Map(names.map(([name, shape]) => [name, source.tensor(name, shape)]));

  test("are the same for the same seed, in whatever order they are read, and others for another", () => {
    const forwards = all(syntheticWeights(spec, 7));
    const backwards = all(syntheticWeights(spec, 7), [...expectedTensors(spec)].reverse());
    const other = all(syntheticWeights(spec, 8));
    for (const [name, values] of forwards) {
      expect(values).toEqual(backwards.get(name));
      expect(values).not.toEqual(other.get(name));
    }
  });

  test("differ between layers, so that none stays in a cache for another", () => {
    const source = syntheticWeights(spec);
    const name = (layer: number) => `model.layers.${layer}.mlp.down_proj.weight`;
    const shape = [48, 64];
    expect(source.tensor(name(0), shape)).not.toEqual(source.tensor(name(1), shape));
  });

  test("are never zero and never subnormal; a matrix has variance 1 / inputs, a norm lies around 1", () => {
    for (const [name, values] of all(syntheticWeights(spec))) {
      expect(Math.min(...values.map(Math.abs))).toBeGreaterThan(SMALLEST_NORMAL);
      const shape = expectedTensors(spec).get(name) ?? [];
      if (name.endsWith("norm.weight")) {
        expect(Math.min(...values)).toBeGreaterThanOrEqual(0.9);
        expect(Math.max(...values)).toBeLessThanOrEqual(1.1);
      } else if (shape.length === 2 && values.length > 1000) {
        const variance = values.reduce((sum, v) => sum + v * v, 0) / values.length;
        expect(Math.abs(variance * shape[1] - 1)).toBeLessThan(0.1); // 1000 values: a standard error of 3 %
      }
    }
  });
});

describe("the architecture of a configuration is that of the checkpoint it belongs to", () => {
  test("of the embedded model", async () => {
    const checkpoint = await openCheckpoint("embedded");
    checkpoint.close();
    expect(architectureSha256(openConfigOnly(EMBEDDED_CONFIG))).toBe(checkpoint.architectureSha256);
  });

  test.each(TINY_ARCHITECTURES)("of a tiny %s", async (architecture) => {
    const folder = writeTinyCheckpoint(temporaryFolder(), { architecture, slidingWindow: null });
    const checkpoint = await openCheckpoint(folder);
    checkpoint.close();
    expect(architectureSha256(openConfigOnly(join(folder, "config.json")))).toBe(checkpoint.architectureSha256);
  });
});

describe("made-up weights on disk", () => {
  const spec = tinySpec({ layers: 3, headDim: 16, vocab: 300, context: 128 });
  const { total } = weightSizes(spec);
  let root: string;
  beforeEach(() => {
    root = join(temporaryFolder(), "cache");
    vi.stubEnv("DRAFTPLAN_CACHE_DIR", root);
  });
  afterEach(() => {
    vi.unstubAllEnvs();
    vi.mocked(files.statfs).mockRestore();
  });
  const left = () => (existsSync(root) ? readdirSync(root) : []);
  const run = <T>(use: (path: string) => Promise<T>, progress: Progress = silentProgress, bytes = total) =>
    withWeightFiles(syntheticWeights(spec), bytes, { progress }, use);

  test("are there while they are used, and gone afterwards; the cache lists no model", async () => {
    const seen = await run(async (path) => {
      expect(listCache()).toEqual([]);
      return readdirSync(dirname(path)).sort();
    });
    expect(seen).toEqual(["manifest.json", "model.onnx", "weights.bin"]);
    expect(left()).toEqual([]);
  });

  test("take what was said before, to the page", async () => {
    const bytes = await run(async (path) => statSync(join(dirname(path), "weights.bin")).size);
    expect(bytes).toBeGreaterThanOrEqual(total);
    expect(bytes).toBeLessThan(total + 4096 * 40 * spec.layers);
  });

  test.each(TINY_ARCHITECTURES)(
    "run: a %s of them computes finite numbers that are not subnormal",
    async (architecture) => {
      const tiny = tinySpec({ architecture, layers: 2, headDim: 16, context: 64 });
      await withWeightFiles(
        syntheticWeights(tiny),
        weightSizes(tiny).total,
        { progress: silentProgress },
        async (path) => {
          const engine = openOrtEngine(path, tiny, { provider: "cpu", threads: 1, capacity: 64 });
          try {
            for (const choices of [targetChoices(2), uniformChoices(2, "int8")]) {
              const { hidden, logits } = engine.run({ position: 0, input: [1, 2, 3, 4], choices, logitRows: 4 });
              for (const values of [hidden, logits]) {
                expect(values.every((v) => Number.isFinite(v) && Math.abs(v) > SMALLEST_NORMAL)).toBe(true);
                expect(Math.max(...values.map(Math.abs))).toBeLessThan(100);
              }
            }
          } finally {
            engine.close();
          }
        },
      );
    },
  );

  test("are gone when their use fails", async () => {
    await expect(run(() => Promise.reject(new Error("no good")))).rejects.toThrow("no good");
    expect(left()).toEqual([]);
  });

  test.each([1, 9, 30])("are gone when their making is interrupted at tick %i", async (nth) => {
    let ticks = 0;
    const progress = {
      ...silentProgress,
      async tick() {
        if (++ticks === nth) throw new Error("interrupted");
      },
    };
    await expect(run(async () => "used", progress)).rejects.toThrow("interrupted");
    expect({ ticks, left: left() }).toEqual({ ticks: nth, left: [] });
  });

  test("are made one tensor at a time: the next is asked for when the last has been written", async () => {
    const source = syntheticWeights(spec);
    const asked: number[] = [];
    const watched: WeightSource = {
      spec,
      tensor(name, shape) {
        const [partial] = left();
        const file = join(root, partial ?? "", "weights.bin");
        asked.push(existsSync(file) ? statSync(file).size : 0);
        return source.tensor(name, shape);
      },
    };
    await withWeightFiles(watched, total, { progress: silentProgress }, async () => {});
    expect(asked.length).toBe(expectedTensors(spec).size);
    expect(new Set(asked).size).toBeGreaterThan(4 * spec.layers); // q, k, v and gate, up are one matrix in the graph
  });

  test("are not begun where the disk has no room for them: nothing is written", async () => {
    vi.mocked(files.statfs).mockResolvedValue({ bavail: 1000, bsize: 1024 } as never);
    const use = vi.fn(async () => {});
    await expectFailure(
      () => run(use, silentProgress, 40 * 2 ** 30),
      "FILE_UNWRITABLE",
      /40\.8 GiB.*0\.0 GiB are free/,
    );
    expect(use).not.toHaveBeenCalled();
    expect(left()).toEqual([]);
  });

  test("are made all the same where the file system does not tell its free space", async () => {
    vi.mocked(files.statfs).mockRejectedValue(new Error("ENOSYS"));
    expect(await run(async () => "used")).toBe("used");
  });

  test("what a killed process left of them is removed by the next", async () => {
    const abandoned = join(root, `.partial-${2 ** 22 + 1}-x`);
    mkdirSync(abandoned, { recursive: true });
    writeFileSync(join(abandoned, "weights.bin"), "1");
    for (const path of [join(abandoned, "weights.bin"), abandoned]) utimesSync(path, 1, 1);
    await run(async () => {});
    expect(left()).toEqual([]);
  });
});
