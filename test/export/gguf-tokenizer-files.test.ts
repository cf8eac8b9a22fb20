/** tokenizer.json made of a GGUF with SentencePiece scores: the ids that the GGUF itself gives, here and in the Rust library. */
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { ggufTokenizerFiles } from "../../src/export/checkpoint/gguf-tokenizer-files.js";
import type { ModelSpec } from "../../src/model/spec.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { ggufBytes, type Metadata } from "../support/gguf-bytes.js";
import { uniform } from "../support/numbers.js";
import { PYTHON, unlessPackages } from "../support/python.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const BYTES = Array.from({ length: 256 }, (_, b) => `<0x${b.toString(16).toUpperCase().padStart(2, "0")}>`);
const LETTERS = ["\u2581", "a", "b", "c"];

/** @param scoreOf of the piece that is made as the `n`-th */
function made(scoreOf: (n: number, random: () => number) => number, more: [string, Metadata][] = []) {
  const next = uniform(3);
  const pieces = new Map<string, number>(LETTERS.map((letter, i) => [letter, -90 - i]));
  while (pieces.size < 30) {
    const known = [...pieces.keys()];
    const piece = known[Math.floor(next() * known.length)] + LETTERS[Math.floor(next() * LETTERS.length)];
    if (piece.length <= 6 && !pieces.has(piece)) pieces.set(piece, scoreOf(pieces.size, next));
  }
  const padded = <T>(first: T[], byte: T, rest: T[]): T[] => [...first, ...BYTES.map(() => byte), ...rest];
  const names = [...pieces.keys()];
  const metadata: [string, Metadata][] = [
    ["general.architecture", { type: "string", value: "llama" }],
    ["tokenizer.ggml.model", { type: "string", value: "llama" }],
    ["tokenizer.ggml.tokens", { type: "array", of: "string", values: ["<unk>", "<s>", "</s>", ...BYTES, ...names] }],
    [
      "tokenizer.ggml.token_type",
      {
        type: "array",
        of: "i32",
        values: padded(
          [2, 3, 3],
          6,
          names.map(() => 1),
        ),
      },
    ],
    ["tokenizer.ggml.scores", { type: "array", of: "f32", values: padded([0, 0, 0], 0, [...pieces.values()]) }],
    ...(["bos", "eos", "unknown"] as const).map((name): [string, Metadata] => [
      `tokenizer.ggml.${name}_token_id`,
      { type: "u32", value: { bos: 1, eos: 2, unknown: 0 }[name] },
    ]),
  ];
  const folder = temporaryFolder();
  const path = join(folder, "m.gguf");
  writeFileSync(path, ggufBytes({ metadata: new Map([...metadata, ...more]), tensors: new Map() }));
  const spec = { bosTokenId: 1, eosTokenIds: [2], contextLimit: 64 } as unknown as ModelSpec;
  const { files, notes } = ggufTokenizerFiles(path, spec);
  for (const file of files) if ("text" in file) writeFileSync(join(folder, file.name), file.text);
  return { folder, path, notes };
}

const distinct = (n: number, random: () => number) => -n - random() / 2;
const next = uniform(11);
const TEXTS = [
  ...Array.from({ length: 200 }, () =>
    Array.from({ length: 1 + Math.floor(next() * 24) }, () => [..." aaabbcé😀"][Math.floor(next() * 9)]).join(""),
  ),
  ...["<s>a</s>a", "a b  c ", "  a", ""],
];
const CASES: [string, [string, Metadata][]][] = [
  ["as SentencePiece's default", []],
  ["without a space in front", [["tokenizer.ggml.add_space_prefix", { type: "bool", value: false }]]],
  ["without a begin token", [["tokenizer.ggml.add_bos_token", { type: "bool", value: false }]]],
];

test.each(CASES)("gives the GGUF's ids and texts: %s", async (_, more) => {
  const { folder, path } = made(distinct, more);
  writeFileSync(join(folder, "config.json"), "{}");
  const [own, exported] = [await openTokenizer(path), await openTokenizer(folder)];
  const ids = TEXTS.map((text) => own.encode(text));
  expect(TEXTS.map((text) => exported.encode(text))).toEqual(ids);
  expect(ids.map((one) => exported.decode(one))).toEqual(ids.map((one) => own.decode(one)));
});

const python = unlessPackages("in the Rust library", "tokenizers");
describe.skipIf(python.skip)(python.title, () => {
  test.each(CASES)("gives the GGUF's ids: %s", async (_, more) => {
    const { folder, path } = made(distinct, more);
    const program =
      "import json, sys\nfrom tokenizers import Tokenizer\njob = json.load(sys.stdin)\nt = Tokenizer.from_file(job['file'])\nprint(json.dumps([t.encode(x).ids for x in job['texts']]))";
    const job = JSON.stringify({ file: join(folder, "tokenizer.json"), texts: TEXTS });
    const { stdout, stderr } = spawnSync(PYTHON, ["-c", program], { input: job, encoding: "utf8" });
    const own = await openTokenizer(path);
    expect(JSON.parse(stdout || `"${stderr.slice(-200)}"`)).toEqual(TEXTS.map((text) => own.encode(text)));
  });
});

test("says where different pieces tie, which tokenizer.json settles otherwise, and only there", () => {
  const tie = "different pieces of equal score";
  expect(made((_, random) => -Math.floor(random() * 12)).notes.join(" ")).toContain(tie);
  expect(made(distinct).notes.join(" ")).not.toContain(tie);
});
