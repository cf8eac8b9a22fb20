/** One valid document of every kind, small. */
import type { Calibration } from "../../src/schema/calibration.js";
import type { Comparison } from "../../src/schema/comparison.js";
import type { AnyDocument } from "../../src/schema/document.js";
import type { Export } from "../../src/schema/export.js";
import type { Plan } from "../../src/schema/plan.js";
import type { Profile } from "../../src/schema/profile.js";
import type { TargetComparison } from "../../src/schema/targets/document.js";
import type { Verification } from "../../src/schema/verification.js";

const A = "a".repeat(64);
const B = "0123456789abcdef".repeat(4);
const model = { name: "tiny: a model # with 'odd' \"name\"", layers: 2, architecture_sha256: A, weights_sha256: B };
const device = {
  processor: "Some CPU @ 2.00GHz",
  provider: "cpu",
  threads: 2,
  runtime: "onnxruntime 1.30.0",
  platform: "linux x64",
};
const kernels = { target: "fp32", int8: "MatMulNBits, 8 bits, symmetric, block 32, accuracy_level 4" };
const loss = (value: number) => ({ loss: value, standard_error: value / 10 });

export const plan = (): Plan => ({
  kind: "draftplan/plan",
  version: 1,
  model,
  device,
  inputs: {
    profile: { path: "../profiles/p.yaml", sha256: A },
    calibration: { path: "../profiles/c.yaml", sha256: B },
  },
  method: "knapsack",
  choices: ["skip", "int8"],
  segments: [
    {
      context_tokens: { from: 0, to: 1024 },
      speculate: true,
      draft: { default: "int8", head: "int8", skip: ["0.attn", "1.mlp"], choices: { "0.mlp": "target" } },
      draft_tokens: 3,
      predicted: {
        at_context: 512,
        acceptance: 0.93,
        acceptance_curve: [1, 0.95, 0.9, 0.82],
        accepted_length: 3.67,
        draft_us: 8400.5,
        verify_us: 24800,
        round_us: 60,
        target_step_us: 21500,
        tokens_per_second: 68.9,
        speedup: 1.48,
        lp_gap_percent: 0.02,
      },
    },
    { context_tokens: { from: 1024, to: 4096 }, speculate: false },
  ],
});

export const profile = (): Profile => ({
  kind: "draftplan/profile",
  version: 1,
  model: { ...model, weights_sha256: null },
  device,
  kernels,
  grid: { context_tokens: [64, 512], query_tokens: [1, 4] },
  points: [64, 512].flatMap((n) =>
    [1, 4].map((q) => ({
      context_tokens: n,
      query_tokens: q,
      fixed_us: 12.5,
      head_us: { target: 100, int8: 40 },
      attn_us: { target: [10 + n / 100, 11], int8: [4, 5] },
      mlp_us: { target: [20, 21], int8: [7, 8] },
      whole_target_us: 180,
      residual_percent: 1.2,
      passes: 40,
    })),
  ),
  loop: { round_us: 55, step_us: 12 },
  attention_line: [{ kernel: "target", intercept_us: 10.1, slope_us_per_token: 0.01, r_squared: 0.99 }],
  sampling: { rounds: 9, seed: 1, spread_percent: 4, contention_percent: 2 },
});

export const calibration = (): Calibration => ({
  kind: "draftplan/calibration",
  version: 1,
  model,
  kernels,
  text: { source: "bundled", sha256: A, prompts: { choose: 6, report: 3 }, continuation_tokens: 64, round_tokens: 8 },
  contexts: [
    {
      at_context: 128,
      positions: 500,
      hits_per_overlap: 0.8,
      head: { int8: loss(0.001) },
      attn: { int8: [loss(0.0003), loss(1e-9)], skip: [loss(0.1), loss(2.5)] },
      mlp: { int8: [loss(0), loss(0.0002)], skip: [loss(3), loss(0.4)] },
    },
  ],
  measured: [
    {
      at_context: 128,
      part: "choose",
      draft: { default: "int8", head: "int8", skip: [], choices: {} },
      tokens: 400,
      curve: [1, 0.97, 0.93],
    },
  ],
});

