/**
 * Exported drafts in llama.cpp itself (Python package xllamacpp): files read by the gguf package, output with the draft and
 * without, acceptance beside that of our own decoder with a draft that has a cache of its own, and drafts decoded alone.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { prefill, type Round } from "../../src/decode/loop.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Draft, expandDraft, targetChoices } from "../../src/schema/choice.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { asDraftModel, expectImported, importedFrom, predicting } from "../support/engine-metrics.js";
import { handPlan, skipping } from "../support/plans.js";
import { runPython, unlessPackages } from "../support/python.js";
import { SMOLLM2, unlessMissing } from "../support/shared.js";
import { decodeStandalone, partings } from "../support/standalone.js";
import { TIE } from "../support/ties.js";
import { type TinyModel, temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const CPU = { provider: "cpu", threads: 2, capacity: 1024 };
/** percentage points, as a share */
const ACCEPTANCE_WITHIN = 0.02;
const TOKENS = 48;
/** minutes on a quiet machine, a quarter of an hour beside other work */
const TIMEOUT = 30 * 60_000;
const DRAFT_TOKENS = 4;
const root = temporaryFolder();

const lines = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../assets/prompts/${name}.jsonl`, import.meta.url)), "utf8")
    .trim()
    .split("\n");
/** fifteen of prose, code and lists, five questions */
const TEXTS: string[] = [
  ...lines("prose").map((line) => (JSON.parse(line) as { prompt: string }).prompt),
  ...lines("chat")
    .map((line) => (JSON.parse(line) as { chat: unknown }).chat)
    .filter((chat) => typeof chat === "string")
    .slice(0, 5),
];

interface Answer {
  ids: number[];
  draft_n: number;
  draft_n_accepted: number;
  /** as the server's answer has them */
  timings: object;
}
interface Job {
  target: string;
  draft?: string;
  draft_tokens?: number;
  synth_rates?: number[];
  cache?: "f32";
}
const run = async (prompts: readonly number[][], tokens: number, ...jobs: Job[]) =>
  (await runPython<{ jobs: Answer[][] }>("llama_cpp.py", { prompts, tokens, jobs })).jobs;

interface Contents {
  keys: Record<string, string>;
  tensors: Record<string, [string, number[], string]>;
}
const read = (...paths: string[]) => runPython<Contents[]>("gguf_read.py", paths);

const planOf = ({ ref }: LoadedModel, draft: Draft): Plan => ({
  ...handPlan({
    name: ref.name,
    layers: ref.layers,
    architectureSha256: ref.architecture_sha256,
    weightsSha256: ref.weights_sha256 as string,
    draft,
    draftTokens: DRAFT_TOKENS,
  }),
  draft_cache: "own",
});

let folders = 0;
/** @returns the draft's path */
async function exported(plan: Plan, model: string): Promise<string> {
  const output = join(root, `export-${folders++}`);
  const path = `${output}.yaml`;
  writeFileSync(path, stringifyDocument(plan));
  const loaded = readDocumentOf("draftplan/plan", path);
  await exportPlan({ plan: loaded, to: "llama.cpp", model, output }, { progress: silentProgress });
  return join(output, "draft.gguf");
}

/** llama.cpp computes with fp16 or 8-bit activations: what is a tie to a target in fp16 (README) is one here. */
const HALF_TIE = 0.0625;
/** of twenty outputs */
const MOST_TIES = 2;

/** llama.cpp's own: all tokens drafted, those behind a rejected one too. */
const ratioOf = (rounds: readonly Pick<Round, "nodes" | "accepted">[]): number =>
  sum(rounds.map(({ accepted }) => accepted)) / sum(rounds.map(({ nodes }) => nodes));
const sum = (numbers: readonly number[]): number => numbers.reduce((a, b) => a + b, 0);

const int8: Draft = { default: "int8", head: "int8", skip: [], choices: {} };
const SUBJECTS: { source: string; needs: string[]; drafts: Record<string, Draft> }[] = [
  {
    source: SMOLLM2,
    needs: [SMOLLM2],
    drafts: {
      "two layers left out": skipping("13.attn", "13.mlp", "20.attn", "20.mlp"),
      "an attention and two MLPs left out": skipping("12.mlp", "17.attn", "20.mlp"),
    },
  },
  {
    source: "embedded",
    needs: [],
    drafts: {
      "int8, the first attention and an MLP left out": { ...int8, skip: ["0.attn", "6.mlp"] },
      "int4 with an int8 head": { ...int8, default: "int4" },
    },
  },
];

for (const { source: file, needs, drafts } of SUBJECTS) {
  let source = file;
  const packages = unlessPackages(source, "xllamacpp", "gguf");
  const { skip, title } = packages.skip ? packages : unlessMissing(source, ...needs);
  describe.skipIf(skip)(title, () => {
    let model: LoadedModel;
    let prompts: number[][];
    /** the target as a GGUF */
    let target: string;
    let plain: Answer[];

    beforeAll(async () => {
      // llama.cpp multiplies Q4_1 with activations of 8 bits, target and draft each with errors of their own: that costs 3.6
      // points of acceptance (docs/engines/llama.cpp.md). Like is compared with like where both compute in fp32
      if (file.endsWith(".gguf")) {
        source = join(root, "dequantised.gguf");
        await runPython("gguf_dequantise.py", { source: file, output: source });
      }
      model = await loadModel(source, { ...CPU, kernels: ["target", "int8", "int4"] });
      const tokenizer = await openTokenizer(source);
      prompts = TEXTS.map((text) => tokenizer.encode(text));
      expect(prompts).toHaveLength(20);
      target = source.endsWith(".gguf") ? source : await exported(planOf(model, skipping()), source);
      [plain] = await run(prompts, TOKENS, { target });
    }, TIMEOUT);
    afterAll(() => model?.close());

    /** @param asModel the draft as another model's, which a `model:` plan names */
    const decoded = async (name: string, draft: Draft, asModel = false) => {
      const own = planOf(model, draft);
      const rounds: Round[] = [];
      for (const prompt of prompts) rounds.push(...(await decodeStandalone(model, own, prompt, TOKENS)).rounds);
      const plan = predicting(asModel ? await asDraftModel(own, source) : own, rounds);
      const path = await exported(plan, source);
      const [drafted] = await run(prompts, TOKENS, { target, draft: path, draft_tokens: DRAFT_TOKENS });
      let ties = 0;
      for (const [i, prompt] of prompts.entries())
        ties += await partings(model, prompt, [plain[i].ids, drafted[i].ids], "with the draft and without", {
          within: HALF_TIE,
        });
      const theirs = sum(drafted.map((one) => one.draft_n_accepted)) / sum(drafted.map((one) => one.draft_n));
      const ours = ratioOf(rounds);
      const says = `draft_n_accepted / draft_n ${theirs.toFixed(4)} of ${sum(drafted.map((one) => one.draft_n))}, ours ${ours.toFixed(4)}`;
      console.log(
        `${title}, ${name}: ${says}; ${ties} of ${prompts.length} outputs part from plain decoding's, at a tie`,
      );
      expect(ties).toBeLessThanOrEqual(MOST_TIES);
      expect(Math.abs(theirs - ours), says).toBeLessThanOrEqual(ACCEPTANCE_WITHIN);
      // the server's own timings, an answer a line; its rounds are all of them, and it counts drafts behind the end too
      const report = drafted.map(({ timings }) => JSON.stringify({ timings })).join("\n");
      const counted = rounds.map(({ nodes, accepted }) => ({ drafted: nodes, accepted }));
      expectImported(await importedFrom(report, dirname(path)), counted, DRAFT_TOKENS);
    };
    test.each(Object.entries(drafts))("%s", (name, draft) => decoded(name, draft), TIMEOUT);

    test(
      "another model, which is the target without two layers",
      () => decoded("another model", skipping("4.attn", "4.mlp", "8.attn", "8.mlp"), true),
      TIMEOUT,
    );

    test(
      "the gguf package reads every file: metadata and tensors are the target's",
      async () => {
        const kept = skipping("2.attn", "2.mlp");
        const half = skipping("2.mlp", "5.attn");
        const [whole, cut, deci] = await read(
          target,
          await exported(planOf(model, kept), source),
          await exported(planOf(model, half), source),
        );
        const layers = model.spec.layers;
        const differing = Object.keys(whole.keys).filter((key) => cut.keys[key] !== whole.keys[key]);
        expect(differing).toEqual(["llama.block_count"]);
        for (const [key, value] of Object.entries(whole.keys))
          if (!key.startsWith("llama.") && key !== "general.architecture") expect(deci.keys[key], key).toBe(value);
        const from = (layer: number) => (layer < 2 ? layer : layer + 1);
        for (const [name, tensor] of Object.entries(cut.tensors))
          expect(tensor, name).toEqual(whole.tensors[name.replace(/^blk\.(\d+)/, (_, n) => `blk.${from(Number(n))}`)]);
        expect(Object.keys(cut.tensors).filter((name) => /^blk\..*ffn_up/.test(name))).toHaveLength(layers - 1);
        expect(deci.tensors["blk.5.ffn_down.weight"]).toEqual(whole.tensors["blk.5.ffn_down.weight"]);
        expect(Object.keys(deci.tensors).filter((name) => name.startsWith("blk.5.attn"))).toEqual([]);
      },
      TIMEOUT,
    );
  });
}

