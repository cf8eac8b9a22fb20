/** Models in several GGUF files, made by the gguf package (test/fixtures/make-gguf-split.py) and by hand. */

import { copyFileSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { beforeEach, describe, expect, test } from "vitest";
import { ggufModel } from "../../src/export/gguf/from-gguf.js";
import { openGguf } from "../../src/model/formats/gguf-parts.js";
import { readGgufTokenizerMetadata } from "../../src/model/formats/gguf-tokenizer.js";
import { expectedTensors } from "../../src/model/formats/tensors.js";
import { openCheckpoint } from "../../src/model/open.js";
import { expectFailure } from "../support/failure.js";
import { type GgufContents, ggufBytes, type Metadata } from "../support/gguf-bytes.js";
import { temporaryFolder, writeTinyGguf } from "../support/tiny-checkpoint.js";

const fixture: Record<"whole" | "parts" | "headed", Record<string, string>> = JSON.parse(
  readFileSync(fileURLToPath(new URL("../fixtures/gguf-split.json", import.meta.url)), "utf8"),
);
const root = temporaryFolder();
let folder = root;
let used = 0;
beforeEach(() => {
  folder = join(root, String(used++));
  mkdirSync(folder);
});

const inFolder = (name: string) => join(folder, name);
const [FIRST, SECOND, THIRD] = Object.keys(fixture.parts);

/** Writes the files; returns the path of the first. */
function written(files: Record<string, string | Buffer>): string {
  for (const [name, bytes] of Object.entries(files))
    writeFileSync(inFolder(name), typeof bytes === "string" ? Buffer.from(bytes, "base64") : bytes);
  return inFolder(Object.keys(files)[0]);
}

describe("parts by the gguf package", () => {
  test.each(["parts", "headed"] as const)("%s: the model of the whole file, number for number", async (kind) => {
    const whole = await openCheckpoint(written(fixture.whole));
    const split = await openCheckpoint(written(fixture[kind]));
    expect(split.spec).toEqual(whole.spec);
    expect(split.architectureSha256).toBe(whole.architectureSha256);
    expect(split.storedTypes).toEqual(whole.storedTypes);
    const tensors = expectedTensors(whole.spec);
    expect(tensors.size).toBe(12);
    for (const [name, shape] of tensors) expect(split.tensor(name, shape), name).toEqual(whole.tensor(name, shape));
    whole.close();
    split.close();
  });

  test("its weights' digest depends on every part", async () => {
    const path = written(fixture.parts);
    const before = await openCheckpoint(path);
    before.close();
    const last = readFileSync(inFolder(THIRD));
    last[last.length - 32] ^= 1; // in the last tensor, or behind it
    writeFileSync(inFolder(THIRD), last);
    const after = await openCheckpoint(path);
    after.close();
    expect(after.weightsSha256).not.toBe(before.weightsSha256);
  });

  test("the tokenizer is the first part's", () => {
    const tokenizer = readGgufTokenizerMetadata(written(fixture.parts));
    expect(tokenizer).toEqual(readGgufTokenizerMetadata(written(fixture.whole)));
    expect(tokenizer?.tokens).toHaveLength(16);
  });

  test("what is made of it in one file does not say that it is split", async () => {
    const path = written(fixture.parts);
    const checkpoint = await openCheckpoint(path);
    const file = openGguf(path);
    const { metadata, tensors } = ggufModel(file, checkpoint.spec);
    expect(metadata.keys).toContain("general.architecture");
    expect(metadata.keys.filter((key) => key.startsWith("split."))).toEqual([]);
    expect(tensors.size).toBe(12);
    file.close();
    checkpoint.close();
  });
});

describe("parts that are not there", () => {
  test("are named, all of them", async () => {
    const path = written(fixture.parts);
    rmSync(inFolder(SECOND));
    await expectFailure(
      () => openCheckpoint(path),
      "FILE_NOT_FOUND",
      `part 1 of 3 of a model; not beside it: ${SECOND}$`,
    );
    rmSync(inFolder(THIRD));
    await expectFailure(() => openCheckpoint(path), "FILE_NOT_FOUND", `not beside it: ${SECOND}, ${THIRD}`);
  });

  test("another part than the first is told of the first", async () => {
    written(fixture.parts);
    await expectFailure(() => openCheckpoint(inFolder(SECOND)), "MODEL_NOT_RECOGNISED", /part 2 of 3 of a model/);
    await expect(openCheckpoint(inFolder(THIRD))).rejects.toMatchObject({ remedy: expect.stringContaining(FIRST) });
  });

  test.each(["model.gguf", "tiny-00001-of-00002.gguf", "tiny-00002-of-00003.gguf"])(
    "the first part named %s",
    async (name) => {
      const path = written(fixture.parts);
      renameSync(path, inFolder(name));
      await expectFailure(() => openCheckpoint(inFolder(name)), "MODEL_NOT_RECOGNISED", /-00001-of-00003\.gguf/);
    },
  );
});

describe("parts that do not go together", () => {
  test("a part under two names", async () => {
    const path = written(fixture.parts);
    copyFileSync(inFolder(SECOND), inFolder(THIRD));
    await expectFailure(() => openCheckpoint(path), "CHECKPOINT_CORRUPT", /00003.*split\.no: says part 2 of 3.*part 3/);
  });

  const u16 = (value: number): Metadata => ({ type: "u16", value });
  const i32 = (value: number): Metadata => ({ type: "i32", value });
  const string = (value: string): Metadata => ({ type: "string", value });
  const one = { type: 0, shape: [1], bytes: new Uint8Array(4) };
  type Part = { metadata?: Record<string, Metadata | null>; tensors?: string[] };
  /** Two parts with one tensor each, and what is different in them. */
  const pair = (first: Part, second: Part = {}): string => {
    const part = (i: number, { metadata, tensors = [`t${i}`] }: Part): Buffer => {
      const keys: Record<string, Metadata | null> = {
        "general.architecture": string("llama"),
        "split.no": u16(i),
        "split.count": u16(2),
        "split.tensors.count": i32(2),
        ...metadata,
      };
      const contents: GgufContents = {
        metadata: new Map(Object.entries(keys).flatMap(([key, value]) => (value === null ? [] : [[key, value]]))),
        tensors: new Map(tensors.map((name) => [name, one])),
        alignment: "general.alignment" in keys ? 64 : 32,
      };
      return ggufBytes(contents);
    };
    return written({ "m-00001-of-00002.gguf": part(0, first), "m-00002-of-00002.gguf": part(1, second) });
  };

  test("as they are made here they do", () => {
    const file = openGguf(pair({}, { metadata: { "general.architecture": null, "general.alignment": i32(64) } }));
    expect([...file.tensors.keys()]).toEqual(["t0", "t1"]);
    expect(file.files.map(({ path }) => path)).toEqual([
      inFolder("m-00001-of-00002.gguf"),
      inFolder("m-00002-of-00002.gguf"),
    ]);
    file.close();
    for (const one of file.files) expect(() => one.descriptor).toThrow(/closed/);
  });

  test.each<[RegExp, Part, Part]>([
    [/00002.*tensor t0: is in m-00001-of-00002\.gguf too/, {}, { tensors: ["t0"] }],
    [/split\.tensors\.count: is 2; the parts have 3 tensors/, {}, { tensors: ["t1", "t2"] }],
    [/00002.*split\.tensors\.count: is 9/, {}, { metadata: { "split.tensors.count": i32(9) } }],
    [/00002.*split\.count: is 3; m-00001.* says 2/, {}, { metadata: { "split.count": u16(3) } }],
    [/00002.*split\.count: is missing/, {}, { metadata: { "split.count": null } }],
    [/00002.*split\.no: says part 1 of 2/, {}, { metadata: { "split.no": u16(0) } }],
    [/00001.*split\.no: is missing/, { metadata: { "split.no": null } }, {}],
    [/00001.*split\.no: is 2 in one of 2/, { metadata: { "split.no": u16(2) } }, {}],
    [/00001.*split\.no: is -1/, { metadata: { "split.no": i32(-1) } }, {}],
    [/split\.count: is 60000; at most/, { metadata: { "split.count": u16(60000) } }, {}],
    [/split\.count: is not a number/, { metadata: { "split.count": string("2") } }, {}],
    [/00002.*general\.architecture: is another value/, {}, { metadata: { "general.architecture": string("qwen2") } }],
  ])("%s", async (text, first, second) => {
    await expectFailure(() => openGguf(pair(first, second)), "CHECKPOINT_CORRUPT", text);
  });
});

test("a file that says it is one of one is whole", () => {
  const metadata = new Map<string, Metadata>([["split.count", { type: "u16", value: 1 }]]);
  const file = openGguf(written({ "any.gguf": ggufBytes({ metadata, tensors: new Map() }) }));
  expect(file.files).toHaveLength(1);
  file.close();
});

test("a model without a name of its own is called by the file, without the number of the part", async () => {
  const metadata = { "general.name": { type: "string", value: "" } } as const;
  const checkpoint = await openCheckpoint(writeTinyGguf(inFolder("some-00001-of-00001.gguf"), { layers: 1, metadata }));
  checkpoint.close();
  expect(checkpoint.spec.name).toBe("some");
});
