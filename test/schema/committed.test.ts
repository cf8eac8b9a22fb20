/** The documents in profiles/ and plans/ are examples that people start from: each must be what draftplan writes today. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { summariseDocument } from "../../src/output/document-summary.js";
import { checkBlocks } from "../../src/schema/blocks.js";
import { readDocument, sha256, stringifyDocument } from "../../src/schema/document.js";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const folders = ["profiles", "plans"].filter((folder) => existsSync(join(ROOT, folder)));
const files = folders.flatMap((folder) =>
  readdirSync(join(ROOT, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".yaml"))
    .map((name) => relative(ROOT, join(ROOT, folder, name))),
);

describe("committed documents", () => {
  test("are there for the embedded model, one of every kind, and one plan skips an attention block", () => {
    const documents = files.map((file) => readDocument(join(ROOT, file)).document);
    expect(new Set(documents.map(({ kind }) => kind)).size).toBe(4);
    const skipped = documents
      .flatMap((d) => (d.kind === "draftplan/plan" ? d.segments : []))
      .flatMap((s) => s.draft?.skip ?? []);
    expect(skipped.some((block) => block.endsWith(".attn"))).toBe(true);
  });

  test.each(files)("%s is valid, and written as draftplan writes it", (file) => {
    const path = join(ROOT, file);
    const { document } = readDocument(path);
    checkBlocks(document, file);
    expect(summariseDocument(document).length).toBeGreaterThan(1);
    expect(stringifyDocument(document)).toBe(readFileSync(path, "utf8"));
  });

  test.each(files)("%s names its inputs by their digests", (file) => {
    const path = join(ROOT, file);
    const { document } = readDocument(path);
    const references =
      document.kind === "draftplan/plan"
        ? Object.values(document.inputs ?? {})
        : document.kind === "draftplan/verification"
          ? [document.plan]
          : [];
    for (const reference of references) {
      const input = join(dirname(path), reference.path);
      expect(existsSync(input), `${file}: ${reference.path}`).toBe(true);
      expect(sha256(readFileSync(input)), `${file}: ${reference.path}`).toBe(reference.sha256);
    }
  });
});
