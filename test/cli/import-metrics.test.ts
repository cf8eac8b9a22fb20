/** An engine's figures beside an export's, at the command line: verdicts, exit codes, and a calibration that takes them over. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Calibration } from "../../src/schema/calibration.js";
import { readDocumentOf, writeDocument } from "../../src/schema/document.js";
import { standaloneCurve } from "../../src/schema/draft-cache.js";
import type { Export } from "../../src/schema/export.js";
import { draftplan } from "../support/cli.js";
import { calibration, exported, plan } from "../support/example-documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
let files = 0;
const path = (name: string) => join(folder, `${files++}-${name}`);

const document = (change: Partial<Export> = {}): string => {
  const at = path("export.yaml");
  writeDocument(at, { ...exported(), ...change });
  return at;
};

/** 1000 rounds of two tokens: `first` accepted the first one, `second` both. */
function counts(first: number, second: number, drafted = 2000, rounds = 1000): string {
  const at = path("counts.json");
  const evaluated = rounds + first;
  const json = {
    ...{ kind: "draftplan/transformers-counts", rounds, tokens: rounds + first + second, drafted, evaluated },
    ...{ accepted: first + second, drafted_per_position: [rounds, rounds], accepted_per_position: [first, second] },
  };
  writeFileSync(at, JSON.stringify(json));
  return at;
}

const run = async (...args: string[]) => {
  const { code, stdout, stderr } = await draftplan(["import-metrics", ...args, "--json"]);
  return { code, stderr, json: stdout === "" ? null : JSON.parse(stdout) };
};

const codes = ({ json }: { json: { findings: { code: string }[] } | null }) => json?.findings.map(({ code }) => code);

test("as predicted: exit code 0, with every figure beside the prediction's", async () => {
  const found = await run(counts(900, 810), "--export", document());
  expect({ code: found.code, codes: codes(found), verdict: found.json.verdict }).toEqual({
    ...{ code: 0, codes: [], verdict: "passed" },
  });
  const figures = Object.fromEntries(
    found.json.compared.map(({ name, baseline, candidate }: never) => [
      name,
      [(baseline as { value: number } | null)?.value, (candidate as { value: number }).value],
    ]),
  );
  expect(figures).toEqual({
    "tokens a round (1 + Σ a_i)": [2.71, 2.71],
    "accepted of all drafted (Σ a_i / d)": [expect.closeTo(0.855, 10), 0.855],
    "acceptance rate, to the first rejection": [0.9, 0.9],
    a_1: [0.9, 0.9],
    a_2: [0.81, 0.81],
    "tokens drafted a round": [2, 2],
  });
});

test("lower by more than the tolerance, and surely so: exit code 1", async () => {
  const low = counts(700, 490); // 2.19 of 2.71
  const found = await run(low, "--export", document());
  expect({ code: found.code, codes: codes(found) }).toEqual({ code: 1, codes: ["ACCEPTANCE_LOWER"] });
  expect((await run(low, "--export", document(), "--tolerance", "25%")).code).toBe(0);
});

test("lower, but by too few rounds to tell: a warning, or exit code 1 where asked for", async () => {
  const few = counts(14, 10, 40, 20);
  const found = await run(few, "--export", document());
  expect({ code: found.code, codes: codes(found) }).toEqual({ code: 0, codes: ["MEASUREMENT_INCONCLUSIVE"] });
  expect((await run(few, "--export", document(), "--fail-inconclusive")).code).toBe(1);
});

test("other draft lengths, and predictions that are not there, are found", async () => {
  expect(codes(await run(counts(900, 810, 1500), "--export", document()))).toEqual(["DRAFT_LENGTH_DIFFERS"]);
  const nothing = await run(counts(900, 810), "--export", document({ predicted: null }));
  expect({ code: nothing.code, codes: codes(nothing) }).toEqual({ code: 1, codes: ["NOTHING_COMPARED"] });
});