/** Chances that replay a curve; of a draft that guesses anything. */
const replayed = unlessPackages("a predicted curve replayed", "xllamacpp");
test.skipIf(replayed.skip)(replayed.title, async () => {
  const model = await loadModel("embedded", CPU);
  try {
    const target = await exported(planOf(model, skipping()), "embedded");
    const draft = await exported(planOf(model, skipping("3.attn", "3.mlp")), "embedded");
    const rates = [0.8, 0.6, 0.5, 0.1];
    const prompts = Array.from({ length: 10 }, (_, i) => [0, 100 + i, 200 + i]);
    const job = { target, draft, draft_tokens: 4 };
    const [synthetic] = await run(prompts, 200, { ...job, synth_rates: rates });
    const [n, accepted] = [sum(synthetic.map((a) => a.draft_n)), sum(synthetic.map((a) => a.draft_n_accepted))];
    const rounds = n / 4; // but for the last of each output
    // Σ (2i − 1) a_i is the mean square of a round's accepted tokens; four standard deviations are 1 in 16,000
    const square = sum(rates.map((rate, i) => (2 * i + 1) * rate));
    const spread = Math.sqrt(square - sum(rates) ** 2);
    expect(Math.abs((4 * accepted) / n - sum(rates))).toBeLessThan((4 * spread) / Math.sqrt(rounds));
  } finally {
    model.close();
  }
});

