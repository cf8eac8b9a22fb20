/**
 * Exported folders in onnxruntime-genai itself (Python): files checked and loaded, output with the draft and without, and
 * acceptance beside that of our own decoder with a draft that has a cache of its own.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import type { Draft } from "../../src/schema/choice.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Segment } from "../../src/schema/plan.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { tokens } from "../runtime/support.js";
import { asDraftModel, expectImported, importedFrom, predicting } from "../support/engine-metrics.js";
import { runPython, unlessPackages } from "../support/python.js";
import { SMOLLM2, unlessMissing } from "../support/shared.js";
import { decodeStandalone, partings } from "../support/standalone.js";
import { type TinyModel, temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";

const CPU = { provider: "cpu", threads: 2 };
/** percentage points, as a share */
const ACCEPTANCE_WITHIN = 0.02;
const TOKENS = 64;
const DRAFT_TOKENS = 5;
const ENDS = { endsUnseen: true };
/** minutes on a quiet machine, a quarter of an hour beside other work: genai's threads spin */
const TIMEOUT = 30 * 60_000;

const promptFile = (name: string) =>
  readFileSync(fileURLToPath(new URL(`../../assets/prompts/${name}.jsonl`, import.meta.url)), "utf8")
    .trim()
    .split("\n");
/** fifteen of prose, code and lists, five questions */
const TEXTS: string[] = [
  ...promptFile("prose").map((line) => (JSON.parse(line) as { prompt: string }).prompt),
  ...promptFile("chat")
    .map((line) => (JSON.parse(line) as { chat: unknown }).chat)
    .filter((chat) => typeof chat === "string")
    .slice(0, 5),
];

interface Decoded {
  version: string;
  results: { ids: number[]; stats: Record<string, number> | null }[];
  encoded: number[][];
  decoded: string[];
}

const quantised = (kernel: "int8" | "int4"): Draft => ({ default: kernel, head: kernel, skip: [], choices: {} });
const keeping = (...skip: string[]): Draft => ({ default: "target", head: "target", skip, choices: {} });

type Drafting = Pick<Segment, "draft" | "drafter">;
interface Subject {
  title: string;
  needs: string[];
  source(): string;
  /** none: the model has no tokenizer, and its prompts are random ids */
  texts: string[] | undefined;
  drafts: Record<string, Drafting>;
  /** the same as another model's, which a `model:` plan names, in the kernel of its default */
  models?: Record<string, Draft>;
}

const tiny = (title: string, model: TinyModel, draft: Draft): Subject => ({
  title,
  needs: [],
  source: () => writeTinyCheckpoint(temporaryFolder(), { layers: 4, headDim: 16, vocab: VOCABULARY, ...model }),
  texts: undefined,
  drafts: { [describeDraft(draft)]: { draft } },
});
const describeDraft = ({ default: most, skip }: Draft): string => `${most}, without ${skip.join(" ")}`;
const VOCABULARY = 64;

const SUBJECTS: Subject[] = [
  tiny("llama", { seed: 1 }, { ...quantised("int8"), skip: ["1.mlp"] }),
  tiny("qwen2", { seed: 8, architecture: "qwen2" }, keeping("0.attn")),
  tiny("qwen3, heads of 12", { seed: 13, architecture: "qwen3", headDim: 12 }, keeping("1.mlp", "2.attn")),
  tiny(
    "mistral, a window of 6",
    { seed: 7, architecture: "mistral", slidingWindow: 6 },
    { ...quantised("int8"), skip: ["2.attn", "2.mlp"] },
  ),
  {
    title: "embedded",
    needs: [],
    source: () => "embedded",
    texts: TEXTS,
    drafts: {
      int8: { draft: quantised("int8") },
      "int4 with one attention left out": { draft: { ...quantised("int4"), skip: ["7.attn"] } },
      "separate blocks left out": { draft: keeping("3.mlp", "7.attn", "8.attn") },
      "a lookup of two tokens": { drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 2 } } },
    },
    models: {
      "another model": keeping("4.attn", "4.mlp", "8.attn", "8.mlp"),
      "another model in int8": { ...quantised("int8"), skip: ["4.attn", "4.mlp", "8.attn", "8.mlp"] },
    },
  },
  {
    title: "SmolLM2-135M",
    needs: [SMOLLM2],
    source: () => SMOLLM2,
    texts: TEXTS,
    drafts: {
      "int8 with an MLP and an attention left out": { draft: { ...quantised("int8"), skip: ["13.mlp", "20.attn"] } },
    },
  },
];

/** Of several lengths; every fourth ends in the model's end token, which genai must not take for padding. */
const randomPrompts = (): number[][] =>
  Array.from({ length: 20 }, (_, i) => [...tokens(100 + i, 4 + 2 * i, VOCABULARY), ...(i % 4 === 3 ? [2] : [])]);

