/**
 * Exported folders in transformers itself: the module and the checkpoint beside the whole target with blocks zeroed, output
 * with the assistant and without, acceptance beside that of our own decoder with a draft that has a cache of its own, and the
 * tokenizer made from a GGUF.
 */
import { spawnSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import type { Decoded } from "../../src/decode/loop.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { EMBEDDED } from "../../src/model/hub/reference.js";
import { locateModel, openCheckpoint } from "../../src/model/open.js";
import type { Architecture } from "../../src/model/spec.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { Draft } from "../../src/schema/choice.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { draftplan } from "../support/cli.js";
import { asDraftModel, drafting, expectImported, importedFrom, predicting } from "../support/engine-metrics.js";
import { handPlan } from "../support/plans.js";
import { PYTHON, runPython, unlessPackages } from "../support/python.js";
import { SMOLLM2, unlessMissing } from "../support/shared.js";
import { decodeStandalone, partings } from "../support/standalone.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

/** percentage points, as a share */
const ACCEPTANCE_WITHIN = 0.02;
const TOKENS = 64;
const DRAFT_TOKENS = 4;
const TIMEOUT = 30 * 60_000;
/** fp32 sums in another order */
const LOGITS_WITHIN = 1e-3;

const committed = (name: string) => fileURLToPath(new URL(`../../profiles/union-10m.${name}.yaml`, import.meta.url));
const [PROFILE, CALIBRATION] = [committed("profile"), committed("calibration")];

const lines = (name: string): Record<string, unknown>[] =>
  readFileSync(fileURLToPath(new URL(`../../assets/prompts/${name}.jsonl`, import.meta.url)), "utf8")
    .trim()
    .split("\n")
    .map((line) => JSON.parse(line));
/** fifteen of prose, code and lists, five questions */
const TEXTS = [
  ...lines("prose").map(({ prompt }) => prompt as string),
  ...lines("chat")
    .flatMap(({ chat }) => (typeof chat === "string" ? [chat] : []))
    .slice(0, 5),
];
/** Spaces, digits, scripts, joined emoji, special tokens, controls. */
const LINES = [
  "  two  spaces\n\n\tnew",
  "naïve café — 12345 €, I'm don't WE'LL 3.14e-10",
  "def f(x):\n\treturn x**2  # ½ ² ٣",
  "<|im_start|>user\nhi<|im_end|>\n",
  "日本語テキスト 😀👍🏽👩‍👩‍👧",
  "a\u0000b\u0085\ufeff x\u00a0y",
  "",
];

interface Answer {
  version: string;
  own_parameters: number;
  scale: number;
  module_difference: number;
  checkpoint_layers?: number;
  checkpoint_difference?: number;
  tensors?: Record<string, number[]>;
  encoded?: number[][];
  chat?: string;
  plain: number[][];
  drafted: number[][];
  counts: { prompts: number; acceptance: number; evaluated: number; rounds: number; tokens: number };
  /** the same as the module prints it */
  printed: string;
  by_checkpoint?: number[][];
  checkpoint_counts?: { acceptance: number };
}
const run = (job: object) => runPython<Answer>("transformers_decode.py", job);

const draftOf = (skip: string[], kernel: "target" | "int8" = "target"): Draft => ({
  ...{ default: kernel, head: kernel, skip, choices: {} },
});
const WHOLE = ["3.attn", "3.mlp", "7.attn", "7.mlp"];

async function planOf(source: string, draft: Draft, draftTokens = DRAFT_TOKENS): Promise<Plan> {
  const { spec, architectureSha256, weightsSha256, close } = await openCheckpoint(source);
  close();
  return {
    ...handPlan({ ...{ name: spec.name, layers: spec.layers, architectureSha256, weightsSha256 }, draft, draftTokens }),
    draft_cache: "own",
  };
}

async function exported(source: string, plan: Plan): Promise<string> {
  const path = join(temporaryFolder(), "plan.yaml");
  writeFileSync(path, stringifyDocument(plan));
  const output = join(temporaryFolder(), "export");
  const request = { plan: readDocumentOf("draftplan/plan", path), to: "transformers", model: source, output };
  await exportPlan(request, { progress: silentProgress });
  return output;
}

const needs = unlessPackages("transformers", "transformers", "torch", "safetensors");

describe.skipIf(needs.skip)(`${needs.title}: every architecture`, () => {
  const CASES: { architecture: Architecture; skip: string[] }[] = [
    { architecture: "llama", skip: ["1.attn", "1.mlp", "3.attn", "3.mlp"] },
    { architecture: "llama", skip: ["0.attn", "2.mlp", "3.attn", "4.mlp"] },
    { architecture: "mistral", skip: ["2.attn", "2.mlp"] },
    { architecture: "qwen2", skip: ["0.mlp", "1.attn", "4.attn", "4.mlp"] },
    { architecture: "qwen3", skip: ["1.attn", "1.mlp", "3.mlp"] },
  ];
  test.each(CASES)(
    "$architecture without $skip computes what the target with these blocks zeroed does",
    async ({ architecture, skip }) => {
      const window = architecture === "mistral" ? { slidingWindow: 8 } : {};
      const model = writeTinyCheckpoint(join(temporaryFolder(), "model"), {
        architecture,
        layers: 5,
        tied: false,
        ...window,
      });
      const output = await exported(model, await planOf(model, draftOf(skip)));
      const prompts = [Array.from({ length: 20 }, (_, i) => (7 * i + 3) % 64)];
      const answer = await run({ folder: output, target: model, prompts, skip, tokens: 12 });
      expect(answer.module_difference).toBeLessThan(LOGITS_WITHIN * answer.scale);
      expect(answer.own_parameters).toBe(0);
      expect(answer.drafted).toEqual(answer.plain);
      // packed into layers, the blocks that stay are a plain model where attention and MLP still alternate
      const kinds = Array.from({ length: 5 }, (_, layer) => [`${layer}.attn`, `${layer}.mlp`])
        .flat()
        .filter((name) => !skip.includes(name))
        .map((name) => name.slice(2));
      const isWhole = kinds.length % 2 === 0 && kinds.every((kind, at) => kind === (at % 2 === 0 ? "attn" : "mlp"));
      if (!isWhole) return expect(answer.checkpoint_layers).toBeUndefined();
      expect(answer.checkpoint_layers).toBe(kinds.length / 2);
      expect(answer.checkpoint_difference).toBeLessThan(LOGITS_WITHIN * answer.scale);
      expect(answer.by_checkpoint).toEqual(answer.plain);
    },
    TIMEOUT,
  );
});

const SUBJECTS: { model: string; drafts: Record<string, Draft>; files: string[] }[] = [
  {
    model: EMBEDDED,
    files: [],
    drafts: {
      "whole layers": draftOf(WHOLE),
      "separate blocks": draftOf(["1.mlp", "4.attn", "7.attn"]),
      "int8, rounded": draftOf([], "int8"),
    },
  },
  {
    model: SMOLLM2,
    files: [SMOLLM2],
    drafts: {
      "whole layers": draftOf(["11.attn", "11.mlp", "17.attn", "17.mlp"]),
      "separate blocks": draftOf(["13.mlp", "20.attn", "21.attn"]),
    },
  },
];

for (const { model: source, drafts, files } of SUBJECTS) {
  const packages =
    source === SMOLLM2
      ? unlessPackages(source, "transformers", "torch", "safetensors", "gguf")
      : { ...needs, title: source };
  const { skip, title } = packages.skip ? packages : unlessMissing(source, ...files);
  describe.skipIf(skip)(title, () => {
    let model: LoadedModel;
    let prompts: number[][];
    const target = () => (source === EMBEDDED ? locateModel(EMBEDDED).path : source);
    beforeAll(async () => {
      model = await loadModel(source, { provider: "cpu", threads: 2, capacity: 1024 });
      const tokenizer = await openTokenizer(source);
      prompts = TEXTS.map((text) => tokenizer.encode(text));
    });
    afterAll(() => model?.close());

    test.each(Object.entries(drafts))(
      "%s",
      async (name, draft) => {
        const own = await planOf(source, draft);
        const ours: Decoded[] = [];
        for (const prompt of prompts) ours.push(await decodeStandalone(model, own, prompt, TOKENS));
        const rounds = ours.flatMap((one) => one.rounds);
        const output = await exported(source, predicting(own, rounds));
        const texts = [...TEXTS, ...LINES];
        const job = { folder: output, target: target(), prompts, texts, tokens: TOKENS, quantised: "rounded" };
        const answer = await run({ ...job, ...(draft.default === "target" ? { skip: draft.skip } : {}) });
        const tokenizer = await openTokenizer(source);
        expect(answer.encoded).toEqual(texts.map((text) => tokenizer.encode(text)));
        if (draft.default === "target") {
          expect(answer.module_difference).toBeLessThan(LOGITS_WITHIN * answer.scale);
          expect(answer.own_parameters).toBe(0);
        }
        expect(answer.counts.tokens).toBe(answer.drafted.flat().length);
        let ties = 0;
        for (const [i, prompt] of prompts.entries()) {
          ties += await partings(
            model,
            prompt,
            [answer.plain[i], answer.drafted[i]],
            "transformers with the draft and without",
          );
          ties += await partings(model, prompt, [ours[i].ids, answer.plain[i]], "ours and transformers");
        }
        const { acceptance } = acceptanceOf(rounds);
        const says = `transformers ${answer.version}: acceptance ${answer.counts.acceptance.toFixed(4)} of ${answer.counts.evaluated}, ours ${acceptance?.toFixed(4)}, ties ${ties}`;
        console.log(`${title}, ${name}: ${says}`);
        expect(Math.abs(answer.counts.acceptance - (acceptance as number)), says).toBeLessThanOrEqual(
          ACCEPTANCE_WITHIN,
        );
        expectImported(await importedFrom(answer.printed, output), drafting(rounds), DRAFT_TOKENS);
        if (answer.checkpoint_layers === undefined) return;
        expect(answer.checkpoint_layers).toBe(model.spec.layers - draft.skip.length / 2);
        expect(answer.checkpoint_difference).toBeLessThan(LOGITS_WITHIN * answer.scale);
        for (const [i, ids] of (answer.by_checkpoint ?? []).entries())
          await partings(model, prompts[i], [answer.plain[i], ids], "transformers with the checkpoint and without");
      },
      TIMEOUT,
    );
  });
}

describe.skipIf(needs.skip)(`${needs.title}: the embedded model`, () => {
  let model: LoadedModel;
  let prompts: number[][];
  beforeAll(async () => {
    model = await loadModel(EMBEDDED, { provider: "cpu", threads: 2, capacity: 1024, kernels: ["target", "int8"] });
    const tokenizer = await openTokenizer(EMBEDDED);
    prompts = TEXTS.filter((_, i) => i % 2 === 0).map((text) => tokenizer.encode(text));
  });
  afterAll(() => model?.close());

  /** A plan's own rounds of these prompts, with a cache of its own for the draft. */
  async function ownRounds(plan: Plan): Promise<Decoded[]> {
    const found: Decoded[] = [];
    for (const prompt of prompts) found.push(await decodeStandalone(model, plan, prompt, TOKENS));
    return found;
  }

  // a model whose acceptance is known: that of the same blocks as a draft of the target's own
  test(
    "another model drafts, which is the target without two layers",
    async () => {
      const own = await planOf(EMBEDDED, draftOf(WHOLE));
      const ours = await ownRounds(own);
      const rounds = ours.flatMap((one) => one.rounds);
      const output = await exported(EMBEDDED, predicting(await asDraftModel(own, EMBEDDED), rounds));
      const target = locateModel(EMBEDDED).path;
      const answer = await run({ folder: output, target, prompts, tokens: TOKENS });
      for (const [i, prompt] of prompts.entries()) {
        const pair = [answer.plain[i], answer.drafted[i]] as const;
        await partings(model, prompt, pair, "transformers with the model and without");
        await partings(model, prompt, [ours[i].ids, answer.plain[i]], "ours and transformers");
      }
      const imported = await importedFrom(answer.printed, output);
      console.log(`another model, transformers ${answer.version}: ${JSON.stringify(imported.figures)}`);
      expectImported(imported, drafting(rounds), DRAFT_TOKENS);
    },
    TIMEOUT,
  );

  test(
    "what the exported program prints becomes a calibration that solve plans from",
    async () => {
      const own = await planOf(EMBEDDED, draftOf([], "int8"));
      const rounds = (await ownRounds(own)).flatMap((one) => one.rounds);
      const output = await exported(EMBEDDED, predicting(own, rounds));
      const asked = join(output, "prompts.json");
      writeFileSync(asked, JSON.stringify(prompts));
      const program = [join(output, "draftplan_assistant.py"), locateModel(EMBEDDED).path, "--prompts", asked];
      const { stdout, stderr, status } = spawnSync(
        PYTHON,
        [...program, "--max-new-tokens", String(TOKENS), "--quantised", "rounded", "--dtype", "float32"],
        { encoding: "utf8", env: { ...process.env, HF_HUB_OFFLINE: "1", OMP_NUM_THREADS: "1" }, maxBuffer: 1 << 26 },
      );
      expect(status, stderr.slice(-2000)).toBe(0);

      // a calibration that knows no draft with a cache of its own but the one that the engine saw
      const [bare, grown, again] = ["bare.yaml", "grown.yaml", "again.yaml"].map((name) => join(output, name));
      const { document } = readDocumentOf("draftplan/calibration", CALIBRATION);
      writeFileSync(bare, stringifyDocument({ ...document, measured: [] }));
      const imported = await importedFrom(stdout, output, "--calibration", bare, "-o", grown);
      expectImported(imported, drafting(rounds), DRAFT_TOKENS);
      const solve = ["solve", "--profile", PROFILE, "--calibration", grown, "--standalone", "--for", "transformers"];
      expect(await draftplan([...solve, "-o", again], { process: true })).toMatchObject({ code: 0 });
      const planned = readDocumentOf("draftplan/plan", again).document.segments.filter(({ speculate }) => speculate);
      expect(planned.length).toBeGreaterThan(0);
      for (const { draft, draft_tokens = 0, predicted } of planned) {
        expect(draft).toEqual(own.segments[0].draft);
        const seen = Array.from({ length: draft_tokens }, (_, i) => imported.figures[`a_${i + 1}`]);
        predicted?.acceptance_curve.slice(1).forEach((a, i) => expect(a).toBeCloseTo(seen[i], 4));
      }
    },
    TIMEOUT,
  );
});