/** Tiny models of every architecture: their drafts decoded by llama.cpp alone, each token judged by our own logits. */
const alone = unlessPackages("drafts decoded alone", "xllamacpp");
describe.skipIf(alone.skip)(alone.title, () => {
  const SHAPE: TinyModel = { layers: 4, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, intermediate: 96, vocab: 4096 };
  const whole = skipping("1.attn", "1.mlp");
  const separate = skipping("0.attn", "1.mlp", "2.attn", "3.mlp");
  const packed = skipping("1.mlp", "2.attn");
  test.each<[string, TinyModel, Draft[]]>([
    ["llama", { tied: false }, [whole, separate, packed]],
    ["llama with biases and scaled frequencies", LLAMA3(), [whole, separate]],
    ["mistral", { architecture: "mistral" }, [whole, separate]],
    ["qwen2", { architecture: "qwen2", tied: false }, [whole, separate, packed]],
    ["qwen3", { architecture: "qwen3" }, [whole, packed]],
  ])("%s", async (_name, tiny, drafts) => {
    const folder = join(root, `tiny-${folders++}`);
    mkdirSync(folder);
    writeTinyCheckpoint(folder, { ...SHAPE, bosTokenId: 0, eosTokenIds: [0], seed: 41, ...tiny });
    copyFileSync(join(UNION, "tokenizer.json"), join(folder, "tokenizer.json"));
    const model = await loadModel(folder, { ...CPU, kernels: ["target"] });
    try {
      const prompts = [0, 1, 2].map((i) => Array.from({ length: 9 }, (_, j) => (37 * i + 101 * j + 5) % 4096));
      const paths = await Promise.all(drafts.map((draft) => exported(planOf(model, draft), folder)));
      const answers = await run(prompts, 40, ...paths.map((target) => ({ target, cache: "f32" as const })));
      for (const [i, draft] of drafts.entries()) {
        const choices = expandDraft(draft, model.spec.layers, "draft");
        for (const [j, prompt] of prompts.entries()) {
          const { ids } = answers[i][j];
          expect(ids.length).toBeGreaterThan(5);
          let worst = 0;
          for (const [at, id] of ids.entries()) {
            const { logits } = await prefill(model.engine, [...prompt, ...ids.slice(0, at)], choices);
            worst = Math.max(worst, Math.max(...logits.subarray(0, 4096)) - logits[id]);
          }
          expect(worst, `${JSON.stringify(draft.skip)}, prompt ${j}`).toBeLessThan(TIE);
        }
      }
      const { logits } = await prefill(model.engine, prompts[0], targetChoices(model.spec.layers));
      expect(Math.max(...logits) - Math.min(...logits)).toBeGreaterThan(1); // so that a wrong token would show
    } finally {
      model.close();
    }
  });
});

function LLAMA3(): TinyModel {
  const ropeScaling = {
    type: "llama3",
    factor: 8,
    lowFreqFactor: 1,
    highFreqFactor: 4,
    originalContext: 8192,
  } as const;
  return { attentionBias: true, mlpBias: true, ropeScaling, theta: 500_000 };
}
