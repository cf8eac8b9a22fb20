import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, test } from "vitest";
import { type AnyDocument, stringifyDocument } from "../../src/schema/document.js";
import { draftplan } from "../support/cli.js";
import { EVERY_KIND, plan } from "../support/example-documents.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";

const folder = temporaryFolder();
const write = (name: string, document: AnyDocument): string => {
  writeFileSync(join(folder, name), stringifyDocument(document));
  return name;
};
const report = (...args: string[]) => draftplan(["report", ...args], { cwd: folder });

const files = EVERY_KIND.map(([kind, example]) => write(`${kind}.yaml`, example()));

describe("draftplan report", () => {
  test("writes one page of any documents and says where", async () => {
    const { code, stdout, stderr } = await report(...files, "-o", "pages/report.html");
    expect({ code, stdout, stderr }).toEqual({ code: 0, stdout: "Written to pages/report.html\n", stderr: "" });
    const page = readFileSync(join(folder, "pages/report.html"), "utf8");
    expect(page.startsWith("<!doctype html>\n")).toBe(true);
    for (const file of files) expect(page).toContain(`<bdi>${file}</bdi>`);
  });

  test.each(files)("of %s alone", async (file) => {
    const { code } = await report(file, "-o", `${file}.html`);
    expect(code).toBe(0);
    expect(readFileSync(join(folder, `${file}.html`), "utf8")).toContain("</html>");
  });

  test("--json prints one value: where it was written, and how many documents it shows", async () => {
    const { code, stdout } = await report(...files, "-o", "json.html", "--json");
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toEqual({ written: "json.html", documents: files.length });
  });

  test("-o - prints the page and writes nothing", async () => {
    const { code, stdout, stderr } = await report(files[0], "-o", "-");
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    expect(stdout).toMatch(/^<!doctype html>\n[\s\S]*<\/html>\n$/);
    expect(existsSync(join(folder, "-"))).toBe(false);
  });

  test("the same document given twice is shown once, and that is said", async () => {
    write("copy.yaml", plan());
    const { code, stdout, stderr } = await report("plan.yaml", "copy.yaml", "plan.yaml", "-o", "twice.html", "--json");
    expect({ code, documents: JSON.parse(stdout).documents }).toEqual({ code: 0, documents: 1 });
    expect(stderr).toContain("copy.yaml is the same document as plan.yaml");
  });

  test("a path outside the current folder is shown by its name alone", async () => {
    const { stdout } = await draftplan(["report", join(folder, "plan.yaml"), "-o", "-"], { cwd: temporaryFolder() });
    expect(stdout).toContain("<bdi>plan.yaml</bdi>");
    expect(stdout).not.toContain(folder);
  });
});

describe("refused", () => {
  test.each([
    ["without a place for the page", ["plan.yaml"], 2, "USAGE"],
    ["--json beside -o -, both for stdout", ["plan.yaml", "-o", "-", "--json"], 2, "USAGE"],
    ["a page in place of its own document", ["plan.yaml", "-o", "./plan.yaml"], 2, "OPTION_INVALID"],
    ["a document that is not there", ["plan.yaml", "nowhere.yaml", "-o", "x.html"], 3, "FILE_NOT_FOUND"],
    ["a folder", [".", "-o", "x.html"], 3, "FILE_UNREADABLE"],
    ["a place that cannot be written to", ["plan.yaml", "-o", "plan.yaml/x.html"], 3, "FILE_UNWRITABLE"],
  ])("%s", async (_what, args, exitCode, error) => {
    const { code, stdout, stderr } = await report(...args);
    expect({ code, stdout }).toEqual({ code: exitCode, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^error \\[${error}\\]`));
    expect(existsSync(join(folder, "x.html"))).toBe(false);
  });

  test.each([
    ["no document", "hello", "DOCUMENT_KIND"],
    ["another kind", "kind: draftplan/recipe\nversion: 1\n", "DOCUMENT_KIND"],
    ["broken YAML", "kind: [", "DOCUMENT_SYNTAX"],
    ["an unknown key", `${stringifyDocument(plan())}more: 1\n`, "DOCUMENT_INVALID"],
    ["an unknown block", stringifyDocument(plan()).replace("[0.attn, 1.mlp]", "[0.attn, 9.mlp]"), "BLOCK_UNKNOWN"],
  ])("a file that holds %s: exit code 3, and no page", async (_what, text, error) => {
    writeFileSync(join(folder, "bad.yaml"), text);
    const { code, stdout, stderr } = await report("plan.yaml", "bad.yaml", "-o", "bad.html");
    expect({ code, stdout }).toEqual({ code: 3, stdout: "" });
    expect(stderr).toMatch(new RegExp(`^error \\[${error}\\] bad\\.yaml`));
    expect(existsSync(join(folder, "bad.html"))).toBe(false);
  });
});