export const verification = (): Verification => ({
  kind: "draftplan/verification",
  version: 1,
  model,
  device,
  plan: { path: "plan.yaml", sha256: A },
  created: "2026-01-02T03:04:05Z",
  lossless: true,
  ties: 0,
  tokens: 128,
  acceptance: 0.91,
  acceptance_curve: [1, 0.91, 0.8],
  accepted_length: 2.7,
  speedup: { median: 1.4, low: 1.3, high: 1.5 },
  predicted_speedup: 1.45,
  prediction_error_percent: 3.6,
  tokens_per_second: { target: 40, plan: 56 },
  pairs: 2,
  max_tokens: 64,
  prompts_sha256: B,
  by_context: [],
  prompts: [
    {
      prompt: "Fellow citizens",
      prompt_tokens: 4,
      tokens: 128,
      ties: 0,
      first_mismatch: null,
      worst_margin: 0,
      acceptance: 0.91,
      speedup: 1.4,
      predicted_speedup: 1.45,
    },
  ],
  alternatives: [],
});

const steady = (value: number) => ({ median: value, low: value, high: value });

/** Two prompts of two timed tokens: 10, 20 and 12.5 ms a token. */
export const comparison = (): Comparison => ({
  kind: "draftplan/comparison",
  version: 1,
  model,
  device,
  inputs: {
    profile: { path: "../profiles/p.yaml", sha256: A },
    calibration: { path: "../profiles/c.yaml", sha256: B },
  },
  text: { source: "bundled", sha256: A },
  prompts: { source: "bundled, the part not chosen on", sha256: B },
  tokenizer_sha256: A,
  versions: { draftplan: "0.1.0", node: "20.19.0" },
  created: "2026-01-02T03:04:05Z",
  choices: ["int8", "skip"],
  baseline: "knapsack",
  methods: [
    { method: "knapsack", choices: ["int8", "skip"], solve_seconds: 12.5 },
    { method: "none", choices: [], solve_seconds: 0 },
    { method: "int8", choices: ["int8"], solve_seconds: 1.5 },
  ],
  max_tokens: 3,
  pairs: 2,
  time_limit_seconds: null,
  lossless: true,
  contexts: [
    {
      context_tokens: 128,
      target_step_us: 20000,
      round_us: 50,
      verify_us: [20500, 21000, 21500],
      prompts: [
        { prompt: "128.1: … of the people", prompt_tokens: 128, tokens: 3 },
        { prompt: "128.2: … our country", prompt_tokens: 126, tokens: 3 },
      ],
      rows: [
        {
          method: "knapsack",
          draft: { default: "int8", head: "int8", skip: ["0.attn"], choices: { "0.mlp": "target" } },
          draft_tokens: 3,
          predicted: { acceptance: 0.93, draft_us: 4000, tokens_per_second: 105, speedup: 2.1 },
          measured: {
            acceptance: 0.9,
            tokens_per_second: { median: 100, low: 90, high: 110 },
            speedup: { median: 2, low: 1.9, high: 2.1 },
            baseline_speed_ratio: steady(1),
          },
          prediction_error_percent: 5,
          lossless: true,
          ties: 0,
          us_per_token: [
            [10000, 10000],
            [10000, 10000],
          ],
        },
        {
          method: "none",
          predicted: { acceptance: null, draft_us: null, tokens_per_second: 50, speedup: 1 },
          measured: {
            acceptance: null,
            tokens_per_second: { median: 50, low: 45, high: 55 },
            speedup: steady(1),
            baseline_speed_ratio: { median: 2, low: 1.9, high: 2.1 },
          },
          prediction_error_percent: 0,
          lossless: true,
          ties: 0,
          us_per_token: [
            [20000, 20000],
            [20000, 20000],
          ],
        },
        {
          method: "int8",
          draft: { default: "int8", head: "int8", skip: [], choices: {} },
          draft_tokens: 2,
          predicted: null,
          measured: {
            acceptance: 0.97,
            tokens_per_second: { median: 80, low: 75, high: 85 },
            speedup: { median: 1.6, low: 1.5, high: 1.7 },
            baseline_speed_ratio: { median: 1.25, low: 1.2, high: 1.3 },
          },
          prediction_error_percent: null,
          lossless: true,
          ties: 0,
          us_per_token: [
            [12500, 12500],
            [12500, 12500],
          ],
        },
      ],
      frontier: [
        { draft_us: 3000, acceptance: 0.8, evidence: "surrogate" },
        { draft_us: 4000, acceptance: 0.93, evidence: "surrogate" },
        { draft_us: 20000, acceptance: 1, evidence: "surrogate" },
        { draft_us: 8000, acceptance: 0.97, evidence: "choose" },
        { draft_us: 8000, acceptance: 0.96, evidence: "report" },
      ],
    },
  ],
});

