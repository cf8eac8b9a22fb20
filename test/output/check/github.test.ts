/** Workflow commands, read back as a GitHub runner reads them. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { finding } from "../../../src/check/findings.js";
import { annotations, appendOutputs, githubFiles } from "../../../src/output/check/github.js";
import { stringifyDocument } from "../../../src/schema/document.js";
import { plan } from "../../support/example-documents.js";
import { trials } from "../../support/long.js";
import { temporaryFolder } from "../../support/tiny-checkpoint.js";
import { clean, hostileResult, regressed } from "./support.js";

interface Command {
  name: string;
  properties: Record<string, string>;
  message: string;
}

/** After the runner's own ActionCommand.TryParseV2: split first, unescape later. */
function readCommand(line: string): Command {
  const end = line.indexOf("::", 2);
  if (!line.startsWith("::") || end < 0) throw new Error(`no command: ${line}`);
  const head = line.slice(2, end);
  const space = head.indexOf(" ");
  const decode = (text: string, codes: Record<string, string>) =>
    text.replace(/%(0D|0A|3A|2C|25)/g, (all, code: string) => codes[code] ?? all);
  const DATA = { "0D": "\r", "0A": "\n", "25": "%" };
  const properties = head
    .slice(space + 1)
    .split(",")
    .map((pair) => {
      const equals = pair.indexOf("=");
      return [pair.slice(0, equals), decode(pair.slice(equals + 1), { ...DATA, "3A": ":", "2C": "," })];
    });
  return {
    name: head.slice(0, space),
    properties: Object.fromEntries(properties) as Record<string, string>,
    message: decode(line.slice(end + 2), DATA),
  };
}

describe("annotations", () => {
  test("one for each finding: error, warning, and notice for a note", () => {
    const commands = annotations(regressed(), null).map(readCommand);
    expect(commands.map(({ name, properties }) => [name, properties.file, properties.title])).toEqual([
      ["error", "plans/a.plan.yaml", "PLAN_DIFFERS"],
      ["notice", "plans/a.plan.yaml", "DEVICE_DIFFERS"],
      ["error", "plans/c.plan.yaml", "SLOWER_VERIFIED"],
      ["warning", "plans/c.plan.yaml", "INPUT_UNAVAILABLE"],
      ["error", "profiles/p.yaml", "DOCUMENT_SYNTAX"],
    ]);
    expect(commands[0].message).toBe("segments[0].draft_tokens: 5 here, and 7 when solved again");
  });

  test("percent signs, line breaks, colons and commas survive", () => {
    const found = finding("PLAN_DIFFERS", "a:b,c%25.yaml", "", "5%, then\nthis\r\nand %0A: done");
    const [line] = annotations({ ...clean(), findings: [found] }, null);
    expect(line).not.toMatch(/[\r\n]/);
    expect(readCommand(line)).toEqual({
      name: "error",
      properties: { file: "a:b,c%25.yaml", title: "PLAN_DIFFERS" },
      message: "5%, then\nthis\nand %0A: done",
    });
  });

  test("whatever documents say, each is one line and one command about its own file", () => {
    fc.assert(
      fc.property(hostileResult, (result) => {
        const lines = annotations(result, null);
        expect(lines).toHaveLength(result.findings.length);
        const files = lines.map((line) => {
          expect(line).not.toMatch(/[\r\n]/);
          const { name, properties } = readCommand(line);
          expect(["error", "warning", "notice"]).toContain(name);
          expect(Object.keys(properties).filter((key) => !["file", "line", "title"].includes(key))).toEqual([]);
          return properties.file;
        });
        expect([...files].sort()).toEqual(result.findings.map(({ file }) => file.replaceAll("\\", "/")).sort());
      }),
      { seed: 5, numRuns: trials(75, 300) },
    );
  });
});

describe("the line of an annotation", () => {
  const folder = temporaryFolder();
  const path = join(folder, "some.plan.yaml");
  const text = stringifyDocument(plan());
  writeFileSync(path, text);
  const lineOf = (where: string, message = "x", file = path) =>
    readCommand(annotations({ ...clean(), findings: [finding("PLAN_DIFFERS", file, where, message)] }, null)[0])
      .properties.line;
  const lineWith = (part: string, from = 0) =>
    String(text.split("\n").findIndex((line, i) => i >= from && line.includes(part)) + 1);

  test.each([
    ["a key of the document", "device", "device:"],
    ["a key within a list", "segments[1].speculate", "speculate: false"],
    ["a key within maps", "segments[0].draft", "draft:"],
    ["a block of a list", "segments[0].draft.skip[1]", "1.mlp"],
    ["a key that is missing: what it belongs to", "segments[0].predicted.none.such", "predicted:"],
  ])("is that of %s", (_what, where, part) => expect(lineOf(where)).toBe(lineWith(part)));

  test("is that of a block's name, which has a dot in it", () => {
    const file = join(folder, "choices.yaml");
    writeFileSync(file, "draft:\n  choices:\n    0.attn: skip\n    0.mlp: target\n");
    expect(lineOf("draft.choices.0.mlp", "x", file)).toBe("4");
  });

  test("is taken from the message where there is no key", () => {
    expect(lineOf("", "bad indentation at line 3, column 1")).toBe("3");
    expect(lineOf("", "line 7: unknown key")).toBe("7");
  });

  test("is left out where it cannot be told", () => {
    expect(lineOf("")).toBeUndefined();
    expect(lineOf("nothing.here")).toBeUndefined();
    expect(lineOf("segments", "x", join(folder, "gone.yaml"))).toBeUndefined();
    expect(lineOf("segments", "x", folder)).toBeUndefined();
    const deep = join(folder, "deep.yaml");
    writeFileSync(deep, "[".repeat(100_000));
    expect(lineOf("segments[0]", "x", deep)).toBeUndefined();
  });

  test("the file is named as seen from the checkout", () => {
    mkdirSync(join(folder, "sub"), { recursive: true });
    const found = [finding("PLAN_DIFFERS", join(folder, "sub", "p.yaml"), "", "x")];
    const fileFrom = (workspace: string | null) =>
      readCommand(annotations({ ...clean(), findings: found }, workspace)[0]).properties.file;
    expect(fileFrom(folder)).toBe("sub/p.yaml");
    expect(fileFrom(join(folder, "elsewhere"))).toBe(join(folder, "sub", "p.yaml").replaceAll("\\", "/"));
    expect(fileFrom(null)).toBe(join(folder, "sub", "p.yaml").replaceAll("\\", "/"));
  });
});

test("the step's outputs are appended to what is there", () => {
  const output = join(temporaryFolder(), "output");
  writeFileSync(output, "before=1\n");
  appendOutputs({ ...clean(), regressed: true }, githubFiles({ GITHUB_OUTPUT: output }));
  expect(readFileSync(output, "utf8")).toBe("before=1\nregressed=true\ninconclusive=false\n");
});
