/**
 * Exported folders in onnxruntime-genai itself (Python): files checked and loaded, output with the draft and without, and
 * acceptance beside that of our own decoder with a draft that has a cache of its own.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { silentProgress } from "../../src/core/progress.js";
import { OwnCache } from "../../src/decode/drafters/own-cache.js";
import { decode, prefill, type Round } from "../../src/decode/loop.js";
import { planPolicy } from "../../src/decode/policy.js";
import { acceptanceOf } from "../../src/decode/statistics.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import { systemClock } from "../../src/runtime/device.js";
import { type LoadedModel, loadModel } from "../../src/runtime/load.js";
import { type Draft, targetChoices } from "../../src/schema/choice.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { openTokenizer } from "../../src/tokenizer/open.js";
import { handPlan } from "../support/plans.js";
import { runPython, unlessPackages } from "../support/python.js";
import { SMOLLM2, unlessMissing } from "../support/shared.js";
import { TIE } from "../support/ties.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const CPU = { provider: "cpu", threads: 2, capacity: 1024 };
/** percentage points, as a share */
const ACCEPTANCE_WITHIN = 0.02;
const TOKENS = 64;
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

const SUBJECTS: { model: string; drafts: Record<string, Draft>; needs: string[] }[] = [
  {
    model: "embedded",
    needs: [],
    drafts: {
      int8: quantised("int8"),
      "int4 with one attention left out": { ...quantised("int4"), skip: ["7.attn"] },
      "separate blocks left out": {
        default: "target",
        head: "target",
        skip: ["3.mlp", "7.attn", "8.attn"],
        choices: {},
      },
    },
  },
  {
    model: SMOLLM2,
    needs: [SMOLLM2],
    drafts: { "int8 with an MLP and an attention left out": { ...quantised("int8"), skip: ["13.mlp", "20.attn"] } },
  },
];

for (const { model: source, drafts, needs } of SUBJECTS) {
  const packages = unlessPackages(source, "onnxruntime_genai", "onnxruntime", "onnx");
  const { skip, title } = packages.skip ? packages : unlessMissing(source, ...needs);
  describe.skipIf(skip)(title, () => {
    let model: LoadedModel;
    let prompts: number[][];
    /** special tokens before every text, which genai's tokenizer leaves to its caller */
    let prefix: number[];
    /** genai's own, without a draft */
    let plain: Decoded;

    beforeAll(async () => {
      model = await loadModel(source, { ...CPU, kernels: ["target", "int8", "int4"] });
      const tokenizer = await openTokenizer(source);
      prefix = tokenizer.encode("");
      prompts = TEXTS.map((text) => tokenizer.encode(text));
    });
    afterAll(() => model?.close());

    test.each(Object.entries(drafts))(
      "%s",
      async (_name, draft) => {
        expect(prompts).toHaveLength(20);
        const plan = planOf(model, draft);
        const folder = join(temporaryFolder(), "export");
        await exportTo(folder, plan, source);
        const run = (drafting: boolean) =>
          runPython<Decoded>("genai_decode.py", { folder, draft: drafting, prompts, tokens: TOKENS, texts: TEXTS });
        plain ??= await run(false);
        const drafted = await run(true);
        expect(drafted.encoded).toEqual(prompts.map((ids) => ids.slice(prefix.length)));

        const rounds: Round[] = [];
        let ties = 0;
        const totals = { evaluated: 0, accepted: 0 };
        for (const [i, prompt] of prompts.entries()) {
          const ours = await standalone(model, plan, prompt);
          rounds.push(...ours.rounds);
          const { ids, stats } = drafted.results[i];
          ties += await partings(model, prompt, plain.results[i].ids, ids, "genai with the draft and without");
          ties += await partings(model, prompt, ours.ids, plain.results[i].ids, "ours and genai");
          totals.evaluated += stats?.draft_tokens_evaluated ?? Number.NaN;
          totals.accepted += stats?.draft_tokens_accepted ?? Number.NaN;
        }
        const { acceptance } = acceptanceOf(rounds);
        const theirs = totals.accepted / totals.evaluated;
        const says = `genai ${drafted.version}: acceptance ${theirs.toFixed(4)} of ${totals.evaluated}, ours ${acceptance?.toFixed(4)}`;
        console.log(`${title}, ${_name}: ${says}, ties ${ties}`);
        expect(Math.abs(theirs - (acceptance as number)), says).toBeLessThanOrEqual(ACCEPTANCE_WITHIN);
      },
      TIMEOUT,
    );
  });
}

const planOf = ({ ref }: LoadedModel, draft: Draft): Plan => ({
  ...handPlan({
    name: ref.name,
    layers: ref.layers,
    architectureSha256: ref.architecture_sha256,
    weightsSha256: ref.weights_sha256 as string,
    draft,
    draftTokens: 5,
  }),
  draft_cache: "own",
});

async function exportTo(output: string, plan: Plan, model: string): Promise<void> {
  const path = join(temporaryFolder(), "plan.yaml");
  writeFileSync(path, stringifyDocument(plan));
  const loaded = readDocumentOf("draftplan/plan", path);
  await exportPlan({ plan: loaded, to: "onnxruntime-genai", model, output }, { progress: silentProgress });
}

async function standalone({ engine, spec }: LoadedModel, plan: Plan, prompt: readonly number[]) {
  const own = engine.withOwnCache?.();
  if (own === undefined) throw new Error("the engine has one cache alone");
  try {
    const opened = { kind: "own cache", cache: new OwnCache(own), close: () => own.close() } as const;
    const policy = planPolicy(plan, spec.layers, "plan", undefined, [opened]);
    const options = { maxTokens: TOKENS, endTokens: spec.eosTokenIds, clock: systemClock, policy };
    const { ids, rounds } = await decode(engine, prompt, options);
    return { ids: ids.filter((id) => !spec.eosTokenIds.includes(id)), rounds }; // genai's output is without the end token
  } finally {
    own.close();
  }
}

/** Fails where two outputs part though the target's two tokens there are no tie. @returns 1 where they part at one */
async function partings(
  { engine, spec }: LoadedModel,
  prompt: readonly number[],
  a: readonly number[],
  b: readonly number[],
  what: string,
): Promise<number> {
  const length = Math.max(a.length, b.length);
  const at = Array.from({ length }, (_, i) => i).find((i) => a[i] !== b[i]);
  if (at === undefined) return 0;
  const { logits } = await prefill(engine, [...prompt, ...a.slice(0, at)], targetChoices(spec.layers));
  const of = (id: number | undefined) =>
    id === undefined ? Math.max(...spec.eosTokenIds.map((end) => logits[end])) : logits[id];
  expect(Math.abs(of(a[at]) - of(b[at])), `${what} part at ${at}: ${a[at]} and ${b[at]}`).toBeLessThan(TIE);
  return 1;
}
