/** Small hand-made documents, with costs and losses a reader can add up. */
import type { Calibration, MeasuredDraft } from "../../src/schema/calibration.js";
import { DEFAULT_KERNELS } from "../../src/schema/choice.js";
import { numericsOf } from "../../src/schema/common.js";
import type { Profile, ProfilePoint } from "../../src/schema/profile.js";

export const LAYERS = 3;
const model = { name: "tiny", layers: LAYERS, architecture_sha256: "a".repeat(64), weights_sha256: "b".repeat(64) };

/** µs of one block: attention grows with n, everything a little with q; int8 costs 0.4 of the target. */
export const blockUs = (kind: "attn" | "mlp", layer: number, int8: boolean, n: number, q: number): number =>
  (kind === "attn" ? 100 + 10 * layer + n / 10 : 200 + 20 * layer) * (int8 ? 0.4 : 1) * (1 + (q - 1) / 40);
export const FIXED_US = 30;
export const headUs = (int8: boolean, q: number): number => (int8 ? 50 : 120) * (1 + (q - 1) / 40);
/** µs of a whole pass in which every block runs alike. Straight lines in q, so that what is read between profiled ones is exact. */
export function passUs(int8: boolean, n: number, q: number): number {
  let us = FIXED_US + headUs(int8, q);
  for (let layer = 0; layer < LAYERS; layer++)
    us += blockUs("attn", layer, int8, n, q) + blockUs("mlp", layer, int8, n, q);
  return us;
}
export const LOOP = { round_us: 20, step_us: 8 };
export const CONTEXTS = [64, 256, 1024];
export const QUERIES = [1, 5, 17];

function point(n: number, q: number): ProfilePoint {
  const list = (kind: "attn" | "mlp", int8: boolean) =>
    Array.from({ length: LAYERS }, (_, layer) => blockUs(kind, layer, int8, n, q));
  const kernels = (kind: "attn" | "mlp") =>
    q === 1 ? { target: list(kind, false), int8: list(kind, true) } : { target: list(kind, false) };
  const head = q === 1 ? { target: headUs(false, q), int8: headUs(true, q) } : { target: headUs(false, q) };
  const measured = { whole_target_us: 1000, residual_percent: 1, passes: 10 };
  return {
    context_tokens: n,
    query_tokens: q,
    fixed_us: FIXED_US,
    head_us: head,
    attn_us: kernels("attn"),
    mlp_us: kernels("mlp"),
    ...measured,
  };
}

export function makeProfile(): Profile {
  return {
    kind: "draftplan/profile",
    version: 1,
    model,
    device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake", platform: "test" },
    kernels: numericsOf(DEFAULT_KERNELS),
    grid: { context_tokens: CONTEXTS, query_tokens: QUERIES },
    points: CONTEXTS.flatMap((n) => QUERIES.map((q) => point(n, q))),
    loop: LOOP,
    attention_line: [],
    sampling: { rounds: 10, seed: 1, spread_percent: 1, contention_percent: 1 },
  };
}

/** ℓ of a block: int8 is cheap, skipping dearer, the first layer dearest. */
export const lossOf = (kind: "attn" | "mlp", layer: number, choice: "int8" | "skip"): number =>
  (choice === "int8" ? 0.002 : kind === "attn" ? 0.03 : 0.08) * (layer === 0 ? 8 : 1 + layer / 10);
export const HEAD_LOSS = 0.004;

export function makeCalibration(contexts = [128], measured: MeasuredDraft[] = []): Calibration {
  const losses = (kind: "attn" | "mlp", choice: "int8" | "skip") =>
    Array.from({ length: LAYERS }, (_, layer) => ({ loss: lossOf(kind, layer, choice), standard_error: 0.001 }));
  return {
    kind: "draftplan/calibration",
    version: 1,
    model,
    kernels: numericsOf(DEFAULT_KERNELS),
    text: {
      source: "test",
      sha256: "c".repeat(64),
      prompts: { choose: 1, report: 1 },
      continuation_tokens: 64,
      round_tokens: 16,
    },
    contexts: contexts.map((at_context) => ({
      at_context,
      positions: 100,
      hits_per_overlap: 1,
      head: { int8: { loss: HEAD_LOSS, standard_error: 0.001 } },
      attn: { int8: losses("attn", "int8"), skip: losses("attn", "skip") },
      mlp: { int8: losses("mlp", "int8"), skip: losses("mlp", "skip") },
    })),
    measured,
  };
}
