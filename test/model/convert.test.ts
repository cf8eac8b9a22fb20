import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { userInfo } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { cacheFolder, clearCache, listCache, listHalfMade } from "../../src/model/cache.js";
import { convertModel } from "../../src/model/convert.js";
import { openCheckpoint } from "../../src/model/open.js";
import type { Checkpoint } from "../../src/model/spec.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

let root: string;
beforeEach(() => {
  root = join(temporaryFolder(), "cache", "draftplan");
  vi.stubEnv("DRAFTPLAN_CACHE_DIR", root);
});
afterEach(() => {
  vi.unstubAllEnvs();
});

const tiny = (seed = 1): Promise<Checkpoint> =>
  openCheckpoint(writeTinyCheckpoint(temporaryFolder(), { headDim: 16, seed }));

/** A checkpoint that counts what is read of it, or does something at the n-th tensor. */
const watched = (checkpoint: Checkpoint, onTensor: (count: number) => void): Checkpoint => {
  let count = 0;
  return {
    ...checkpoint,
    tensor(name, shape) {
      onTensor(++count);
      return checkpoint.tensor(name, shape);
    },
  };
};

/** name -> bytes and time of every file below the cache */
function contents(folder = root): Record<string, [number, number]> {
  if (!existsSync(folder)) return {};
  const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile());
  return Object.fromEntries(
    files.map((entry) => {
      const path = join(entry.parentPath, entry.name);
      const { size, mtimeMs } = statSync(path);
      return [path, [size, mtimeMs]];
    }),
  );
}

const remove = (path: string): void => rmSync(path, { recursive: true });
const folders = () => (existsSync(root) ? readdirSync(root) : []);

describe("a conversion", () => {
  test("leaves a model, its weights and a manifest with their sizes", async () => {
    const { modelPath, weightBytes } = await convertModel(await tiny());
    const [entry] = listCache();
    expect(modelPath).toBe(join(entry.folder, "model.onnx"));
    expect(readdirSync(entry.folder).sort()).toEqual(["manifest.json", "model.onnx", "weights.bin"]);
    const sizes = { "model.onnx": statSync(modelPath).size, "weights.bin": weightBytes };
    expect(statSync(join(entry.folder, "weights.bin")).size).toBe(weightBytes);
    expect(JSON.parse(readFileSync(join(entry.folder, "manifest.json"), "utf8"))).toEqual({ ...sizes, ...entry.label });
    expect(folders()).toEqual([entry.key]);
  });

  test("is done once: the second reads no tensor and writes no file", async () => {
    const checkpoint = await tiny();
    const first = await convertModel(checkpoint);
    const before = contents();
    const again = await convertModel(
      watched(checkpoint, () => {
        throw new Error("read again");
      }),
    );
    expect(again).toEqual(first);
    expect(contents()).toEqual(before);
  });

  test("of other weights, or of another architecture with the same weights, is another entry", async () => {
    const checkpoint = await tiny(1);
    const paths = new Set<string>();
    for (const each of [checkpoint, await tiny(2), { ...checkpoint, architectureSha256: "0".repeat(64) }]) {
      paths.add((await convertModel(each)).modelPath);
    }
    expect(paths.size).toBe(3);
    expect(listCache().length).toBe(3);
  });

  test("of the same weights from another folder is the same entry, and the same bytes wherever it is made", async () => {
    const { modelPath } = await convertModel(await tiny());
    expect((await convertModel(await tiny())).modelPath).toBe(modelPath);
    vi.stubEnv("DRAFTPLAN_CACHE_DIR", join(root, "elsewhere"));
    const other = (await convertModel(await tiny())).modelPath;
    expect(other).not.toBe(modelPath);
    for (const file of ["model.onnx", "weights.bin"]) {
      expect(readFileSync(join(other, "..", file)).equals(readFileSync(join(modelPath, "..", file))), file).toBe(true);
    }
  });

  test("reports progress of its blocks, in order", async () => {
    const seen: { stage?: string; done?: number; total?: number }[] = [];
    await convertModel(await tiny(), {
      tick: async (update) => void (update?.done !== undefined && seen.push(update)),
      warn: () => {},
    });
    expect(seen).toEqual([0, 2].map((done) => ({ stage: "convert", done, total: 4 })));
  });
});

