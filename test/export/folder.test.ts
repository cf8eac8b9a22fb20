/** An export's folder is there whole or not at all: on a full disk, after a short write, interrupted, beside mounts. */
import fs from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { writeSafetensors } from "../../src/export/checkpoint/safetensors.js";
import { type OutputFolder, requireEmptyFolder, withOutputFolder } from "../../src/export/folder.js";
import { openSafetensors } from "../../src/model/formats/safetensors.js";
import { expectFailure } from "../support/failure.js";
import { disk, failing, real, restoredAfterEach, system } from "../support/file-system.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

restoredAfterEach();

const BYTES = Uint8Array.from({ length: 5000 }, (_, i) => i % 251);

async function fill(folder: OutputFolder): Promise<void> {
  await folder.stream("deep/weights.bin", async (sink) => {
    for (let from = 0; from < BYTES.length; from += 1000) sink.write(BYTES.subarray(from, from + 1000));
  });
  folder.text("README.md", "é".repeat(500));
  folder.copy("license.txt", import.meta.filename);
  folder.text("export.yaml", "kind: test\n");
}

const written = (place: string) => fs.readdirSync(place, { recursive: true, encoding: "utf8" }).sort();

test("all of it is there, to the byte, where the system takes a little at a time", async () => {
  const place = join(temporaryFolder(), "a", "b");
  system({ writeSync: disk(7, Number.POSITIVE_INFINITY) });
  await withOutputFolder(place, 0, silentProgress, fill);
  expect(written(place)).toEqual(["README.md", "deep", join("deep", "weights.bin"), "export.yaml", "license.txt"]);
  expect(new Uint8Array(fs.readFileSync(join(place, "deep", "weights.bin")))).toEqual(BYTES);
  expect(fs.readFileSync(join(place, "README.md"), "utf8")).toBe("é".repeat(500));
});

describe("nothing is left, not even the folders above, where", () => {
  test.each([
    ["the disk is full in the middle of the weights", { writeSync: disk(900, 3300) }],
    ["it is full when the text comes", { writeSync: disk(4096, 5200) }],
    ["the system takes nothing, and says nothing", { writeSync: () => 0 }],
    ["bytes that were taken do not come to the disk", { fsyncSync: failing("EIO") }],
    ["more bytes are claimed than came", { writeSync: (_: number, __: unknown, ___: number, count: number) => count }],
    ["a copy finds the disk full", { copyFileSync: failing("ENOSPC") }],
    ["the folder cannot be put into its place", { renameSync: failing("EIO") }],
  ])("%s", async (_, answers) => {
    const above = temporaryFolder();
    system(answers);
    await expectFailure(
      () => withOutputFolder(join(above, "new", "deep"), 0, silentProgress, fill),
      "FILE_UNWRITABLE",
      /could not be written/,
    );
    expect(fs.readdirSync(above)).toEqual([]);
  });

  test("there is no room for what is known to be written: nothing is begun", async () => {
    const above = temporaryFolder();
    system({ statfsSync: () => ({ bavail: 1000, bsize: 1024 }) });
    let begun = false;
    const begin = async () => {
      begun = true;
    };
    await expectFailure(
      () => withOutputFolder(join(above, "new"), 1_024_001, silentProgress, begin),
      "FILE_UNWRITABLE",
      /the export takes 1 MiB, and 1 MiB are free there/,
    );
    expect({ begun, left: fs.readdirSync(above) }).toEqual({ begun: false, left: [] });
    await withOutputFolder(join(above, "new"), 1_024_000, silentProgress, fill); // as much as is free
    expect(written(join(above, "new"))).toContain("export.yaml");
  });

  test("it is interrupted between any two steps; an empty folder that was there stays, empty", async () => {
    const steps = await countTicks(join(temporaryFolder(), "whole"));
    expect(steps).toBeGreaterThan(2);
    for (let stop = 1; stop <= steps; stop++) {
      const above = temporaryFolder();
      const place = join(above, "place");
      fs.mkdirSync(place);
      let tick = 0;
      const interrupted = new Error("SIGINT");
      const progress = {
        ...silentProgress,
        tick: async () => {
          if (++tick === stop) throw interrupted;
        },
      };
      await expect(withOutputFolder(place, 0, progress, ticking(progress))).rejects.toBe(interrupted);
      expect([stop, written(above)]).toEqual([stop, ["place"]]);
    }
  });
});

const ticking = (progress: typeof silentProgress) => async (folder: OutputFolder) => {
  await fill(folder);
  await progress.tick();
  await folder.files(progress);
};

async function countTicks(place: string): Promise<number> {
  let ticks = 0;
  const progress = { ...silentProgress, tick: async () => void ticks++ };
  await withOutputFolder(place, 0, progress, ticking(progress));
  return ticks;
}