test("drafts that the ends of short answers cut are as planned, and fewer of their tokens are asked for", async () => {
  // 100 answers of four rounds, of which the last but one drafts one token and the last none: 1.25 a round in place of 2
  const answers = (accepted: number, draft_n: number) => {
    const at = path("answers.json");
    const timings = { predicted_n: 5 + accepted, predicted_ms: 50, draft_n, draft_n_accepted: accepted };
    writeFileSync(at, JSON.stringify(Array.from({ length: 100 }, () => ({ timings }))));
    return at;
  };
  const llama = () => document({ engine: { name: "llama.cpp", tried_version: null } });
  // 1 + 1.71 × 1.25 / 2 = 2.07 tokens a round; 2.25 and 1.75 were emitted
  const short = await run(answers(5, 5), "--export", llama());
  expect({ code: short.code, codes: codes(short) }).toEqual({ code: 0, codes: [] });
  expect(short.json.decided).toEqual([expect.stringMatching(/shorter ones at answers' ends .* predicted 2\.069/)]);
  const low = await run(answers(3, 5), "--export", llama());
  expect({ code: low.code, codes: codes(low) }).toEqual({ code: 1, codes: ["ACCEPTANCE_LOWER"] });
  // at most three tokens of each answer are missing for its end: 40 answers of 10 rounds with one token each lack more
  const other = await run(answers(5, 4), "--export", llama());
  expect(codes(other)).toContain("DRAFT_LENGTH_DIFFERS");
});

test("a lookup is held against what is predicted of the rounds in which it drafts", async () => {
  // half of the rounds find something: over all of them a_1 is 0.45, over those that engines count 0.9
  const predicted = { ...(exported().predicted as NonNullable<Export["predicted"]>), match_rate: 0.5 };
  const lookup = { drafter: { kind: "lookup", ngram_tokens: { min: 2, max: 2 } }, draft: undefined } as const;
  const change = { ...lookup, predicted: { ...predicted, acceptance_curve: [1, 0.45, 0.405], accepted_length: 1.855 } };
  const as = await run(counts(900, 810), "--export", document(change));
  expect({ code: as.code, codes: codes(as) }).toEqual({ code: 0, codes: [] });
  const row = as.json.compared.find(({ name }: { name: string }) => name.startsWith("tokens a round"));
  expect(row).toMatchObject({ baseline: { value: expect.closeTo(2.71, 10) }, candidate: { value: 2.71 } });
  // 1.86 tokens a round over all would be 2.19 of 2.71 where it drafts
  expect((await run(counts(700, 490), "--export", document(change))).code).toBe(1);
  // shorter drafts are what a lookup has: it goes on as far as the text that it found
  expect(codes(await run(counts(900, 810, 1500), "--export", document(change)))).toEqual([]);
});

test("a plan may stand for an export", async () => {
  const at = path("plan.yaml");
  const { inputs: _, ...whole } = plan();
  const { segments } = whole;
  writeDocument(at, { ...whole, draft_cache: "own", segments });
  const metrics = path("metrics.json");
  writeFileSync(
    metrics,
    JSON.stringify({
      rounds: 100,
      draft_tokens_proposed: 300,
      draft_tokens_evaluated: 280,
      draft_tokens_accepted: 267,
    }),
  );
  const found = await run(metrics, "--plan", at);
  expect({ code: found.code, codes: codes(found) }).toEqual({ code: 0, codes: [] });
  expect((await run(metrics, "--plan", at, "--context", "2000")).code).toBe(2);
});

test.each([
  ["no document", [], /USAGE/, 2],
  ["an export and a plan", ["--export", "EXPORT", "--plan", "EXPORT"], /USAGE/, 2],
  ["a context of an export", ["--export", "EXPORT", "--context", "5"], /USAGE[\s\S]*has one/, 2],
  [
    "a calibration without a place",
    ["--export", "EXPORT", "--calibration", "x.yaml"],
    /USAGE[\s\S]*belong together/,
    2,
  ],
  ["a tolerance of 200 %", ["--export", "EXPORT", "--tolerance", "200%"], /OPTION_INVALID/, 2],
  ["a document that is not there", ["--export", "missing.yaml"], /missing\.yaml/, 3],
])("%s is refused", async (_, options, message, code) => {
  const at = document();
  const found = await run(counts(900, 810), ...options.map((option) => (option === "EXPORT" ? at : option)));
  expect(found).toMatchObject({ code, stderr: expect.stringMatching(message), json: null });
});

test("figures of another engine, and files that are none, are refused", async () => {
  const other = await run(counts(900, 810), "--export", document({ engine: { name: "vllm", tried_version: null } }));
  expect(other).toMatchObject({ code: 3, stderr: expect.stringMatching(/DOCUMENT_MISMATCH[\s\S]*exported to vllm/) });
  const none = path("none.txt");
  writeFileSync(none, Uint8Array.of(0xff, 0xfe, 0x00));
  expect((await run(none, "--export", document())).code).toBe(3);
  expect((await run(folder, "--export", document())).code).toBe(3);
});

test("what the engine saw becomes the draft's standalone curve in a calibration", async () => {
  const [from, to] = [path("calibration.yaml"), path("grown.yaml")];
  const before = calibration();
  writeDocument(from, before);
  const at = document();
  const found = await run(counts(640, 320), "--export", at, "--calibration", from, "-o", to);
  expect(found.code).toBe(1); // it is written, and the verdict stands
  const { document: grown } = readDocumentOf("draftplan/calibration", to);
  expect(grown.measured.slice(0, before.measured.length)).toEqual(before.measured);
  const { draft } = exported();
  const segments = [{ context_tokens: { from: 0, to: 1024 }, speculate: true, draft, draft_tokens: 2 }];
  const curve = standaloneCurve({ ...plan(), segments }, 0, grown as Calibration);
  expect(curve).toMatchObject({ atContext: 128, curve: [1, 0.64, 0.32], part: "report", rounds: 640, positions: 1640 });
  // again: the newer figures replace the older ones
  await run(counts(900, 810), "--export", at, "--calibration", to, "-o", to);
  expect(readDocumentOf("draftplan/calibration", to).document.measured).toHaveLength(before.measured.length + 2);
});

test("totals alone bend the predicted curve: solve is given the engine's accepted length", async () => {
  const [from, to] = [path("calibration.yaml"), path("grown.yaml")];
  writeDocument(from, calibration());
  const llama = document({ engine: { name: "llama.cpp", tried_version: null } });
  const answers = path("answers.json");
  writeFileSync(answers, JSON.stringify({ timings: { predicted_n: 2201, draft_n: 2000, draft_n_accepted: 1200 } }));
  const args = ["import-metrics", answers, "--export", llama, "--calibration", from, "-o", to];
  const { stderr } = await draftplan(args);
  expect(stderr).toMatch(/not told by position, so the curve has the predicted one's shape/);
  const [seen] = readDocumentOf("draftplan/calibration", to).document.measured.slice(-1);
  // 1,200 of 2,000: a + a² = 1.2 where the predicted curve is 0.9 and 0.81, one rate
  const rate = (Math.sqrt(1 + 4 * 1.2) - 1) / 2;
  expect(seen).toMatchObject({ draft_cache: "own", part: "report", reached: [1000, Math.round(1000 * rate)] });
  seen.curve.forEach((a, i) => expect(a).toBeCloseTo(rate ** i, 5));
});

test("a calibration needs counts, and the same model", async () => {
  const from = path("calibration.yaml");
  writeDocument(from, calibration());
  const to = path("none.yaml");
  const gauges = path("metrics.txt");
  writeFileSync(gauges, "sglang:spec_accept_length 2.5\nsglang:spec_accept_rate 0.75\n");
  const sglang = document({ engine: { name: "sglang", tried_version: null } });
  const options = ["--calibration", from, "-o", to];
  expect(await run(gauges, "--export", sglang, ...options)).toMatchObject({
    ...{ code: 2, stderr: expect.stringMatching(/OPTION_INVALID[\s\S]*means alone/) },
  });
  const other = document({ model: { ...exported().model, weights_sha256: "c".repeat(64) } });
  expect(await run(counts(900, 810), "--export", other, ...options)).toMatchObject({
    ...{ code: 3, stderr: expect.stringMatching(/DOCUMENT_MISMATCH[\s\S]*another model/) },
  });
  expect(existsSync(to)).toBe(false);
});

test("the table on a terminal says predicted, not baseline", async () => {
  const markdown = path("summary.md");
  const { code, stdout } = await draftplan([
    "import-metrics",
    counts(900, 810),
    "--export",
    document(),
    "--markdown",
    markdown,
  ]);
  expect(code).toBe(0);
  for (const text of [stdout, readFileSync(markdown, "utf8")]) {
    expect(text).toMatch(/beside what was predicted/);
    expect(text).not.toMatch(/baseline/);
  }
});