describe("a conversion that does not end well leaves nothing, and the next one succeeds", () => {
  test.each([1, 2, 7, 20])("tensor %i cannot be read", async (nth) => {
    const checkpoint = await tiny();
    const failing = watched(checkpoint, (count) => {
      if (count === nth) throw new Error("bad sector");
    });
    await expect(convertModel(failing)).rejects.toThrow("bad sector");
    expect(folders()).toEqual([]);
    expect(existsSync((await convertModel(checkpoint)).modelPath)).toBe(true);
  });

  test.each([1, 5, 30])("interrupted at tick %i", async (nth) => {
    const checkpoint = await tiny();
    const reason = new Error("stop");
    let ticks = 0;
    const progress = { tick: async () => (++ticks === nth ? Promise.reject(reason) : undefined), warn: () => {} };
    await expect(convertModel(checkpoint, progress)).rejects.toBe(reason);
    expect(folders()).toEqual([]);
    await convertModel(checkpoint);
  });

  test("the cache is deleted meanwhile", async () => {
    const checkpoint = await tiny();
    const robbed = watched(checkpoint, (count) => {
      if (count === 5) for (const name of folders()) remove(join(root, name));
    });
    await expectFailure(() => convertModel(robbed), "FILE_UNWRITABLE", root);
    await convertModel(checkpoint);
  });
});

describe("an entry that was damaged is made again", () => {
  const damages: [string, (folder: string) => void][] = [
    ["weights cut", (folder) => truncateSync(join(folder, "weights.bin"), 5000)],
    ["weights of nothing", (folder) => truncateSync(join(folder, "weights.bin"))],
    ["weights gone", (folder) => remove(join(folder, "weights.bin"))],
    ["model cut", (folder) => truncateSync(join(folder, "model.onnx"), 10)],
    ["manifest gone", (folder) => remove(join(folder, "manifest.json"))],
    ["manifest cut", (folder) => truncateSync(join(folder, "manifest.json"), 9)],
    ...["{}", "null", "[]", "7", '{"model.onnx": 1}', "\u0000\u0000"].map(
      (text): [string, (folder: string) => void] => [
        `manifest of ${JSON.stringify(text)}`,
        (folder) => writeFileSync(join(folder, "manifest.json"), text),
      ],
    ),
    [
      "a file in its place",
      (folder) => {
        remove(folder);
        writeFileSync(folder, "");
      },
    ],
    [
      "an empty folder",
      (folder) => {
        remove(folder);
        mkdirSync(folder);
      },
    ],
  ];

  test.each(damages)("%s", async (_what, damage) => {
    const checkpoint = await tiny();
    const { modelPath, weightBytes } = await convertModel(checkpoint);
    const sizes = Object.entries(contents()).map(([path, [size]]) => [path, size]);
    damage(join(modelPath, ".."));
    expect(await convertModel(checkpoint)).toEqual({ modelPath, weightBytes });
    expect(Object.entries(contents()).map(([path, [size]]) => [path, size])).toEqual(sizes);
    expect(folders().length).toBe(1);
  });

  test("by several at once", async () => {
    const checkpoint = await tiny();
    const { modelPath } = await convertModel(checkpoint);
    truncateSync(join(modelPath, "..", "weights.bin"), 100);
    const results = await Promise.all([1, 2, 3].map(() => convertModel(checkpoint)));
    expect(new Set(results.map((r) => r.modelPath))).toEqual(new Set([modelPath]));
    expect(folders().length).toBe(1);
  });
});

test("several conversions of one model at once all succeed, and one entry is left", async () => {
  const checkpoint = await tiny();
  const results = await Promise.all([1, 2, 3, 4].map(() => convertModel(checkpoint)));
  expect(new Set(results.map((r) => JSON.stringify(r))).size).toBe(1);
  expect(folders().length).toBe(1);
  expect(statSync(join(results[0].modelPath, "..", "weights.bin")).size).toBe(results[0].weightBytes);
});

describe("a cache that cannot be written", () => {
  test.each([
    ["a file where its parent should be", (file: string) => join(file, "cache")],
    ["a file in its place", (file: string) => file],
    ["a name no file system takes", (file: string) => join(file, "..", "x".repeat(300))],
  ])("%s", async (_what, place) => {
    const file = join(temporaryFolder(), "file");
    writeFileSync(file, "mine");
    vi.stubEnv("DRAFTPLAN_CACHE_DIR", place(file));
    await expectFailure(async () => convertModel(await tiny()), "FILE_UNWRITABLE", /could not be written/);
    expect(readFileSync(file, "utf8")).toBe("mine");
    expect(listCache()).toEqual([]);
    expect(clearCache()).toBe(0);
  });
});

