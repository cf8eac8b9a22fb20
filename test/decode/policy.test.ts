import { describe, expect, test, vi } from "vitest";
import type { Heads } from "../../src/decode/drafters/heads.js";
import { drafterOf, selfChoices } from "../../src/decode/drafters/self.js";
import { planPolicy, requireSameModel } from "../../src/decode/policy.js";
import { acceptanceCurve, acceptanceOf } from "../../src/decode/statistics.js";
import type { Plan } from "../../src/schema/plan.js";
import { expectFailure } from "../support/failure.js";
import { allInt8, handPlan, skipping } from "../support/plans.js";

const A = "a".repeat(64);
const B = "b".repeat(64);
const plan = (): Plan => ({
  ...handPlan({
    name: "tiny",
    layers: 3,
    architectureSha256: A,
    weightsSha256: B,
    draft: allInt8,
    draftTokens: 5,
    to: 100,
  }),
  segments: [
    { context_tokens: { from: 0, to: 100 }, speculate: true, draft: skipping("1.attn"), draft_tokens: 2 },
    { context_tokens: { from: 100, to: 200 }, speculate: false },
    { context_tokens: { from: 200, to: 300 }, speculate: true, draft: allInt8, draft_tokens: 5 },
  ],
});

test("each context drafts as its segment says; ranges are half-open", () => {
  const policy = planPolicy(plan(), 3, "plan.yaml");
  const choicesAt = (contextTokens: number) => {
    const request = policy(contextTokens);
    return request === null ? null : selfChoices(drafterOf(request));
  };
  expect(policy(0)?.draftTokens).toBe(2);
  expect(choicesAt(99)?.blocks).toEqual(["target", "target", "skip", "target", "target", "target"]);
  expect(policy(100)).toBeNull();
  expect(policy(199)).toBeNull();
  expect(choicesAt(200)).toEqual({ head: "int8", blocks: new Array(6).fill("int8") });
});

test("past the last segment nothing is drafted, and that is said once", () => {
  const onPast = vi.fn();
  const policy = planPolicy(plan(), 3, "plan.yaml", onPast);
  expect([policy(299) === null, policy(300), policy(4000)]).toEqual([false, null, null]);
  expect(onPast.mock.calls).toEqual([[300]]);
});

test("its drafters are named beforehand, each once", () => {
  const policy = planPolicy(plan(), 3, "plan.yaml");
  const used = [0, 250].flatMap((n) => policy(n) ?? []).map(drafterOf);
  expect(policy.drafters).toEqual(used);
});

test("a segment's draft is one object, so that an engine can tell that nothing changed", () => {
  const policy = planPolicy(plan(), 3, "plan.yaml");
  expect(policy(3)).toBe(policy(70));
});

test.each([
  ["another number of layers", { ...plan(), model: { ...plan().model, layers: 4 } }, "DOCUMENT_MISMATCH", /4 layers/],
  [
    "a block named twice",
    withDraft({ ...skipping("1.attn"), choices: { "1.attn": "int8" } }),
    "DOCUMENT_INVALID",
    /segments\[0\]\.draft\.choices\.1\.attn.*named twice/,
  ],
  [
    "a layer the model does not have",
    withDraft(skipping("3.attn")),
    "BLOCK_UNKNOWN",
    /segments\[0\]\.draft\.skip\[0\]/,
  ],
  ["another spelling", withDraft(skipping("01.attn")), "BLOCK_UNKNOWN", /01\.attn/],
] as const)("%s is refused", async (_what, document, code, message) => {
  await expectFailure(() => planPolicy(document, 3, "plan.yaml"), code, message);
});

describe("a segment that heads draft in", () => {
  const heads = (sha256: string): Heads => ({
    ...{ kind: "medusa", heads: 2, ranks: 3, sha256, guess: () => new Int32Array(3), close: () => {} },
  });
  const segment = (sha256: string, tree: number[][]) => ({
    ...{ context_tokens: { from: 300, to: 400 }, speculate: true, draft_tokens: 2 },
    drafter: { kind: "heads" as const, sha256, path: "heads", tree },
  });
  const withHeads = (sha256 = A, tree = [[0], [1], [0, 2]]): Plan => ({
    ...plan(),
    segments: [...plan().segments, segment(sha256, tree)],
  });

  test("asks the open heads of its digest for its tree, and others go on as they did", () => {
    const policy = planPolicy(withHeads(), 3, "plan.yaml", () => {}, [heads(B), heads(A)]);
    const request = policy(350);
    expect(request?.draftTokens).toBe(2);
    const drafter = request === null ? null : drafterOf(request);
    expect(drafter?.key).toContain(A);
    expect(drafter?.key).toMatch(/0 1 0\.2$/);
    expect(policy(0)?.draftTokens).toBe(2);
    expect(policy.drafters).toContain(drafter);
  });

  test("is refused where its heads are not open, or cannot draft its tree", async () => {
    await expectFailure(
      () => planPolicy(withHeads(), 3, "plan.yaml", () => {}, [heads(B)]),
      "DRAFTER_NOT_OPEN",
      /segments\[3\]\.drafter/,
    );
    await expectFailure(
      () => planPolicy(withHeads(A, [[0], [3]]), 3, "plan.yaml", () => {}, [heads(A)]),
      "TREE_INVALID",
      /segments\[3\]\.drafter\.tree\[1\].*rank 3/,
    );
  });
});

function withDraft(draft: NonNullable<Plan["segments"][number]["draft"]>): Plan {
  const document = plan();
  document.segments[0].draft = draft;
  return document;
}

test("architecture and weights must be those the document was made with; a profile without weights fits any", async () => {
  const checkpoint = { spec: { name: "mine" }, architectureSha256: A, weightsSha256: B };
  const document = (architecture: string, weights: string | null) => ({
    model: { name: "tiny", architecture_sha256: architecture, weights_sha256: weights },
  });
  requireSameModel(document(A, B), checkpoint, "plan.yaml");
  requireSameModel(document(A, null), checkpoint, "plan.yaml");
  await expectFailure(
    () => requireSameModel(document(B, B), checkpoint, "plan.yaml"),
    "DOCUMENT_MISMATCH",
    /architecture/,
  );
  await expectFailure(() => requireSameModel(document(A, A), checkpoint, "plan.yaml"), "DOCUMENT_MISMATCH", /weights/);
});

const round = (drafted: number, accepted: number) => ({ drafted, accepted });

test("acceptance counts tokens drafted up to and including the first rejection", () => {
  // 2 of 3 tried, 4 of 4, 0 of 1; plain steps do not count
  const statistics = acceptanceOf([round(4, 2), round(4, 4), round(0, 0), round(4, 0)]);
  expect(statistics).toEqual({
    drafted: 12,
    accepted: 6,
    speculative: 3,
    acceptance: 6 / 8,
    curve: [1, 2 / 3, 2 / 3, 1 / 3, 1 / 3],
    acceptedLength: 3,
  });
});

test("nothing drafted is no acceptance, not an acceptance of 0", () => {
  expect(acceptanceOf([round(0, 0)])).toEqual({
    drafted: 0,
    accepted: 0,
    speculative: 0,
    acceptance: null,
    curve: null,
    acceptedLength: null,
  });
});

test("a short last round counts for the positions it reached", () => {
  expect(acceptanceCurve([round(3, 3), round(1, 0)])).toEqual([1, 0.5, 0.5, 0.5]);
});