test("a place that is a mount is filled from within, export.yaml last, and emptied again where that fails", async () => {
  const mounted = (place: string) => ({
    // nothing may be made beside a mount, nor can it be renamed over
    mkdirSync: (path: string, ...rest: unknown[]) =>
      String(path).startsWith(join(place, "..", ".draftplan-"))
        ? failing("EROFS")()
        : (real.mkdirSync as (...given: unknown[]) => unknown)(path, ...rest),
  });
  const place = temporaryFolder();
  const order: string[] = [];
  system({
    ...mounted(place),
    renameSync: (from: string, to: string) => {
      if (to.startsWith(place) && !to.includes(".partial")) order.push(to.slice(place.length + 1));
      real.renameSync(from, to);
    },
  });
  await withOutputFolder(place, 0, silentProgress, fill);
  expect(written(place)).toEqual(["README.md", "deep", join("deep", "weights.bin"), "export.yaml", "license.txt"]);
  expect(order.at(-1)).toBe("export.yaml");
  const second = temporaryFolder();
  let renamed = 0;
  system({
    ...mounted(second),
    renameSync: (from: string, to: string) => {
      if (to.startsWith(second) && !to.includes(".partial") && ++renamed === 3) return failing("EIO")();
      return real.renameSync(from, to);
    },
  });
  await expectFailure(() => withOutputFolder(second, 0, silentProgress, fill), "FILE_UNWRITABLE", "EIO");
  expect(fs.readdirSync(second)).toEqual([]);
});

test("a folder with anything in it, and a file, are refused; what is not there and what is empty are not", async () => {
  const folder = temporaryFolder();
  requireEmptyFolder(folder);
  requireEmptyFolder(join(folder, "not", "there"));
  fs.writeFileSync(join(folder, "mine"), "");
  await expectFailure(() => requireEmptyFolder(folder), "OPTION_INVALID", "never overwrite");
  await expectFailure(() => requireEmptyFolder(join(folder, "mine")), "OPTION_INVALID", "never overwrite");
});

describe("a weight file of which every tensor stays", () => {
  const floats = (values: number[]) => new Uint8Array(Float32Array.from(values).buffer);
  const tensor = (values: number[]) => ({
    ...{ dtype: "F32" as const, shape: [values.length], bytes: 4 * values.length },
    chunks: () => [floats(values)][Symbol.iterator](),
  });

  async function sharded(link?: unknown) {
    const above = temporaryFolder();
    const source = join(above, "source");
    const shard = (name: string, tensors: Record<string, number[]>) =>
      withOutputFolder(join(source, name), 0, silentProgress, (folder) =>
        writeSafetensors(
          folder,
          new Map(Object.entries(tensors).map(([key, values]) => [key, tensor(values)])) as never,
          { progress: silentProgress },
        ),
      );
    await shard("one", { "embed.weight": [1, 2, 3] });
    await shard("two", { "layer.0": [4], "layer.1": [5] });
    const file = (name: string) => join(source, name, "model.safetensors");
    if (link !== undefined) system({ linkSync: link });
    const place = join(above, "out");
    const kept = new Map([
      ["embed.weight", tensor([1, 2, 3])],
      ["layer.0", tensor([4])],
    ]) as never;
    await withOutputFolder(place, 0, silentProgress, (folder) =>
      writeSafetensors(folder, kept, {
        whole: [
          { path: file("one"), tensors: ["embed.weight"] },
          { path: file("two"), tensors: ["layer.0", "layer.1"] },
        ],
        progress: silentProgress,
      }),
    );
    return { file, place };
  }
  const shards = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"];

  test("is the same file under a second name; one of which a tensor is left out is written anew, and both are read", async () => {
    const { file, place } = await sharded();
    expect(written(place)).toEqual([...shards, "model.safetensors.index.json"]);
    const node = (path: string) => fs.statSync(path).ino;
    expect(node(join(place, shards[0]))).toBe(node(file("one")));
    expect(node(join(place, shards[1]))).not.toBe(node(file("two")));
    const { tensors, files } = openSafetensors(place);
    expect([...tensors.keys()].sort()).toEqual(["embed.weight", "layer.0"]);
    for (const one of files) one.close();
    const index = JSON.parse(fs.readFileSync(join(place, "model.safetensors.index.json"), "utf8"));
    expect(index).toEqual({
      metadata: { total_size: 16 },
      weight_map: { "embed.weight": shards[0], "layer.0": shards[1] },
    });
    fs.rmSync(place, { recursive: true });
    expect(fs.existsSync(file("one"))).toBe(true);
  });

  test.each(["EXDEV", "EPERM"])("is copied where the file system has no second names: %s", async (code) => {
    const { file, place } = await sharded(failing(code));
    expect(fs.statSync(join(place, shards[0])).ino).not.toBe(fs.statSync(file("one")).ino);
    expect(fs.readFileSync(join(place, shards[0]))).toEqual(fs.readFileSync(file("one")));
  });
});
