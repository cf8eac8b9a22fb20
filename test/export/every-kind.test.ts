/** Every kind of draft that a plan can have, for every engine: taken, taken with a loss that is said, or refused by name. */
import { copyFileSync, mkdtempSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { exportFindings } from "../../src/check/export.js";
import { silentProgress } from "../../src/core/progress.js";
import { chooseDraft } from "../../src/export/choose.js";
import { ENGINE_NAMES, type EngineName, loadExporter } from "../../src/export/engines/list.js";
import { lostNotes } from "../../src/export/lost.js";
import type { ExportModel } from "../../src/export/model.js";
import { openExportModel } from "../../src/export/open-model.js";
import { requirePreset } from "../../src/export/unsupported.js";
import { exportPlan } from "../../src/pipeline/export/export-plan.js";
import type { Choice, Draft } from "../../src/schema/choice.js";
import { rankingOf } from "../../src/schema/choices/ranking.js";
import type { Device } from "../../src/schema/common.js";
import { type Loaded, readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Plan, Predicted, Segment } from "../../src/schema/plan.js";
import { failureOf } from "../support/failure.js";
import { modelRefOf, skipping } from "../support/plans.js";
import { temporaryFolder, writeTinyCheckpoint } from "../support/tiny-checkpoint.js";
import { UNION } from "../support/tokenizers.js";

const root = temporaryFolder();
const SHAPE = { layers: 4, hidden: 32, heads: 2, kvHeads: 2, intermediate: 256, vocab: 4096 };
const MODEL = writeTinyCheckpoint(join(root, "model"), { ...SHAPE, bosTokenId: 0, eosTokenIds: [0] });
copyFileSync(join(UNION, "tokenizer.json"), join(MODEL, "tokenizer.json"));

type Ours = "llama.cpp" | "onnxruntime-genai" | "transformers" | "sglang" | "tensorrt-llm" | "vllm";
const SERVERS: Ours[] = ["sglang", "tensorrt-llm", "vllm"];
const OTHERS: Ours[] = ["llama.cpp", "onnxruntime-genai", "transformers"];
const ALL: Ours[] = [...OTHERS, ...SERVERS];
const but = (...engines: Ours[]): Ours[] => ALL.filter((name) => !engines.includes(name));

interface Kind {
  segment: Partial<Segment>;
  plan?: Partial<Plan>;
  /** engines that refuse it, and where and in which words */
  refuse?: { engines: readonly Ours[]; at: string; what: RegExp; remedy?: RegExp }[];
  /** what is said to be lost by those that take it; nothing is said by the others */
  lost?: { engines: readonly Ours[]; says: RegExp };
  /** engines that draft something else than what is predicted, of those that take it, and what is said of that */
  other?: { engines: readonly Ours[]; says: RegExp };
}

const self = (draft: Partial<Draft>): Partial<Segment> => ({ draft: { ...skipping(), ...draft } });
const blocks = (choices: Record<string, Choice>) => self({ choices });
const layer = { draft: skipping("1.attn", "1.mlp") };
const device = (more: Partial<Device>): Partial<Plan> => ({
  device: { ...{ processor: "p", provider: "cpu", threads: 2, runtime: "r", platform: "p" }, ...more },
});
const ranked: Partial<Plan> = { ranking: rankingOf([5, 3, 9]) };
const model = (kernel: "target" | "int8" | "int2") =>
  ({ kind: "model", name: "small", path: "small", weights_sha256: "a".repeat(64), kernel }) as const;
const tree = (...paths: number[][]) => ({ kind: "heads" as const, path: "heads", sha256: "a".repeat(64), tree: paths });
const CHAIN = tree([0], [0, 0], [0, 0, 0]);
const lookup = { min_match: 2, ngram_tokens: { min: 2, max: 4 } };
const looking = (min: number, max: number) => ({ kind: "lookup", ngram_tokens: { min, max } }) as const;
const hybrid = (otherwise: ReturnType<typeof model> | typeof CHAIN | { kind: "self" }) =>
  ({ kind: "hybrid", lookup, otherwise }) as const;
const PREDICTED: Predicted = {
  ...{ at_context: 32, acceptance: 0.7, acceptance_curve: [1, 0.8, 0.5, 0.4], accepted_length: 2.7 },
  ...{ draft_us: 10, verify_us: 40, round_us: 0, target_step_us: 40, tokens_per_second: 38571.4, speedup: 1.54286 },
  lp_gap_percent: 0,
};
const stop = (rule: "early" | "fixed"): Partial<Segment> => ({
  ...layer,
  predicted: PREDICTED,
  stop: {
    ...{ rule, draft_tokens: 4, go_on_from: [0.5, 0.4, 0.3] },
    confidence: [
      { below: 0.5, acceptance: 0.3 },
      { below: 1, acceptance: 0.9 },
    ],
    predicted: {
      ...{ accepted_length: 2.8, mean_draft_tokens: 2.5, draft_lengths: [0.3, 0.2, 0.2, 0.3] },
      ...{
        confidence_us: 1,
        round_us: 0,
        acceptance_curve: [1, 0.8, 0.5, 0.4, 0.1],
        tokens_per_second: 40_000,
        speedup: 1.62,
      },
    },
  },
});
const byBatch = (first: number): Partial<Segment> => ({
  ...layer,
  draft_tokens_by_batch: [
    { to: 1, draft_tokens: first },
    { to: 4, draft_tokens: 1 },
  ],
});

const KINDS: Record<string, Kind> = {
  "whole layers left out": { segment: layer },
  "single blocks left out": { segment: { draft: skipping("1.attn", "2.mlp") } },
  "an int8 block": {
    segment: blocks({ "2.mlp": "int8" }),
    refuse: [{ engines: SERVERS, at: "draft", what: /^block 2\.mlp is int8, .* has no such blocks$/ }],
  },
  "an int4 head": {
    segment: self({ head: "int4" }),
    refuse: [{ engines: SERVERS, at: "draft", what: /^the head is int4, / }],
  },
  "int2 blocks": {
    segment: blocks({ "2.mlp": "int2", "3.attn": "int2" }),
    refuse: [{ engines: ALL, at: "draft", what: /^block 2\.mlp is int2 \(and 1 more\), / }],
  },
  "an int2 head": {
    segment: self({ head: "int2" }),
    refuse: [{ engines: ALL, at: "draft", what: /^the head is int2, / }],
  },
  "a span of int8": {
    segment: blocks({ "1.attn": "int8@64" }),
    refuse: [{ engines: ALL, at: "draft", what: /^block 1\.attn is int8@64, .* the first tokens and the last ones/ }],
  },
  "a span at the target's precision": {
    segment: self({ skip: ["2.attn", "2.mlp"], choices: { "3.attn": "target@512" } }),
    refuse: [
      { engines: ALL, at: "draft", what: /^block 3\.attn is target@512, .* the first tokens and the last ones/ },
    ],
  },
  "a short head": {
    ...{ segment: self({ head: "int8:64" }), plan: ranked },
    refuse: [{ engines: ALL, at: "draft", what: /^the head is int8:64, .* a part of the vocabulary$/ }],
  },
  "a short head at the target's precision": {
    ...{ segment: self({ ...skipping("1.attn", "1.mlp"), head: "target:64" }), plan: ranked },
    refuse: [{ engines: ALL, at: "draft", what: /^the head is target:64, .* a part of the vocabulary$/ }],
  },
  "a lookup": { segment: { drafter: looking(2, 4) }, other: { engines: ALL, says: /so nothing is predicted\./ } },
  "a lookup of one length": {
    segment: { drafter: looking(2, 2) },
    other: { engines: but("llama.cpp", "onnxruntime-genai"), says: /so nothing is predicted\./ },
  },
  "a lookup of one token": {
    segment: { drafter: looking(1, 1) },
    other: { engines: ["sglang", "transformers", "vllm"], says: /so nothing is predicted\./ },
  },
  "a lookup of more than it drafts": {
    segment: { drafter: looking(5, 5) },
    other: { engines: but("onnxruntime-genai"), says: /nothing is predicted\./ },
  },
  "another model": { segment: { drafter: model("target") } },
  "another model in int8": {
    segment: { drafter: model("int8") },
    refuse: [{ engines: SERVERS, at: "drafter.kernel", what: /^small drafts in int8 .* as its checkpoint has it$/ }],
    other: { engines: ["transformers"], says: /precision of its files, .* of it in int8, so nothing is predicted/ },
  },
  "another model in int2": {
    segment: { drafter: model("int2") },
    refuse: [{ engines: ALL, at: "drafter.kernel", what: /^small drafts in int2 / }],
  },
  "Medusa heads": {
    segment: { drafter: CHAIN },
    refuse: [{ engines: but("vllm"), at: "drafter", what: /^heads drafts here, / }],
  },
  "a tree of heads": {
    segment: { drafter: tree([0], [1], [0, 0], [0, 0, 0]) },
    other: { engines: ["vllm"], says: /the plan's tree is lost, and nothing is predicted/ },
    refuse: [{ engines: but("vllm"), at: "drafter", what: /^heads drafts here, / }],
  },
  "a lookup, else its own blocks": {
    segment: { drafter: hybrid({ kind: "self" }), ...layer },
    other: { engines: ["llama.cpp"], says: /latest of 2: .* so nothing is predicted/ },
    refuse: [{ engines: but("llama.cpp"), at: "drafter", what: /^hybrid drafts here, / }],
  },
  "a lookup, else a span": {
    segment: { drafter: hybrid({ kind: "self" }), ...blocks({ "1.attn": "int8@64" }) },
    refuse: [
      { engines: but("llama.cpp"), at: "drafter", what: /^hybrid drafts here, / },
      { engines: ["llama.cpp"], at: "draft", what: /^block 1\.attn is int8@64, / },
    ],
  },
  "a lookup, else another model in int2": {
    segment: { drafter: hybrid(model("int2")) },
    refuse: [
      { engines: but("llama.cpp"), at: "drafter", what: /^hybrid drafts here, / },
      { engines: ["llama.cpp"], at: "drafter.otherwise.kernel", what: /^small drafts in int2 / },
    ],
  },
  "a lookup, else heads": {
    segment: { drafter: hybrid(CHAIN) },
    refuse: [
      { engines: but("llama.cpp"), at: "drafter", what: /^hybrid drafts here, / },
      { engines: ["llama.cpp"], at: "drafter", what: /^trained heads draft beside a lookup, / },
    ],
  },
  "drafts that end early": {
    segment: stop("early"),
    lost: {
      engines: ALL,
      says: /ends a draft early.* 3 tokens in every round: by the plan 1\.54 .* in place of 1\.62/,
    },
  },
  "drafts that might end early, and do not": { segment: stop("fixed") },
  "lengths by batch": {
    segment: byBatch(3),
    lost: {
      engines: but("vllm", "tensorrt-llm"),
      says: /\(1: 3, 2 to 4: 1\), and .* (whatever their number|at a time)/,
    },
  },
  "lengths by batch, none of one": {
    segment: byBatch(0),
    lost: { engines: but("vllm", "tensorrt-llm"), says: /\(1: 0, 2 to 4: 1\), and / },
    refuse: [
      {
        ...{ engines: ["tensorrt-llm"], at: "draft_tokens_by_batch", what: /^one sequence drafts nothing there/ },
        remedy: /draft_tokens_by_batch out of the plan: then it drafts 3 tokens/,
      },
    ],
  },
  "a target in int8": {
    ...{ segment: layer, plan: device({ target: "int8" }) },
    lost: { engines: but("onnxruntime-genai"), says: /target computes in int8, and .* what MODEL is stored in/ },
  },
  "fitted scales": {
    ...{ segment: blocks({ "2.mlp": "int8" }), plan: device({ scales: "fitted" }) },
    lost: { engines: OTHERS, says: /fitted to a text .* by rounding/ },
    refuse: [{ engines: SERVERS, at: "draft", what: /2\.mlp is int8/ }],
  },
  "fitted scales of nothing": { segment: layer, plan: device({ scales: "fitted" }) },
  "sixteen tokens": { segment: { ...layer, draft_tokens: 16 } },
};

let count = 0;
const ref = modelRefOf(MODEL);
async function planOf({ segment, plan }: Kind, before: Segment[] = []): Promise<Loaded<Plan>> {
  const from = before.length * 64;
  const document: Plan = {
    ...{ kind: "draftplan/plan", version: 1, model: await ref },
    ...plan,
    segments: [...before, { context_tokens: { from, to: 512 }, speculate: true, draft_tokens: 3, ...segment }],
  };
  const path = join(root, `plan-${++count}.yaml`);
  writeFileSync(path, stringifyDocument(document));
  return readDocumentOf("draftplan/plan", path);
}
/** so that the segment that errors name is not the first */
const PLAIN: Segment = { context_tokens: { from: 0, to: 64 }, speculate: false };

test("these are the engines", () => {
  expect([...ENGINE_NAMES].sort()).toEqual([...ALL].sort());
});

describe.each(ENGINE_NAMES)("%s", (name: EngineName) => {
  let opened: ExportModel;
  beforeAll(async () => {
    opened = await openExportModel(MODEL);
  });
  afterAll(() => opened.close());

  test.each(Object.entries(KINDS))("%s", async (_kind, kind) => {
    const exporter = await loadExporter(name);
    const plan = await planOf(kind, [PLAIN]);
    const draft = chooseDraft(plan, undefined);
    const look = () => {
      requirePreset(exporter, draft);
      exporter.express?.(draft, opened);
    };
    const refused = kind.refuse?.find(({ engines }) => engines.includes(name));
    if (refused !== undefined) {
      const { code, at, what, remedy } = await failureOf(look);
      expect({ code, at }).toEqual({ code: "EXPORT_UNSUPPORTED", at: `${plan.path}: segments[1].${refused.at}` });
      expect(what).toMatch(refused.what);
      expect(remedy).toMatch(refused.remedy ?? new RegExp(`--for ${name.replace(".", "\\.")} `));
      return;
    }
    look();
    const other = exporter.unpredicted?.(draft, opened) ?? null;
    if (kind.other?.engines.includes(name) === true) expect(other).toMatch(kind.other.says);
    else expect(other).toBeNull();
    const notes = lostNotes(exporter, plan.document, draft);
    if (kind.lost?.engines.includes(name) !== true) return expect(notes).toEqual([]);
    expect(notes).toEqual([expect.stringMatching(kind.lost.says)]);
    expect(notes[0]).toContain(name);
  });
});

test.each(ENGINE_NAMES)("%s: a folder that is not empty, and a plan of another model", async (to) => {
  const full = mkdtempSync(join(root, "full-"));
  writeFileSync(join(full, "mine.txt"), "mine");
  const plan = await planOf(KINDS["whole layers left out"]);
  await expect(exportPlan({ plan, to, model: MODEL, output: full }, SILENT)).rejects.toMatchObject({
    ...{ code: "OPTION_INVALID", what: expect.stringContaining("never overwrite") },
  });
  expect(readdirSync(full)).toEqual(["mine.txt"]);
  const { model } = plan.document;
  const other = { ...plan, document: { ...plan.document, model: { ...model, weights_sha256: "b".repeat(64) } } };
  const output = join(full, "new");
  await expect(exportPlan({ plan: other, to, model: MODEL, output }, SILENT)).rejects.toMatchObject({
    code: "DOCUMENT_MISMATCH",
  });
  expect(readdirSync(full)).toEqual(["mine.txt"]);
});

test("what is refused leaves nothing, and what is lost stands in README.md and in export.yaml", async () => {
  const run = async (kind: string, to: EngineName) => {
    const output = join(root, `out-${++count}`);
    return { output, export: exportPlan({ plan: await planOf(KINDS[kind]), to, model: MODEL, output }, SILENT) };
  };
  for (const kind of ["a span of int8", "a short head", "another model in int2", "int2 blocks"])
    await expect((await run(kind, "llama.cpp")).export).rejects.toMatchObject({ code: "EXPORT_UNSUPPORTED" });
  expect(readdirSync(root).filter((name) => name.startsWith("out") || name.includes("partial"))).toEqual([]);
  const { output, export: written } = await run("drafts that end early", "transformers");
  const { notes, predicted } = await written;
  expect(notes).toEqual([expect.stringMatching(/ends a draft early/)]);
  expect(predicted).toBeNull();
  expect(readFileSync(join(output, "README.md"), "utf8")).toContain(`- ${notes[0]}`);
});
const SILENT = { progress: silentProgress };

test("nothing is predicted of another draft than the plan's, nor of a quantised target that the engine does not compute", async () => {
  const run = async (to: EngineName, kind: Kind) => {
    const own = { draft_cache: "own" as const, ...kind.plan };
    const plan = await planOf({ segment: { ...kind.segment, predicted: PREDICTED }, plan: own });
    const output = join(root, `other-${++count}`);
    const { predicted, notes } = await exportPlan({ plan, to, model: MODEL, output }, SILENT);
    return { predicted, notes, readme: readFileSync(join(output, "README.md"), "utf8") };
  };
  const cases: [EngineName, Kind, RegExp | null][] = [
    ["transformers", { segment: { drafter: model("int8") } }, /of it in int8/],
    ["transformers", { segment: { drafter: model("target") } }, null],
    ["vllm", { segment: { drafter: looking(2, 2) } }, /from the earliest place/],
    ["llama.cpp", { segment: { drafter: looking(2, 4) } }, /latest of 2/],
    ["llama.cpp", { segment: { drafter: looking(2, 2) } }, null],
    ["transformers", { segment: layer, plan: device({ target: "int8" }) }, /target computes in int8/],
    ["onnxruntime-genai", { segment: layer, plan: device({ target: "int8" }) }, null],
    ["transformers", { segment: layer, plan: device({ target: "fp16" }) }, null],
  ];
  for (const [to, kind, why] of cases) {
    const { predicted, notes, readme } = await run(to, kind);
    if (why === null) expect(predicted, to).toMatchObject({ acceptance: 0.7, accepted_length: 2.7 });
    else {
      expect(predicted, to).toBeNull();
      expect(notes.filter((note) => why.test(note) && /nothing is predicted/.test(note))).toHaveLength(1);
      expect(readme).toContain('Nothing is predicted, for a reason given under "What is lost".');
    }
  }
});

test("a lookup's made-up acceptance is that of the rounds in which it drafts, and its export is consistent", async () => {
  const drafts = { drafter: looking(2, 2), draft_tokens: 3 };
  const predicted = { ...PREDICTED, match_rate: 0.8, acceptance: 0.9 };
  const plan = await planOf({ segment: { ...drafts, predicted } });
  const run = async (to: EngineName) => {
    const output = join(root, `lookup-${++count}`);
    return { output, document: await exportPlan({ plan, to, model: MODEL, output }, SILENT) };
  };
  const { output } = await run("vllm");
  const { synthetic_acceptance_rates: rates } = JSON.parse(
    readFileSync(join(output, "speculative_config.synthetic.json"), "utf8"),
  );
  expect(rates).toEqual([1, 0.625, 0.5]); // 0.8, 0.5 and 0.4 of all rounds
  const { document } = await run("llama.cpp");
  expect(document.predicted).toMatchObject({ match_rate: 0.8, acceptance: 0.9, accepted_length: 2.7 });
  expect(exportFindings("export.yaml", document)).toEqual([]);
});

test("that MODEL has no tokenizer is said", async () => {
  const bare = writeTinyCheckpoint(join(root, "bare"), { ...SHAPE, bosTokenId: 0, eosTokenIds: [0] });
  const plan = await planOf(KINDS["whole layers left out"]);
  const run = async (model: string) =>
    (await exportPlan({ plan, to: "vllm", model, output: join(root, `bare-${++count}`) }, SILENT)).notes;
  expect(await run(bare)).toEqual([expect.stringMatching(/^MODEL has no tokenizer/)]);
  expect(await run(MODEL)).toEqual([]);
});

test("of a sliding window that llama.cpp does not know nothing is predicted where the plan goes beyond it", async () => {
  const { unpredicted } = await loadExporter("llama.cpp");
  const draft = chooseDraft(await planOf(KINDS["whole layers left out"]), undefined);
  const said = (slidingWindow: number) =>
    unpredicted?.(draft, { spec: { slidingWindow } as ExportModel["spec"] }) ?? null;
  expect(said(511)).toMatch(/window of 511 tokens, .* nothing is predicted/);
  expect(said(512)).toBeNull();
});

test("nothing is predicted of codes that are not the fitted ones that were measured", async () => {
  for (const [scales, predicted] of [
    ["fitted", null],
    [undefined, { acceptance: 0.7 }],
  ] as const) {
    const own = { ...device(scales === undefined ? {} : { scales }), draft_cache: "own" as const };
    const plan = await planOf({ segment: { ...blocks({ "2.mlp": "int8" }), predicted: PREDICTED }, plan: own });
    const output = join(root, `fitted-${++count}`);
    const document = await exportPlan({ plan, to: "transformers", model: MODEL, output }, SILENT);
    expect(document.predicted).toEqual(predicted === null ? null : expect.objectContaining(predicted));
  }
});
