import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { operationsOf } from "../../src/pipeline/simulation/cost.js";
import { draftplan } from "../support/cli.js";
import { skipping, writePlan } from "../support/plans.js";
import { temporaryFolder, tinySpec } from "../support/tiny-checkpoint.js";

interface Evaluated {
  positions: number;
  acceptance: number;
  mean_cosine: number;
  target_top1: number[];
  draft_top1: number[];
}

const ids = Array.from({ length: 48 }, (_, i) => 100 + ((i * 37) % 900));
const folder = temporaryFolder();
const file = (name: string, content: unknown): string => {
  writeFileSync(join(folder, name), JSON.stringify(content));
  return join(folder, name);
};
const evaluate = async (...args: string[]): Promise<Evaluated> => {
  const { code, stdout, stderr } = await draftplan(["evaluate", "embedded", ...args, "--json"]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
  return JSON.parse(stdout) as Evaluated;
};

test("every key of the contract is there, one entry for each position", async () => {
  const found = await evaluate("--skip", "5.attn, 3.mlp", "--ids", file("ids.json", ids));
  expect(Object.keys(found)).toEqual(["positions", "acceptance", "mean_cosine", "target_top1", "draft_top1"]);
  expect([found.positions, found.target_top1.length, found.draft_top1.length]).toEqual([48, 48, 48]);
  const hits = found.target_top1.filter((token, i) => token === found.draft_top1[i]).length;
  expect(found.acceptance).toBe(hits / 48);
  expect(found.acceptance).toBeGreaterThan(0);
  expect(found.acceptance).toBeLessThan(1);
  expect(found.mean_cosine).toBeGreaterThan(0.5);
  expect(found.mean_cosine).toBeLessThan(1);
});

test("positions before `first` are context only: the rest is the same", async () => {
  const all = await evaluate("--skip", "5.attn,3.mlp", "--ids", file("all.json", ids));
  const rest = await evaluate("--skip", "5.attn,3.mlp", "--ids", file("rest.json", { ids, first: 30 }));
  expect(rest.positions).toBe(18);
  expect(rest.target_top1).toEqual(all.target_top1.slice(30));
  expect(rest.draft_top1).toEqual(all.draft_top1.slice(30));
});

test("a plan drafts at each position as its segment says; where it does not, the target itself counts", async () => {
  const { stdout } = await draftplan(["inspect", "embedded", "--json"]);
  const { name, layers, architecture_sha256, weights_sha256 } = JSON.parse(stdout);
  const model = { name, layers, architectureSha256: architecture_sha256, weightsSha256: weights_sha256 };
  const plan = writePlan(join(folder, "plan.yaml"), {
    ...model,
    draft: skipping("5.attn", "3.mlp"),
    draftTokens: 4,
    to: 30,
  });
  const {
    code,
    stdout: json,
    stderr,
  } = await draftplan([...["evaluate", "embedded", "--plan", plan, "--ids", file("plan.json", ids), "--json"]]);
  expect({ code, stderr }).toEqual({ code: 0, stderr: expect.stringMatching(/^warning \[PAST_LAST_SEGMENT\]: .*\n$/) });
  const found = JSON.parse(json) as Evaluated;
  const skipped = await evaluate("--skip", "5.attn,3.mlp", "--ids", file("skip.json", ids));
  expect(found.draft_top1.slice(0, 30)).toEqual(skipped.draft_top1.slice(0, 30));
  expect(found.draft_top1.slice(30)).toEqual(found.target_top1.slice(30));
});

test.each([
  [
    "an early end",
    { stop: { rule: "early", draft_tokens: 2, confidence: [{ below: 1, acceptance: 0.5 }], go_on_from: [1] } },
  ],
  ["siblings of its last token", { drafter: { kind: "self", siblings: 2 } }],
])("a draft's blocks are what they are with %s", async (_what, more) => {
  const { stdout } = await draftplan(["inspect", "embedded", "--json"]);
  const { name, layers, architecture_sha256, weights_sha256 } = JSON.parse(stdout);
  const context_tokens = { from: 0, to: 200 };
  const plan = file("more.json", {
    ...{ kind: "draftplan/plan", version: 1, model: { name, layers, architecture_sha256, weights_sha256 } },
    segments: [{ context_tokens, speculate: true, draft: skipping("5.attn", "3.mlp"), draft_tokens: 4, ...more }],
  });
  const short = file("short.json", ids.slice(0, 30));
  const found = await evaluate("--plan", plan, "--ids", short);
  expect(found).toEqual(await evaluate("--skip", "5.attn,3.mlp", "--ids", short));
  expect(found.draft_top1).not.toEqual(found.target_top1);
});

test("no choice can be a simulated kernel, and what else is asked for with one is refused", async () => {
  const profile = new URL("../../profiles/union-10m.profile.yaml", import.meta.url).pathname;
  for (const other of [
    ["--choices", "skip,oasis"],
    ["--simulate", "oasys"],
  ]) {
    const verb = other[0] === "--simulate" ? ["evaluate", "embedded"] : ["calibrate", "embedded"];
    const refused = await draftplan([...verb, ...other]);
    expect(refused.code).toBe(2);
    expect(refused.stderr).toMatch(/OPTION_INVALID/);
  }
  const alone = await draftplan(["evaluate", "embedded", "--skip", "5.attn", "--profile", profile]);
  expect([alone.code, alone.stderr]).toEqual([2, expect.stringMatching(/USAGE.*\n.*none is simulated/)]);
});

test("operations of a step are counted matrix by matrix", () => {
  const spec = tinySpec({ layers: 2, hidden: 64, heads: 4, kvHeads: 2, headDim: 16, intermediate: 400, vocab: 80 });
  // [out, inner, outliers at both ends]: queries with keys and values, output, gate with up, down; then the head
  const layer = [
    [128, 64, 2],
    [64, 64, 2],
    [800, 64, 2],
    [64, 400, 4],
  ];
  const all = [...layer, ...layer, [spec.vocabSize, 64, 2]];
  const sum = (of: (out: number, inner: number, outliers: number) => number) =>
    all.reduce((total, [out, inner, outliers]) => total + of(out, inner, outliers), 0);
  expect(operationsOf(spec)).toEqual({
    lookups: sum((out, inner) => out * inner),
    multiplications: sum((out, _, outliers) => out * outliers + out),
    comparisons: Math.round(sum((_, inner, outliers) => 4 * inner + 1.5 * inner + outliers * Math.log2(inner))),
    weight_bytes: sum((out, inner) => (out * inner) / 2 + 4 * out + 4 * 256),
  });
});