describe("the cache", () => {
  const GONE = 2 ** 22 + 1; // above every process number Linux gives
  const partial = (pid: number, ageMs: number) => {
    const folder = join(root, `.partial-${pid}-${"0".repeat(8)}`);
    mkdirSync(folder, { recursive: true });
    writeFileSync(join(folder, "weights.bin"), "12345");
    const at = (Date.now() - ageMs) / 1000;
    for (const path of [join(folder, "weights.bin"), folder]) utimesSync(path, at, at);
    return folder;
  };
  const HOUR = 3_600_000;

  test("lists entries with their bytes, and clearing frees just those", async () => {
    expect(listCache()).toEqual([]);
    expect(clearCache()).toBe(0);
    await convertModel(await tiny(1));
    await convertModel(await tiny(2));
    const bytes = Object.values(contents()).reduce((sum, [size]) => sum + size, 0);
    const entries = listCache();
    expect(entries.length).toBe(2);
    expect(entries.reduce((sum, entry) => sum + entry.bytes, 0)).toBe(bytes);
    expect(clearCache()).toBe(bytes);
    expect(listCache()).toEqual([]);
    expect(folders()).toEqual([]);
    await convertModel(await tiny(1));
  });

  test("says of an entry its model, its kernels, and when it was last loaded; the last used is first", async () => {
    const [one, other] = [await tiny(1), await tiny(2)];
    one.spec.name = "first";
    other.spec.name = "second";
    await convertModel(one, undefined, ["target"]);
    await convertModel(other);
    for (const [i, { folder }] of listCache().entries()) utimesSync(folder, 1000 + i, 1000 + i);
    await convertModel(one, undefined, ["target"]);
    const [latest, before] = listCache();
    expect(latest.label).toEqual({ model: "first", kernels: "fp32" });
    expect(Math.abs(latest.usedMs - Date.now())).toBeLessThan(60_000);
    expect(before.label).toEqual({ model: "second", kernels: "fp32 int8" });
    expect(before.usedMs).toBeLessThan(1_100_000);
  });

  test("an entry of an earlier build, or with a manifest of anything, has no label", async () => {
    await convertModel(await tiny());
    const [{ folder }] = listCache();
    for (const text of ["{}", "null", '{"model": 7, "kernels": []}', "\u0000", '{"model.onnx": 1, "weights.bin": 2}']) {
      writeFileSync(join(folder, "manifest.json"), text);
      expect(listCache()[0].label).toBeNull();
    }
  });

  test("counts conversions that are going on, and those that were left behind", () => {
    const [left, running] = [partial(GONE, 0), partial(process.pid, 0)];
    const found = listHalfMade().sort((a, b) => Number(a.running) - Number(b.running));
    expect(found).toEqual([
      { folder: left, bytes: 5, running: false },
      { folder: running, bytes: 5, running: true },
    ]);
  });

  test("what is not draftplan's is neither listed nor deleted: the folder may be a home", async () => {
    await convertModel(await tiny());
    mkdirSync(join(root, "photos"));
    writeFileSync(join(root, "photos", "1.jpg"), "");
    writeFileSync(join(root, "a".repeat(40)), "a file with an entry's name");
    expect(listCache().length).toBe(1);
    clearCache();
    expect(folders().sort()).toEqual(["a".repeat(40), "photos"]);
    expect(existsSync(join(root, "photos", "1.jpg"))).toBe(true);
  });

  test("the next conversion removes what a killed one left, but nothing young or of a running process", async () => {
    const abandoned = partial(GONE, HOUR);
    const young = partial(GONE + 1, 0);
    const running = partial(process.ppid, HOUR);
    await convertModel(await tiny());
    expect([abandoned, young, running].map((folder) => existsSync(folder))).toEqual([false, true, true]);
  });

  test("clearing removes what a killed conversion left, however young, and spares a running one", () => {
    const young = partial(GONE, 0);
    const running = partial(process.pid, HOUR);
    expect(listCache()).toEqual([]); // neither is a converted model
    expect(clearCache()).toBe(5);
    expect([young, running].map((folder) => existsSync(folder))).toEqual([false, true]);
  });

  // XDG Base Directory Specification: what is relative or empty does not count
  test.skipIf(["darwin", "win32"].includes(process.platform)).each([
    ["/x", "/h", "/x/draftplan"],
    ["", "/h", "/h/.cache/draftplan"],
    ["rel/cache", "/h", "/h/.cache/draftplan"],
    [".", "/h", "/h/.cache/draftplan"],
    ["", "", join(userInfo().homedir, ".cache", "draftplan")],
    ["rel", "home", join(userInfo().homedir, ".cache", "draftplan")],
  ])("with XDG_CACHE_HOME=%s and HOME=%s lies in %s", (xdg, home, folder) => {
    vi.stubEnv("DRAFTPLAN_CACHE_DIR", "");
    vi.stubEnv("XDG_CACHE_HOME", xdg);
    vi.stubEnv("HOME", home);
    expect(cacheFolder()).toBe(folder);
  });

  test("an empty DRAFTPLAN_CACHE_DIR counts as none", () => {
    vi.stubEnv("DRAFTPLAN_CACHE_DIR", "");
    expect(cacheFolder()).toMatch(/draftplan/);
  });
});
