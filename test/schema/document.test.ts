import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parse as parseAnyYaml } from "yaml";
import { CHOICES, compactDraft, expandDraft, KERNEL_NAMES } from "../../src/schema/choice.js";
import {
  type AnyDocument,
  parseDocument,
  readDocument,
  readDocumentOf,
  sha256,
  stringifyDocument,
  writeDocument,
} from "../../src/schema/document.js";
import type { Plan } from "../../src/schema/plan.js";
import { calibration, EVERY_KIND, plan } from "../support/example-documents.js";
import { expectFailure, failureOf } from "../support/failure.js";
import { trials } from "../support/long.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const FILE = "some.yaml";

describe.each(EVERY_KIND)("a %s", (_kind, example) => {
  test("is read back as it was written", () => {
    expect(parseDocument(stringifyDocument(example()), FILE)).toEqual(example());
  });

  test("is written the same every time", () => {
    const text = stringifyDocument(example());
    expect(stringifyDocument(structuredClone(example()))).toBe(text);
    expect(stringifyDocument(parseDocument(text, FILE))).toBe(text);
  });

  test("shares nothing between its parts: no anchors, no aliases", () => {
    expect(stringifyDocument(example())).not.toMatch(/(^|\s)[&*]\w/m);
  });

  test("refuses an unknown key anywhere, and says on which line", async () => {
    const document = example() as unknown as Record<string, unknown>;
    await expectFailure(
      () => parseDocument(stringifyDocument({ ...document, spedup: 1 } as unknown as AnyDocument), FILE),
      "DOCUMENT_INVALID",
      /^some\.yaml:\d+: spedup: unknown key/,
    );
    const inside = { ...document, model: { ...(document.model as object), weights: 1 } };
    const text = stringifyDocument(inside as unknown as AnyDocument);
    const line = text.split("\n").findIndex((row) => row.includes("weights: 1")) + 1;
    await expectFailure(
      () => parseDocument(text, FILE),
      "DOCUMENT_INVALID",
      new RegExp(`^some\\.yaml:(${line}|${line - 1}|3): model\\.weights: unknown key`),
    );
  });

  test("refuses to lack any of its own keys, except those that are optional", async () => {
    const optional = ["device", "inputs", "method", "choices", "created"];
    for (const key of Object.keys(example())) {
      if (
        key === "kind" ||
        key === "version" ||
        (optional.includes(key) && !(key === "device" && example().kind !== "draftplan/plan"))
      )
        continue;
      const { [key]: _gone, ...rest } = example() as unknown as Record<string, unknown>;
      const failure = await failureOf(() => parseDocument(stringifyDocument(rest as unknown as AnyDocument), FILE));
      expect([failure.code, failure.message]).toEqual([
        "DOCUMENT_INVALID",
        expect.stringMatching(new RegExp(`${key}.*missing`)),
      ]);
    }
  });

  test("refuses another version and another kind", async () => {
    const text = stringifyDocument(example());
    await expectFailure(
      () => parseDocument(text.replace("version: 1", "version: 2"), FILE),
      "DOCUMENT_VERSION",
      "version 2",
    );
    await expectFailure(() => parseDocument(text.replace(/^version: 1\n/m, ""), FILE), "DOCUMENT_VERSION", "missing");
    await expectFailure(
      () => parseDocument(text.replace("kind: draftplan/", "kind: draftplan/x"), FILE),
      "DOCUMENT_KIND",
      "not a kind",
    );
  });
});

