/** The whole verb on the embedded model: real passes, real times, a document on disk. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { CommandContext } from "../../src/commands/context.js";
import { verifyCommand } from "../../src/commands/verify.js";
import { buildVerification } from "../../src/pipeline/verify/document.js";
import { describeDevice } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { Device } from "../../src/schema/common.js";
import { parseDocument, readDocumentOf, writeDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { expectFailure } from "../support/failure.js";

const folder = mkdtempSync(join(tmpdir(), "draftplan-verify-"));
const planPath = join(folder, "plan.yaml");
const promptPath = join(folder, "prompts.jsonl");
let loaded: LoadedModel;
let plan: Plan;

beforeAll(async () => {
  loaded = await loadModel("embedded", { provider: "cpu", threads: 1, capacity: 1024 });
  plan = {
    kind: "draftplan/plan",
    version: 1,
    model: loaded.ref,
    segments: [
      {
        context_tokens: { from: 0, to: 40 },
        speculate: true,
        draft: { default: "int8", head: "int8", skip: [], choices: {} },
        draft_tokens: 4,
      },
      // far too many blocks: rejections must happen
      {
        context_tokens: { from: 40, to: 1024 },
        speculate: true,
        draft: {
          default: "int8",
          head: "int8",
          skip: ["3.attn", "3.mlp", "4.mlp", "5.attn", "5.mlp", "6.mlp", "7.attn", "7.mlp", "8.attn", "9.attn"],
          choices: {},
        },
        draft_tokens: 3,
      },
    ],
  };
  writeDocument(planPath, plan);
  writeFileSync(promptPath, '{"prompt": "The Congress of the United States"}\n{"ids": [0, 2819, 506, 268]}\n');
});

afterAll(() => {
  loaded.close();
  rmSync(folder, { recursive: true, force: true });
});

interface Recorded extends CommandContext {
  out: string[];
  warnings: string[];
}

function recorded(json: boolean): Recorded {
  const out: string[] = [];
  const warnings: string[] = [];
  const progress = { tick: async () => {}, warn: (code: string) => void warnings.push(code) };
  const print = (text: string) => void out.push(text);
  return {
    out,
    warnings,
    print,
    command: print,
    write: print,
    note: () => {},
    progress,
    json,
    provider: "cpu",
    threads: 1,
    columns: 80,
  };
}

describe("verify on the embedded model", () => {
  const short = { model: "embedded", prompts: promptPath, maxTokens: 60, pairs: 1 };

  test("proves a plan whose drafts are often rejected, and writes what it found", async () => {
    const context = recorded(false);
    const output = join(folder, "verification.yaml");
    expect(await verifyCommand(planPath, { ...short, output, alternatives: true }, context)).toBe(true);
    const { document, sha256 } = readDocumentOf("draftplan/verification", output);
    expect(document).toMatchObject({
      lossless: true,
      tokens: 120,
      pairs: 1,
      max_tokens: 60,
      plan: { path: "plan.yaml" },
    });
    expect(document.plan.sha256).toBe(readDocumentOf("draftplan/plan", planPath).sha256);
    expect(sha256).toHaveLength(64);
    expect(document.acceptance).toBeGreaterThan(0);
    expect(document.acceptance).toBeLessThan(1);
    expect(document.by_context.map(({ context_tokens }) => context_tokens.from)).toEqual([0, 40]);
    expect(document.speedup).toEqual({ median: expect.any(Number), low: null, high: null });
    expect(context.warnings).toContain("FEW_PROMPTS");
    expect(document.alternatives[0].agreement).toBeGreaterThan(0.8); // measured: 0.97 to 0.99
    const text = context.out.join("\n");
    expect(text).toContain("the target's own, all 120 tokens");
    for (const line of text.split("\n"))
      expect([...line].length).toBeLessThanOrEqual(80 + (line.includes(folder) ? folder.length : 0));
  });

  test("prints the document, or exactly one JSON value", async () => {
    const yaml = recorded(false);
    await verifyCommand(planPath, { ...short, maxTokens: 12, output: "-" }, yaml);
    expect(parseDocument(yaml.out.join(""), "stdout").kind).toBe("draftplan/verification");
    const json = recorded(true);
    await verifyCommand(planPath, { ...short, maxTokens: 12, output: join(folder, "json.yaml") }, json);
    expect(json.out).toHaveLength(1);
    expect(JSON.parse(json.out[0])).toEqual(
      parseDocument(readFileSync(join(folder, "json.yaml"), "utf8"), "json.yaml"),
    );
  });

  test("fails below the speedup asked for, which the table says", async () => {
    const context = recorded(false);
    const prompts = join(folder, "four.jsonl");
    writeFileSync(prompts, [5, 6, 7, 8].map((id) => `{"ids": [0, ${id}]}\n`).join(""));
    expect(
      await verifyCommand(
        planPath,
        { ...short, prompts, maxTokens: 12, output: join(folder, "slow.yaml"), minSpeedup: 100 },
        context,
      ),
    ).toBe(false);
    expect(context.out.join("\n")).toContain("below the 100 asked for");
  });

  test("refuses a plan for another model before it loads this one", async () => {
    const other = join(folder, "other.yaml");
    writeDocument(other, { ...plan, model: { ...plan.model, weights_sha256: "f".repeat(64) } });
    await expectFailure(() => verifyCommand(other, short, recorded(false)), "DOCUMENT_MISMATCH", "other weights");
  });

  test("warns where the plan was made on another device", async () => {
    const device: Device = describeDevice("cpu", 2);
    const { progress, warnings } = recorded(false);
    const request = {
      loaded,
      planRef: { path: "plan.yaml", sha256: "0".repeat(64) },
      prompts: [{ name: "x", ids: [0, 5] }],
      device,
      alternatives: false,
      maxTokens: 8,
      pairs: 1,
    };
    await buildVerification({ ...request, plan: { ...plan, device } }, progress);
    expect(warnings).toEqual(["FEW_PROMPTS"]);
    await buildVerification({ ...request, plan: { ...plan, device: { ...device, threads: 64 } } }, progress);
    expect(warnings).toEqual(["FEW_PROMPTS", "DEVICE_DIFFERS", "FEW_PROMPTS"]);
  });
});
