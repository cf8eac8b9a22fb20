/** What documents call a model of the Hugging Face cache, and where that leads when they are read. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { chooseDraft } from "../../../src/export/choose.js";
import { localModel, modelBeside, modelSeenFrom } from "../../../src/model/hub/cached.js";
import { openCheckpoint } from "../../../src/model/open.js";
import { requireNamedModels } from "../../../src/pipeline/drafters.js";
import { draftersRelativeTo } from "../../../src/pipeline/drafting/measured.js";
import { drafterSeenFrom } from "../../../src/pipeline/paths.js";
import type { Calibration } from "../../../src/schema/calibration.js";
import type { Plan } from "../../../src/schema/plan.js";
import { calibration, plan } from "../../support/example-documents.js";
import { expectFailure } from "../../support/failure.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";

const COMMIT = "0123456789abcdef0123456789abcdef01234567";
const NAME = `hf:Some-Org/Tiny_1@${COMMIT}`;
let cache: string;
let snapshot: string;
let document: string;

beforeEach(() => {
  cache = temporaryFolder();
  vi.stubEnv("HF_HUB_CACHE", cache);
  snapshot = join(cache, "models--Some-Org--Tiny_1", "snapshots", COMMIT);
  mkdirSync(snapshot, { recursive: true });
  for (const name of ["config.json", "model.safetensors"]) writeFileSync(join(snapshot, name), "");
  document = join(temporaryFolder(), "plan.yaml");
});
afterEach(() => vi.unstubAllEnvs());

test("a snapshot is called by its name and commit, also by another path to it, and found again", () => {
  expect(modelSeenFrom(document, snapshot)).toBe(NAME);
  expect(modelBeside(document, NAME)).toBe(snapshot);
  expect(localModel(NAME)).toBe(snapshot);
  if (process.platform === "win32") return; // links take rights there
  const other = join(temporaryFolder(), "cache");
  symlinkSync(cache, other);
  expect(modelSeenFrom(document, join(other, "models--Some-Org--Tiny_1", "snapshots", COMMIT))).toBe(NAME);
});

test("any other folder, embedded, and a snapshot of a cache that is not in use keep their paths", () => {
  expect(modelSeenFrom(document, "embedded")).toBe("embedded");
  expect(modelBeside(document, "embedded")).toBe("embedded");
  expect(modelSeenFrom(document, join(document, "..", "small"))).toBe("small");
  expect(modelBeside(document, "small")).toBe(join(document, "..", "small"));
  vi.stubEnv("HF_HUB_CACHE", temporaryFolder());
  expect(modelSeenFrom(document, snapshot)).toContain(`models--Some-Org--Tiny_1/snapshots/${COMMIT}`);
});

test("what the cache does not hold is not downloaded because a document names it: opening it says what to do", async () => {
  const missing = "hf:Some-Org/Other@main";
  expect(modelBeside(document, missing)).toBe(missing);
  expect(modelSeenFrom(document, missing)).toBe(missing);
  await expectFailure(() => openCheckpoint(missing), "FILE_NOT_FOUND", "does not hold this model");
});

const asDrafter = (path: string) =>
  ({ kind: "model", name: "Some-Org/Tiny_1", weights_sha256: "0".repeat(64), path, kernel: "target" }) as const;

test("drafters of plans and of calibrations are written so, and read by solve and export", async () => {
  expect(drafterSeenFrom(asDrafter(snapshot), document)).toEqual(asDrafter(NAME));
  const lookup = { min_match: 2, ngram_tokens: { min: 1, max: 4 } };
  const hybrid = { kind: "hybrid", lookup, otherwise: asDrafter(snapshot) } as const;
  expect(drafterSeenFrom(hybrid, document)).toEqual({ ...hybrid, otherwise: asDrafter(NAME) });

  const models = [{ ...asDrafter(snapshot), contexts: [] }] as unknown as Calibration["models"];
  const written = draftersRelativeTo<Calibration>({ ...calibration(), models }, document);
  expect(written.models?.[0].path).toBe(NAME);
  expect(draftersRelativeTo(written, "elsewhere.yaml", document).models?.[0].path).toBe(NAME);
  // the command line has the snapshot by then
  requireNamedModels([`model:${snapshot}`], { document: written, path: document, sha256: "" });
  await expectFailure(
    () => requireNamedModels(["model:other"], { document: written, path: document, sha256: "" }),
    "OPTION_INVALID",
    "knows no model other",
  );

  const [first] = plan().segments;
  const { draft: _, ...segment } = first;
  const drafted = { ...plan(), segments: [{ ...segment, speculate: true, draft_tokens: 2, drafter: asDrafter(NAME) }] };
  const chosen = chooseDraft({ document: drafted as Plan, path: document, sha256: "" }, undefined);
  expect(chosen.drafter).toEqual(asDrafter(snapshot));
});