for (const { title: subject, source: sourceOf, texts, drafts, models = {}, needs } of SUBJECTS) {
  const packages = unlessPackages(subject, "onnxruntime_genai", "onnxruntime", "onnx");
  const { skip, title } = packages.skip ? packages : unlessMissing(subject, ...needs);
  describe.skipIf(skip)(title, () => {
    let source: string;
    let model: LoadedModel;
    let prompts: number[][];
    /** special tokens before every text, which genai's tokenizer leaves to its caller */
    let prefix: number[] = [];
    /** genai's own, without a draft */
    let plain: Decoded;

    beforeAll(async () => {
      source = sourceOf();
      const capacity = texts === undefined ? 256 : 1024;
      model = await loadModel(source, { ...CPU, capacity, kernels: ["target", "int8", "int4"] });
      if (texts === undefined) prompts = randomPrompts();
      else {
        const tokenizer = await openTokenizer(source);
        prefix = tokenizer.encode("");
        prompts = texts.map((text) => tokenizer.encode(text));
      }
    });
    afterAll(() => model?.close());

    const run = (name: string, drafting: Drafting, asModel?: "target" | "int8") => async () => {
      expect(prompts).toHaveLength(20);
      const own = planOf(model, drafting);
      const ours: Awaited<ReturnType<typeof standalone>>[] = [];
      for (const prompt of prompts) ours.push(await standalone(model, own, prompt));
      const rounds = ours.flatMap((one) => one.rounds);
      const plan = predicting(asModel === undefined ? own : await modelPlan(own, source, asModel), rounds);
      const folder = join(temporaryFolder(), "export");
      await exportTo(folder, plan, source);
      const genai = (draft: boolean) =>
        runPython<Decoded>("genai_decode.py", { folder, draft, prompts, tokens: TOKENS, ...(texts && { texts }) });
      plain ??= await genai(false);
      const drafted = await genai(true);
      if (texts !== undefined) expect(drafted.encoded).toEqual(prompts.map((ids) => ids.slice(prefix.length)));

      let ties = 0;
      const totals = { evaluated: 0, accepted: 0 };
      for (const [i, prompt] of prompts.entries()) {
        const { ids, stats } = drafted.results[i];
        ties += await partings(model, prompt, [plain.results[i].ids, ids], "genai with the draft and without", ENDS);
        ties += await partings(model, prompt, [ours[i].ids, plain.results[i].ids], "ours and genai", ENDS);
        totals.evaluated += stats?.draft_tokens_evaluated ?? Number.NaN;
        totals.accepted += stats?.draft_tokens_accepted ?? Number.NaN;
      }
      const { acceptance } = acceptanceOf(rounds);
      const theirs = totals.accepted / totals.evaluated;
      const says = `genai ${drafted.version}: acceptance ${theirs.toFixed(4)} of ${totals.evaluated}, ours ${acceptance?.toFixed(4)}`;
      console.log(`${title}, ${name}: ${says}, ties ${ties}`);
      expect(Math.abs(theirs - (acceptance as number)), says).toBeLessThanOrEqual(ACCEPTANCE_WITHIN);
      if (drafting.drafter !== undefined) return; // a round of a lookup is as long as what it finds
      const report = JSON.stringify(drafted.results.map(({ stats }) => stats));
      const counted = rounds
        .filter(({ nodes }) => nodes > 0)
        .map(({ nodes, accepted }) => ({ drafted: nodes, accepted }));
      expectImported(await importedFrom(report, folder), counted, DRAFT_TOKENS);
    };
    for (const [name, drafting] of Object.entries(drafts)) test(name, run(name, drafting), TIMEOUT);
    for (const [name, draft] of Object.entries(models)) {
      const kernel = draft.default === "int8" ? "int8" : "target";
      test(name, run(name, { draft }, kernel), TIMEOUT);
    }
  });
}

/** The other model's blocks are the target's as they are stored; their kernel is the drafter's to say. */
const modelPlan = (own: Plan, source: string, kernel: "target" | "int8"): Promise<Plan> => {
  const stored = own.segments.map((segment) => ({ ...segment, draft: keeping(...(segment.draft?.skip ?? [])) }));
  return asDraftModel({ ...own, segments: stored }, source, kernel);
};

const planOf = ({ ref }: LoadedModel, drafting: Drafting): Plan => ({
  kind: "draftplan/plan",
  version: 1,
  model: ref,
  draft_cache: "own",
  segments: [{ context_tokens: { from: 0, to: 8192 }, speculate: true, draft_tokens: DRAFT_TOKENS, ...drafting }],
});

async function exportTo(output: string, plan: Plan, model: string): Promise<void> {
  const path = join(temporaryFolder(), "plan.yaml");
  writeFileSync(path, stringifyDocument(plan));
  const loaded = readDocumentOf("draftplan/plan", path);
  await exportPlan({ plan: loaded, to: "onnxruntime-genai", model, output }, { progress: silentProgress });
}

/** genai's output is without the end token. */
async function standalone(model: LoadedModel, plan: Plan, prompt: readonly number[]) {
  const { ids, rounds } = await decodeStandalone(model, plan, prompt, TOKENS);
  return { ids: ids.filter((id) => !model.spec.eosTokenIds.includes(id)), rounds };
}
