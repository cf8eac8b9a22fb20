/** Whatever a tokenizer's or a model's JSON holds: a DraftplanError or a tokenizer that works, and no hang or growth. */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { DraftplanError } from "../../src/core/errors.js";
import { openConfigOnly } from "../../src/model/open.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { damagedJson } from "../support/json-mutations.js";
import { expectNoGrowth, FUZZ_LIMIT_MS, mutations } from "../support/long.js";
import { uniform } from "../support/numbers.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { folderWith, tinyFile } from "../support/tokenizers.js";

const COUNT = mutations(40, 300);

const CONFIG = {
  bos_token: "<s>",
  eos_token: { content: "</s>", lstrip: false },
  chat_template: "{% for m in messages %}{{ m.role }}: {{ m['content']|trim }}\n{% endfor %}{{ bos_token }}",
  added_tokens_decoder: { "5": { content: "<s>", special: true } },
  model_max_length: 512,
};

/** @returns how it ended, by code; what is thrown besides DraftplanErrors is thrown on */
async function outcome(work: () => Promise<void> | void): Promise<string> {
  const start = performance.now();
  const ending = await endOf(work);
  const took = performance.now() - start;
  if (took > FUZZ_LIMIT_MS) throw new Error(`one mutation took ${took.toFixed(0)} ms`);
  return ending;
}

async function endOf(work: () => Promise<void> | void): Promise<string> {
  try {
    await work();
    return "read";
  } catch (error) {
    if (error instanceof DraftplanError && error.code !== "INTERNAL") return error.code;
    throw error;
  }
}

async function useTokenizer(folder: string): Promise<void> {
  const tokenizer = await openTokenizer(folder, { timeLimitMs: 300 });
  tokenizer.decode(tokenizer.encode("a b\u00e9ab <s> 漢"));
  tokenizer.encodeRendered(tokenizer.renderChat([{ role: "user", content: " ab " }]));
}

const folder = folderWith({ "tokenizer.json": tinyFile(), "tokenizer_config.json": CONFIG });
const model = writeTinyCheckpoint(join(temporaryFolder(), "model"), { layers: 1, hidden: 32 });
const configFile = join(model, "config.json");

const FILES: [what: string, file: string, good: unknown, use: () => Promise<void> | void][] = [
  ["tokenizer.json", join(folder, "tokenizer.json"), tinyFile(), () => useTokenizer(folder)],
  ["tokenizer_config.json", join(folder, "tokenizer_config.json"), CONFIG, () => useTokenizer(folder)],
  ["config.json", configFile, JSON.parse(readFileSync(configFile, "utf8")), () => void openConfigOnly(configFile)],
];

describe.each(FILES)("%s, damaged by structure and by bytes", (_what, file, good, use) => {
  test("is read or refused by a code of its own, whatever it holds", async () => {
    const before = process.memoryUsage().rss;
    const random = uniform(31);
    const seen = new Map<string, number>();
    for (let i = 0; i < COUNT; i++) {
      const text = damagedJson(good, random);
      writeFileSync(file, text);
      const result = await outcome(use).catch((cause) => {
        throw new Error(`mutation ${i}: ${text.slice(0, 2000)}`, { cause });
      });
      seen.set(result, (seen.get(result) ?? 0) + 1);
    }
    writeFileSync(file, JSON.stringify(good));
    expect(seen.size, JSON.stringify([...seen])).toBeGreaterThan(1);
    expectNoGrowth(before);
  });
});