const draft = fc.record({
  default: fc.constantFrom(...CHOICES),
  head: fc.constantFrom(...KERNEL_NAMES),
  skip: fc.uniqueArray(fc.constantFrom("0.attn", "1.attn", "1.mlp"), { maxLength: 3 }),
  choices: fc
    .dictionary(fc.constantFrom("0.mlp", "2.attn", "2.mlp"), fc.constantFrom(...CHOICES))
    .map((choices) => ({ ...choices })),
});
const text = fc.string({
  unit: fc.oneof(
    fc.string({ minLength: 1, maxLength: 1 }),
    fc.constantFrom("é", "\u0000", "\n", "\u2028", "\u{1F600}", ":", "#", "'", "- "),
  ),
  maxLength: 20,
});
const plans: fc.Arbitrary<Plan> = fc
  .record({
    name: text,
    ends: fc.uniqueArray(fc.integer({ min: 1, max: 10_000 }), { minLength: 1, maxLength: 5 }),
    drafts: fc.array(fc.option(draft), { minLength: 5, maxLength: 5 }),
    tokens: fc.integer({ min: 1, max: 16 }),
    gap: fc.double({ noNaN: true, noDefaultInfinity: true }),
  })
  .map(({ name, ends, drafts, tokens, gap }) => ({
    ...plan(),
    model: { ...plan().model, name, layers: 3 },
    segments: ends
      .sort((a, b) => a - b)
      .map((to, i) => {
        const range = { context_tokens: { from: i === 0 ? 0 : ends[i - 1], to } };
        const chosen = drafts[i];
        if (chosen === null) return { ...range, speculate: false };
        const predicted = {
          ...(plan().segments[0].predicted as NonNullable<Plan["segments"][number]["predicted"]>),
          lp_gap_percent: gap,
        };
        return { ...range, speculate: true, draft: chosen, draft_tokens: tokens, predicted };
      }),
  }));

test("any plan is read back as it was written, whatever its names and numbers", () => {
  fc.assert(
    fc.property(plans, (document) => {
      const written = stringifyDocument(document);
      // YAML has one zero
      expect(parseDocument(written, FILE)).toEqual(JSON.parse(JSON.stringify(document)));
      expect(stringifyDocument(parseDocument(written, FILE))).toBe(written);
    }),
    { seed: 7, numRuns: trials(60, 200) },
  );
});

test("a draft's compact form means the same choices", () => {
  fc.assert(
    fc.property(draft, (chosen) => {
      const set = expandDraft(chosen, 3, "draft");
      expect(expandDraft(compactDraft(set), 3, "draft")).toEqual(set);
    }),
    { seed: 8, numRuns: trials(100, 300) },
  );
});

describe("hostile or broken YAML is refused in words", () => {
  const head = "kind: draftplan/plan\nversion: 1\n";
  const rows = (first: string, last: string) =>
    Array.from({ length: last.charCodeAt(0) - first.charCodeAt(0) + 1 }, (_, i) =>
      String.fromCharCode(first.charCodeAt(0) + i),
    );
  const bomb = `${head}a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n${rows("b", "j")
    .map((name, i) => `${name}: &${name} [${new Array(10).fill(`*${"abcdefghi"[i]}`).join(", ")}]`)
    .join("\n")}\n`;
  test.each([
    ["an alias bomb", bomb, "DOCUMENT_SYNTAX", /[Aa]lias/],
    ["deep nesting", `${head}model: ${"[".repeat(40_000)}`, "DOCUMENT_SYNTAX", /not readable as YAML/],
    ["a key twice", `${head}model: {name: a, name: b}\n`, "DOCUMENT_SYNTAX", /twice.*line 3/],
    ["an open bracket", `${head}segments: [1, 2\n`, "DOCUMENT_SYNTAX", /line/],
    ["a tab as indentation", `${head}model:\n\tname: x\n`, "DOCUMENT_SYNTAX", /line|[Tt]ab/],
    ["two documents", `${head}---\nkind: x\n`, "DOCUMENT_SYNTAX", /multiple documents/],
    ["nothing", "", "DOCUMENT_KIND", /missing/],
    ["bytes that are no text", "\u0000\u0001\ufffd", "DOCUMENT_KIND", /missing/],
    ["a list", "- 1\n- 2\n", "DOCUMENT_KIND", /missing/],
    ["a kind that is a map", "kind: {a: 1}\nversion: 1\n", "DOCUMENT_KIND", /not a kind/],
    ["a merge key", `x: &x {kind: draftplan/plan}\n<<: *x\nversion: 1\n`, "DOCUMENT_KIND", /missing/],
    [
      "__proto__",
      stringifyDocument(plan()).replace("version: 1\n", "version: 1\n__proto__: {kind: x}\n"),
      "DOCUMENT_INVALID",
      /__proto__/,
    ],
  ] as const)("%s", async (_what, yaml, code, message) => {
    await expectFailure(() => parseDocument(yaml, FILE), code, message);
  });

  const written = stringifyDocument(plan());
  test.each([
    ["a speedup that is no number", written.replace("speedup: 1.48", "speedup: .nan")],
    ["an endless draft", written.replace("draft_us: 8400.5", "draft_us: .inf")],
    ["a fraction of a token", written.replace("draft_tokens: 3", "draft_tokens: 2.5")],
    ["more drafted tokens than allowed", written.replace("draft_tokens: 3", "draft_tokens: 17")],
    ["a gap between segments", written.replace("from: 1024", "from: 1025")],
    ["segments that overlap", written.replace("from: 1024", "from: 1000")],
    ["a first segment that does not begin at 0", written.replace("from: 0", "from: 1")],
    ["an empty range", written.replace("to: 4096", "to: 1024")],
    ["an acceptance curve that rises", written.replace("[1, 0.95, 0.9, 0.82]", "[1, 0.9, 0.95, 0.82]")],
    ["an acceptance curve that does not begin at 1", written.replace("[1, 0.95", "[0.99, 0.95")],
    ["a digest that is too short", written.replace("a".repeat(64), "a".repeat(63))],
    ["a draft where nothing is speculated", written.replace("speculate: true", "speculate: false")],
    ["no draft where something is", written.replace("speculate: false", "speculate: true")],
    ["a choice that does not exist", written.replace("default: int8", "default: int3")],
    ["a skipped head", written.replace("head: int8", "head: skip")],
  ])("a plan with %s", async (_what, yaml) => {
    expect(yaml).not.toBe(written);
    const failure = await failureOf(() => parseDocument(yaml, FILE));
    expect(failure.code).toBe("DOCUMENT_INVALID");
    expect(failure.at).toMatch(/^some\.yaml:\d+: /);
  });
});

