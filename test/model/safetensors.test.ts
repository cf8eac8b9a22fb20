import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { openCheckpoint } from "../../src/model/open.js";
import { expectFailure } from "../support/failure.js";
import { safetensorsBytes, withHeader } from "../support/safetensors-bytes.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const root = temporaryFolder();
let used = 0;
const tiny = (model = {}): string => writeTinyCheckpoint(join(root, String(used++)), { layers: 1, ...model });

/** A folder whose weight file is `bytes`. */
function folderWith(bytes: Uint8Array): string {
  const folder = tiny();
  writeFileSync(join(folder, "model.safetensors"), bytes);
  return folder;
}

const entry = (dtype: string, shape: unknown, data_offsets: unknown) =>
  JSON.stringify({ "model.norm.weight": { dtype, shape, data_offsets } });
const data = new Uint8Array(128);

function lengthOnly(length: bigint): Buffer {
  const bytes = Buffer.alloc(64);
  bytes.writeBigUInt64LE(length);
  return bytes;
}

describe("a weight file is refused", () => {
  test.each<[string, Uint8Array, RegExp]>([
    ["empty", new Uint8Array(0), /byte 0.*the file has 0 bytes/],
    ["shorter than its first number", new Uint8Array(7), /the file has 7 bytes/],
    ["a header longer than the file", lengthOnly(1000n), /a header of 1000 bytes in a file of 64/],
    ["a header of 2^63 bytes", lengthOnly(1n << 63n), /a header of 9223372036854775808 bytes/],
    ["no JSON", withHeader("hello", data), /not valid JSON/],
    ["half a JSON object", withHeader('{"a": {', data), /not valid JSON/],
    ["a list", withHeader("[]", data), /not a JSON object/],
    ["null", withHeader("null", data), /not a JSON object/],
    ["not UTF-8", withHeader("\u{0}", data).fill(0xff, 8, 16), /not valid JSON/],
    ["deep nesting", withHeader("[".repeat(100000), data), /nested deeper than 3/],
    ["an unknown type", withHeader(entry("F31", [32], [0, 128]), data), /unknown type "F31"/],
    ["a type named like an Object method", withHeader(entry("toString", [32], [0, 128]), data), /unknown type/],
    ["begin after end", withHeader(entry("F32", [0], [128, 0]), data), /lies at bytes 128 to 0/],
    ["end after the file", withHeader(entry("F32", [64], [0, 256]), data), /lies at bytes 0 to 256 of 128/],
    ["offsets past 2^53", withHeader(entry("F32", [32], [0, 1e300]), data), /data_offsets/],
    ["a negative offset", withHeader(entry("F32", [32], [-128, 0]), data), /data_offsets/],
    ["three offsets", withHeader(entry("F32", [32], [0, 1, 2]), data), /data_offsets/],
    ["a fractional size", withHeader(entry("F32", [31.5], [0, 126]), data), /shape/],
    ["a negative size", withHeader(entry("F32", [-32], [0, 128]), data), /shape/],
    ["a size that is text", withHeader(entry("F32", ["32"], [0, 128]), data), /shape/],
    ["seventeen dimensions", withHeader(entry("F32", Array(17).fill(1), [0, 4]), data), /shape/],
    [
      "a shape of other length than its bytes",
      withHeader(entry("F32", [31], [0, 128]), data),
      /does not take 128 bytes/,
    ],
    [
      "a shape whose product wraps around 2^64",
      withHeader(entry("F32", [2 ** 32, 2 ** 30], [0, 0]), data),
      /does not take 0 bytes/,
    ],
    [
      "a shape whose product loses digits",
      withHeader(entry("U8", [2 ** 53 - 1, 2 ** 53 - 1, 0, 3], [0, 128]), data),
      /does not take 128 bytes/,
    ],
    [
      "an unknown key",
      withHeader('{"t": {"dtype": "F32", "shape": [32], "data_offsets": [0, 128], "more": 1}}', data),
      /tensor t/,
    ],
    ["an entry that is null", withHeader('{"t": null}', data), /tensor t/],
    ["bytes after the last tensor", withHeader(entry("F32", [16], [0, 64]), data), /hold 64 bytes, but 128 follow/],
    ["bytes before the first tensor", withHeader(entry("F32", [16], [64, 128]), data), /hold 64 bytes, but 128 follow/],
    [
      "two tensors over each other",
      withHeader(
        '{"a": {"dtype": "F32", "shape": [17], "data_offsets": [0, 68]}, "b": {"dtype": "F32", "shape": [16], "data_offsets": [64, 128]}}',
        data,
      ),
      /tensor b: begins at byte \d+, inside tensor a/,
    ],
    ["one tensor twice", withHeader(`{"t": {}, "t": {}}`, data), /key "t" appears twice/],
    ["one tensor twice, once escaped", withHeader(`{"t": {}, "\\u0074": {}}`, data), /key "t" appears twice/],
    ["a type twice", withHeader(`{"t": {"dtype": "F32", "dtype": "F16"}}`, data), /key "dtype" appears twice/],
  ])("%s", async (_name, bytes, text) => {
    await expectFailure(() => openCheckpoint(folderWith(bytes)), "CHECKPOINT_CORRUPT", text);
  });

  test("types that are known but not read are named", async () => {
    const folder = tiny();
    const good = readFileSync(join(folder, "model.safetensors"));
    const header = good.subarray(8, 8 + Number(good.readBigUInt64LE())).toString();
    const integers = header.replace('"dtype":"F32"', '"dtype":"I32"');
    writeFileSync(join(folder, "model.safetensors"), withHeader(integers, good.subarray(8 + header.length)));
    await expectFailure(() => openCheckpoint(folder), "TENSOR_TYPE_UNSUPPORTED", /stored as I32/);
  });
});

