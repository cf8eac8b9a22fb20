/**
 * No room for what an export writes, for every engine, by whatever way its files are written: a process may write no file
 * longer than so much (`ulimit -f`), which the system answers as it does a full disk, in the middle of the weights.
 */
import { spawnSync } from "node:child_process";
import { copyFileSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { expect, test } from "vitest";
import { ENGINE_NAMES } from "../../src/export/engines/list.js";
import { stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { modelRefOf, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const root = temporaryFolder();
const SHAPE = { layers: 3, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, intermediate: 256, vocab: 4096 };
/** the table of tokens alone has 1 MiB: no export of a draft is shorter than this, in blocks of 512 or of 1,024 bytes */
const BLOCKS = 600;

function exported(engine: string, output: string) {
  const command = [process.execPath, resolve("dist/cli.js"), "export", join(root, "plan.yaml"), "--to", engine];
  const place = ["--model", join(root, "model"), "-o", output];
  const { status, stderr } = spawnSync(
    "sh",
    ["-c", 'ulimit -f "$1"; shift; exec "$@"', "sh", String(BLOCKS), ...command, ...place],
    {
      encoding: "utf8",
    },
  );
  return { code: status, stderr };
}

test.skipIf(process.platform === "win32").each(ENGINE_NAMES)("%s: exit 3, and nothing half written", async (engine) => {
  const model = writeTinyCheckpoint(join(root, "model"), { ...SHAPE, bosTokenId: 0, eosTokenIds: [0] });
  copyFileSync(join(UNION, "tokenizer.json"), join(model, "tokenizer.json"));
  const segment = { speculate: true, draft: skipping("1.attn", "1.mlp"), draft_tokens: 3 };
  const plan: Plan = {
    ...{ kind: "draftplan/plan", version: 1, model: await modelRefOf(model) },
    segments: [{ context_tokens: { from: 0, to: 64 }, ...segment }],
  };
  writeFileSync(join(root, "plan.yaml"), stringifyDocument(plan));
  const before = readdirSync(root).sort();
  const { code, stderr } = exported(engine, join(root, "out", "deep"));
  expect({ code, stderr }).toEqual({ code: 3, stderr: expect.stringMatching(/FILE_UNWRITABLE[\s\S]*EFBIG/) });
  expect(readdirSync(root).sort()).toEqual(before);
});
