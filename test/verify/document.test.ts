/** From a verified plan to the document: where it names its inputs, what it decides, how it is written. */
import { describe, expect, test } from "vitest";
import { verificationSummary } from "../../src/output/verification-summary.js";
import { buildVerification, type VerificationRequest } from "../../src/pipeline/verify/document.js";
import { parseDocument, stringifyDocument } from "../../src/schema/document.js";
import type { Verification } from "../../src/schema/verification.js";
import type { PromptRuns } from "../../src/verify/index.js";
import { digest, fake, plan, promptsOf, speculating } from "./support.js";

const drafting = plan(speculating(0, 512, 4));

function build(changes: Partial<VerificationRequest> = {}, warn: (code: string) => void = () => {}) {
  const { engine, clock } = fake(0.3);
  const request: VerificationRequest = {
    loaded: { engine, ref: { name: "fake", layers: 3, architecture_sha256: digest, weights_sha256: digest } },
    plan: drafting,
    planRef: { path: "plan.yaml", sha256: digest },
    prompts: promptsOf(9, 30),
    device: { processor: "test", provider: "cpu", threads: 1, runtime: "fake 1", platform: "test" },
    alternatives: false,
    maxTokens: 100,
    created: new Date(0),
    clock,
    ...changes,
  };
  return buildVerification(request, { tick: async () => {}, warn });
}

describe("inputs", () => {
  const sha = (digit: string) => digit.repeat(64);
  const inputs = {
    profile: { path: "../profiles/p.yaml", sha256: sha("1") },
    calibration: { path: "c.yaml", sha256: sha("2") },
  };

  test.each([
    { planPath: "plan.yaml", profile: "../profiles/p.yaml", calibration: "c.yaml" },
    { planPath: "../plans/plan.yaml", profile: "../profiles/p.yaml", calibration: "../plans/c.yaml" },
    { planPath: "in/plans/plan.yaml", profile: "in/profiles/p.yaml", calibration: "in/plans/c.yaml" },
  ])("of a plan at $planPath are named as seen from the document", async ({ planPath, profile, calibration }) => {
    const document = await build({ plan: { ...drafting, inputs }, planRef: { path: planPath, sha256: digest } });
    expect(document.inputs).toEqual({
      profile: { path: profile, sha256: sha("1") },
      calibration: { path: calibration, sha256: sha("2") },
    });
  });

  test("of a plan written by hand are left out", async () => {
    expect(await build()).not.toHaveProperty("inputs");
  });

  test("and the tokenizer's digest is null where there was none to use", async () => {
    expect((await build({ tokenizerSha256: null })).tokenizer_sha256).toBeNull();
    expect((await build({ tokenizerSha256: sha("3") })).tokenizer_sha256).toBe(sha("3"));
  });
});

/** What three prompts leave in a journal. */
async function finishedRuns(): Promise<PromptRuns[]> {
  const runs: PromptRuns[] = [];
  const record = (_index: number, [run]: readonly PromptRuns[]) => void runs.push(run);
  await build({ prompts: promptsOf(9, 30, 40), journal: { finished: new Map(), resumed: 0, record } });
  return runs;
}

describe("the text", () => {
  test("is read again as it was, and its lists of ids fill lines of up to 120 characters", async () => {
    const document = await build();
    const text = stringifyDocument(document);
    expect(parseDocument(text, "v.yaml")).toEqual(document);
    const lines = text.split("\n");
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(120);
    expect(lines.length).toBeLessThan(90); // 200 ids
  });

  test.each([21, 22, 100, 777])("holds a list of %i ids whatever their length", async (count) => {
    const document = await build();
    const ids = Array.from({ length: count }, (_, i) => 10 ** (i % 7) * (i % 9));
    const changed: Verification = { ...document, prompts: [{ ...document.prompts[0], reference_ids: ids }] };
    expect(parseDocument(stringifyDocument(changed), "v.yaml")).toEqual(changed);
  });

  test("leaves out ids that would make it too large to be read, and warns", async () => {
    const warnings: string[] = [];
    const runs = await finishedRuns();
    const long = new Array<number>(100_000).fill(7);
    const finished = new Map(runs.map((run, i) => [i, [{ ...run, reference: long, output: long }]] as const));
    const journal = { finished, resumed: 1, record: () => {} };
    const document = await build({ prompts: promptsOf(9, 30, 40), journal }, (code) => warnings.push(code));
    expect(warnings).toEqual(["FEW_PROMPTS", "TOKEN_IDS_LEFT_OUT"]);
    expect(document.prompts[0]).not.toHaveProperty("reference_ids");
    expect(document).toMatchObject({ tokens: 300_000, reference_sha256: expect.stringMatching(/^[0-9a-f]{64}$/) });
  });
});

describe("the table", () => {
  test("names each requirement that failed, and stays within 80 columns", async () => {
    const thresholds = { minSpeedup: 9, minAcceptance: 0.99, maxPredictionErrorPercent: 5 };
    const document = await build({ thresholds, prompts: promptsOf(9, 30, 40, 60) });
    expect(document.decided?.failed).toEqual(["min_speedup", "min_acceptance", "max_prediction_error_percent"]);
    const lines = verificationSummary(document);
    const failed = lines.join("\n").match(/FAILED.*/g) ?? [];
    expect(failed).toEqual([
      expect.stringMatching(/--min-speedup: the lower end, [\d.]+, is below the 9 asked for/),
      expect.stringMatching(/--min-acceptance: 0\.\d{3} is below the 0.99 asked for/),
      expect.stringMatching(/--max-prediction-error: nothing was predicted/),
    ]);
    for (const line of lines.join("\n").split("\n")) expect([...line].length).toBeLessThanOrEqual(80);
  });
});