test("equal keys in different tensors, and braces inside names, are no duplicates", async () => {
  const weird = { dtype: "F32", shape: [0], bytes: new Uint8Array(0) };
  const folder = folderWith(
    safetensorsBytes(
      new Map([
        ['{"dtype": [', weird],
        ["}]", weird],
        ["__proto__", weird],
      ]),
    ),
  );
  await expectFailure(() => openCheckpoint(folder), "TENSOR_MISSING", /embed_tokens/);
});

describe("an index is refused", () => {
  const INDEX = "model.safetensors.index.json";

  test.each<[string, string]>([
    ["above the folder", "../model-00001-of-00002.safetensors"],
    ["an absolute path", "/etc/passwd"],
    ["a folder below", "sub/model.safetensors"],
    ["a Windows path", "..\\model.safetensors"],
    ["another kind of file", "pytorch_model.bin"],
    ["nothing", ""],
    ["a name with a null byte", "a\0.safetensors"],
  ])("that names %s", async (_name, shard) => {
    const folder = tiny({ shards: 2 });
    edit(join(folder, INDEX), (map) => (map["model.norm.weight"] = shard));
    await expectFailure(
      () => openCheckpoint(folder),
      "CHECKPOINT_CORRUPT",
      /not the name of a \.safetensors file in the same folder/,
    );
  });

  test("that names a missing shard", async () => {
    const folder = tiny({ shards: 2 });
    rmSync(join(folder, "model-00002-of-00002.safetensors"));
    await expectFailure(() => openCheckpoint(folder), "FILE_NOT_FOUND", /model-00002-of-00002\.safetensors/);
  });

  test("that puts a tensor into the wrong shard, or forgets it", async () => {
    const wrong = tiny({ shards: 2 });
    edit(join(wrong, INDEX), (map) => {
      map["model.norm.weight"] = map["model.norm.weight"].replace(
        /0000(.)-of/,
        (_all, n: string) => `0000${3 - Number(n)}-of`,
      );
    });
    await expectFailure(() => openCheckpoint(wrong), "CHECKPOINT_CORRUPT", /model\.norm\.weight: is not in/);
    const forgotten = tiny({ shards: 2 });
    edit(join(forgotten, INDEX), (map) => delete map["model.norm.weight"]);
    await expectFailure(() => openCheckpoint(forgotten), "CHECKPOINT_CORRUPT", /lacks tensor model\.norm\.weight/);
  });

  test("when two shards hold the same tensor", async () => {
    const folder = tiny({ shards: 2 });
    writeFileSync(
      join(folder, "model-00002-of-00002.safetensors"),
      readFileSync(join(folder, "model-00001-of-00002.safetensors")),
    );
    await expectFailure(() => openCheckpoint(folder), "CHECKPOINT_CORRUPT", /is also in model-00001/);
  });

  test.each([
    ["{}", /weight_map/],
    ['{"weight_map": {}}', /names 0 files/],
    ['{"weight_map": {"a": 1}}', /weight_map/],
    ["x", /not valid JSON/],
  ])("that reads %s", async (text, message) => {
    const folder = tiny({ shards: 2 });
    expect(existsSync(join(folder, INDEX))).toBe(true);
    writeFileSync(join(folder, INDEX), text);
    await expect(async () => openCheckpoint(folder)).rejects.toMatchObject({
      code: expect.stringMatching(/CONFIG_INVALID|CHECKPOINT_CORRUPT/),
      message: expect.stringMatching(message),
    });
  });

  function edit(path: string, change: (map: Record<string, string>) => void): void {
    const index: { weight_map: Record<string, string> } = JSON.parse(readFileSync(path, "utf8"));
    change(index.weight_map);
    writeFileSync(path, JSON.stringify(index));
  }
});