export const exported = (): Export => ({
  kind: "draftplan/export",
  version: 1,
  model,
  engine: { name: "transformers", tried_version: "5.17.0" },
  plan: { path: "../plans/p.yaml", sha256: A },
  segment: { from: 0, to: 1024 },
  drafter: { kind: "self" },
  draft: { default: "target", head: "target", skip: ["0.attn", "0.mlp"], choices: {} },
  draft_tokens: 2,
  predicted: {
    at_context: 512,
    draft_cache: "own",
    acceptance: 0.9,
    acceptance_curve: [1, 0.9, 0.81],
    accepted_length: 2.71,
    speedup: 1.3,
    positions: 512,
  },
  files: [{ path: "model.safetensors", bytes: 1234, sha256: B }],
  notes: ["One segment of two was exported."],
});

/** fp32 and int8, plain and with a lookup; two prompts, 20, 16, 10 and 8 ms a token. */
export const targets = (): TargetComparison => {
  const way = (target: "fp32" | "int8", drafter: string, ms: number, own: number) => ({
    ...{ target, drafter, drafts: drafter === "none" ? "nothing" : "8 tokens with a lookup of 3 to 8 tokens" },
    acceptance: drafter === "none" ? null : 0.5,
    tokens_per_second: { median: 1000 / ms, low: 900 / ms, high: 1100 / ms },
    speedup: { median: 20 / ms, low: 18 / ms, high: 22 / ms },
    own_speedup: steady(own / ms),
    ...{ lossless: true, ties: target === "int8" && drafter !== "none" ? 1 : 0 },
    us_per_token: [[1000 * ms], [1000 * ms]],
  });
  return {
    kind: "draftplan/targets",
    version: 1,
    ...{ model, device },
    text: { source: "bundled", sha256: A },
    prompts: { source: "bundled, the part held back", sha256: B },
    tokenizer_sha256: A,
    versions: { draftplan: "0.1.0", node: "20.19.0" },
    created: "2026-01-02T03:04:05Z",
    ...{ max_tokens: 24, pairs: 1, time_limit_seconds: null, quality_windows: 4, quality_tokens: 1020 },
    targets: [
      {
        ...{ target: "fp32", weight_bytes: 540_000_000, perplexity: 12.5 },
        ...{ perplexity_ratio: steady(1), agreement: steady(1) },
      },
      {
        ...{ target: "int8", weight_bytes: 152_000_000, requantised: "210 tensors in Q4_1", perplexity: 12.6 },
        perplexity_ratio: { median: 1.008, low: 1.005, high: 1.011 },
        agreement: { median: 0.975, low: 0.97, high: 0.98 },
      },
    ],
    contexts: [
      {
        context_tokens: 128,
        prompts: [
          { prompt: "128.1: … of the people", prompt_tokens: 128 },
          { prompt: "128.2: … our country", prompt_tokens: 126 },
        ],
        ways: [
          way("fp32", "none", 20, 20),
          way("fp32", "lookup", 16, 20),
          way("int8", "none", 10, 10),
          way("int8", "lookup", 8, 10),
        ],
      },
    ],
    lossless: true,
  };
};

export const EVERY_KIND: [string, () => AnyDocument][] = [
  ["plan", plan],
  ["profile", profile],
  ["calibration", calibration],
  ["verification", verification],
  ["comparison", comparison],
  ["targets", targets],
  ["export", exported],
];