describe("files", () => {
  test("a digest is that of the file's bytes", () => {
    const path = join(temporaryFolder(), "new", "folder", "plan.yaml");
    const digest = writeDocument(path, plan());
    expect(digest).toBe(sha256(readFileSync(path)));
    expect(readDocument(path)).toEqual({ document: plan(), sha256: digest, path });
    expect(readDocumentOf("draftplan/plan", path).document).toEqual(plan());
  });

  test("writing replaces a document as a whole and leaves nothing else behind", () => {
    const folder = temporaryFolder();
    const path = join(folder, "plan.yaml");
    writeDocument(path, plan());
    writeDocument(path, { ...plan(), method: "uniform" });
    expect(readDocumentOf("draftplan/plan", path).document.method).toBe("uniform");
    expect(readdirSync(folder)).toEqual(["plan.yaml"]);
  });

  test("a document that cannot be written says so, and what was there stays", async () => {
    const folder = temporaryFolder();
    mkdirSync(join(folder, "taken", "inside"), { recursive: true });
    writeFileSync(join(folder, "file"), "x");
    await expectFailure(() => writeDocument(join(folder, "taken"), plan()), "FILE_UNWRITABLE", "taken");
    await expectFailure(() => writeDocument(join(folder, "file", "plan.yaml"), plan()), "FILE_UNWRITABLE", "plan.yaml");
    expect(existsSync(join(folder, "taken", "inside"))).toBe(true);
    expect(readdirSync(folder).sort()).toEqual(["file", "taken"]);
  });

  test("missing files, folders and other kinds are told apart", async () => {
    const folder = temporaryFolder();
    const path = join(folder, "calibration.yaml");
    writeDocument(path, calibration());
    await expectFailure(() => readDocument(join(folder, "none.yaml")), "FILE_NOT_FOUND", "none.yaml");
    await expectFailure(() => readDocument(folder), "FILE_UNREADABLE", folder);
    await expectFailure(
      () => readDocumentOf("draftplan/plan", path),
      "DOCUMENT_KIND",
      /draftplan\/calibration.*draftplan\/plan/,
    );
  });

  test("people find one item a line: the document's keys and its segments", () => {
    const lines = stringifyDocument(plan()).split("\n");
    expect(lines.slice(0, 2)).toEqual(["kind: draftplan/plan", "version: 1"]);
    expect(lines.filter((line) => /context_tokens/.test(line))).toHaveLength(2);
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThan(200);
    expect(parseAnyYaml(lines.join("\n"))).toEqual(plan()); // any YAML reader reads it
  });
});
