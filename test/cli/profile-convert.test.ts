/** From an engine's benchmarks to a plan with a draft length by batch, by the command line. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import type { Calibration } from "../../src/schema/calibration.js";
import { readDocumentOf, stringifyDocument } from "../../src/schema/document.js";
import type { Profile } from "../../src/schema/profile.js";
import { draftplan } from "../support/cli.js";
import { makeCalibration } from "../support/documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();

/** Every layer may go for little: what the embedded model's own calibration would not allow. */
function writeCalibration(path: string, { model, kernels }: Profile): void {
  const skip = Array.from({ length: model.layers }, () => ({ loss: 0.01, standard_error: 0.001 }));
  const [context] = makeCalibration([128]).contexts;
  const calibration: Calibration = {
    ...makeCalibration([128]),
    ...{ model: { ...model, weights_sha256: "b".repeat(64) }, kernels },
    contexts: [{ ...context, head: {}, attn: { skip }, mlp: { skip } }],
  };
  writeFileSync(path, stringifyDocument(calibration));
}

const DEVICE = [
  "--device",
  "processor=An engine's GPU",
  "provider=cuda",
  "threads=1",
  "runtime=an engine 1",
  "platform=x",
];

/** Memory-bound up to 16 rows of all sequences; beyond them every row costs. */
const passMs = (layers: number, batch: number, query: number) =>
  (0.2 + 0.4 * layers) * Math.max(1, (batch * query) / 16);

function writeRuns(): string {
  const rows = [1, 4, 32].flatMap((batch) =>
    [64, 1920].flatMap((context) =>
      [1, 2, 5, 9].flatMap((query) =>
        (batch === 1 ? [12, 6] : [12]).map((layers) => {
          const name = `b${batch}-n${context}-q${query}-l${layers}.json`;
          const json = {
            ...{ completed: 10, max_concurrency: batch, median_itl_ms: passMs(layers, batch, query) },
            ...{ total_input_tokens: 10 * (context - 16), total_output_tokens: 320 },
          };
          writeFileSync(join(folder, name), JSON.stringify(json));
          return `${name},${layers},${batch},${context},${query}`;
        }),
      ),
    ),
  );
  const list = join(folder, "runs.csv");
  writeFileSync(list, ["file,layers,batch,context_tokens,query_tokens", ...rows].join("\n"));
  return list;
}

test("benchmarks become a table, a profile, and a plan with lengths by batch", async () => {
  mkdirSync(folder, { recursive: true });
  const path = (name: string) => join(folder, name);
  const converted = await draftplan(["profile", "convert", writeRuns(), "-o", path("t.csv"), "--json"]);
  expect(converted).toMatchObject({ code: 0, stdout: expect.stringContaining('"rows":50') }); // 8 · 4 parts, 16 whole, 2
  expect(readFileSync(path("t.csv"), "utf8")).toContain("whole,,64,9,");
  const imported = await draftplan([
    "profile",
    "import",
    path("t.csv"),
    "--model-config",
    "embedded",
    ...DEVICE,
    "-o",
    path("p.yaml"),
  ]);
  expect(imported).toMatchObject({ code: 0 });
  const { document: profile } = readDocumentOf("draftplan/profile", path("p.yaml"));
  expect(profile.batches?.map(({ batch, parts }) => [batch, parts])).toEqual([
    [4, "scaled"],
    [32, "scaled"],
  ]);
  writeCalibration(path("c.yaml"), profile);
  const solved = await draftplan([
    "solve",
    "--profile",
    path("p.yaml"),
    "--calibration",
    path("c.yaml"),
    "--for",
    "vllm",
    "-o",
    path("plan.yaml"),
  ]);
  expect({ code: solved.code, stderr: solved.stderr }).toMatchObject({ code: 0 });
  const { document: plan } = readDocumentOf("draftplan/plan", path("plan.yaml"));
  expect(plan.segments.every(({ speculate }) => speculate)).toBe(true);
  for (const { draft_tokens, draft_tokens_by_batch } of plan.segments) {
    expect(draft_tokens_by_batch?.[0].draft_tokens).toBe(draft_tokens);
    expect(draft_tokens_by_batch?.at(-1)?.to).toBe(32);
    expect(draft_tokens_by_batch?.at(-1)?.draft_tokens).toBe(0); // at 32 sequences every row costs
  }
  expect((await draftplan(["check", path("plan.yaml")])).code).toBe(0);
});

test("a run that was made otherwise than listed is refused by its line", async () => {
  const list = join(folder, "wrong.csv");
  writeFileSync(list, "file,layers,batch,context_tokens,query_tokens\nb4-n64-q1-l12.json,12,8,64,1\n");
  const { code, stderr } = await draftplan(["profile", "convert", list, "-o", join(folder, "w.csv")]);
  expect(code).toBe(3);
  expect(stderr).toMatch(/wrong\.csv: line 2/);
});
