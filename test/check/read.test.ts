/** Which files a check reads: those given, those below a folder, and those that they name. */
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import { readForCheck } from "../../src/pipeline/check/read.js";
import { sha256, stringifyDocument } from "../../src/schema/document.js";
import { makeCalibration, makeProfile } from "../support/documents.js";
import { plan, verification } from "../support/example-documents.js";
import { expectFailure } from "../support/failure.js";
import { temporaryFolder } from "../support/tiny-checkpoint.js";
import { placesOf } from "./support.js";

let folder: string;
beforeEach(() => {
  folder = temporaryFolder();
});

function write(name: string, text: string): string {
  const path = join(folder, name);
  mkdirSync(join(path, ".."), { recursive: true });
  writeFileSync(path, text);
  return path;
}

/** Files and findings by their place in the folder. */
function read(...paths: string[]) {
  const { files, faults, given } = readForCheck(paths.map((path) => join(folder, path)));
  const inside = (file: string) => relative(folder, file).replaceAll("\\", "/");
  return {
    files: files.map(inside),
    given: given.map(({ file }) => inside(file)),
    faults: placesOf(faults.map((fault) => ({ ...fault, file: inside(fault.file) }))),
  };
}

const PROFILE = stringifyDocument(makeProfile());

describe("a folder", () => {
  test("gives every document below it, in the order of names; other YAML is no finding", () => {
    write("b.yaml", PROFILE);
    write("a/z.yml", PROFILE);
    write("a/Z.YAML", PROFILE);
    write("a/notes.txt", PROFILE);
    write("a/deployment.yaml", "kind: Deployment\n");
    write("a/broken.yaml", "key: [unfinished");
    write("a/list.yaml", "- 1\n- kind: draftplan/plan\n");
    write("a/workflow.yaml", "run: |\n  kind: draftplan/plan\n");
    write("a/empty.yaml", "");
    expect(read(".")).toEqual({
      files: ["a/Z.YAML", "a/z.yml", "b.yaml"],
      given: ["a/Z.YAML", "a/z.yml", "b.yaml"],
      faults: [],
    });
  });

  test("passes over hidden folders and installed packages", () => {
    for (const place of [".git/a.yaml", ".cache/a.yaml", "node_modules/p/a.yaml", "plans/a.yaml"])
      write(place, PROFILE);
    expect(read(".").files).toEqual(["plans/a.yaml"]);
  });

  test("with a draftplan document that does not parse has a finding", () => {
    write("plans/p.yaml", "kind: draftplan/plan\nversion: [1\n");
    write("plans/q.yaml", "kind: draftplan/plane\n");
    write("plans/r.json.yaml", '{"version": 1, "kind": "draftplan/plan"}');
    expect(read("plans").faults.map((fault) => fault.split(":")[0])).toEqual([
      "DOCUMENT_SYNTAX plans/p.yaml",
      "DOCUMENT_KIND plans/q.yaml",
      "DOCUMENT_INVALID plans/r.json.yaml",
      "DOCUMENT_INVALID plans/r.json.yaml",
    ]);
  });

  test("that is empty, or holds no document, is a finding: a guard that looks at nothing guards nothing", () => {
    mkdirSync(join(folder, "empty"));
    write("other/k8s.yaml", "kind: Deployment\n");
    expect(read("empty", "other").faults).toEqual(["NOTHING_TO_CHECK empty: ", "NOTHING_TO_CHECK other: "]);
  });

  test("with a link to nowhere has a finding; a circle of links ends", () => {
    write("plans/p.yaml", PROFILE);
    symlinkSync(join(folder, "gone"), join(folder, "plans/dangling.yaml"));
    symlinkSync(join(folder, "plans"), join(folder, "plans/again"));
    symlinkSync(join(folder, "plans"), join(folder, "plans/folder.yaml"));
    expect(read("plans")).toMatchObject({
      files: ["plans/dangling.yaml", "plans/p.yaml"],
      faults: ["DOCUMENT_UNREADABLE plans/dangling.yaml: "],
    });
  });
});

describe("a file given", () => {
  test("that is not there, or cannot be read, is an error and no finding", async () => {
    await expectFailure(() => read("gone.yaml"), "FILE_NOT_FOUND", "gone.yaml");
    write("large.yaml", `kind: draftplan/plan # ${"x".repeat(9 << 20)}`);
    await expectFailure(() => read("large.yaml"), "FILE_UNREADABLE", "bytes");
  });

  test("is a document, or has a finding", () => {
    write("other.yaml", "kind: Deployment\n");
    write("list.yaml", "[1, 2]");
    expect(read("other.yaml", "list.yaml").faults).toEqual([
      "DOCUMENT_KIND other.yaml: kind",
      "DOCUMENT_KIND list.yaml: kind",
    ]);
  });

  test("twice, or in a folder given as well, is read once", () => {
    write("plans/p.yaml", PROFILE);
    expect(read("plans/p.yaml", "plans", "plans/../plans/p.yaml").files).toEqual(["plans/p.yaml"]);
  });
});

describe("documents that others name", () => {
  const named = () => {
    const calibration = stringifyDocument(makeCalibration());
    write("profiles/p.yaml", PROFILE);
    write("profiles/c.yaml", calibration);
    const inputs = {
      profile: { path: "../profiles/p.yaml", sha256: sha256(PROFILE) },
      calibration: { path: "../profiles/c.yaml", sha256: sha256(calibration) },
    };
    write("plans/plan.yaml", stringifyDocument({ ...plan(), inputs }));
    const sha = "0".repeat(64);
    write(
      "v/verification.yaml",
      stringifyDocument({ ...verification(), plan: { path: "../plans/plan.yaml", sha256: sha } }),
    );
  };

  test("a verification brings its plan, and the plan its inputs", () => {
    named();
    expect(read("v/verification.yaml")).toEqual({
      files: ["v/verification.yaml", "plans/plan.yaml", "profiles/p.yaml", "profiles/c.yaml"],
      given: ["v/verification.yaml"],
      faults: [],
    });
  });

  test("what they name may be broken, a folder, or no file at all", () => {
    named();
    write("profiles/p.yaml", "- [");
    expect(read("plans/plan.yaml").faults).toEqual(["DOCUMENT_SYNTAX profiles/p.yaml: "]);
    const at = (path: string) => {
      const inputs = { profile: { path, sha256: "0".repeat(64) }, calibration: { path, sha256: "0".repeat(64) } };
      write("plans/plan.yaml", stringifyDocument({ ...plan(), inputs }));
      return read("plans/plan.yaml");
    };
    expect(at("../profiles").faults).toEqual(["DOCUMENT_UNREADABLE profiles: "]);
    expect(at("gone.yaml")).toEqual({ files: ["plans/plan.yaml"], given: ["plans/plan.yaml"], faults: [] });
    expect(at("plan.yaml/below").faults).toEqual([]);
    expect(at("a\u0000b").faults).toHaveLength(1);
    expect(at("x".repeat(4000)).faults).toHaveLength(1);
  });

  test.skipIf(process.platform === "win32")("a device that never ends is not read", () => {
    named();
    const endless = { path: "/dev/zero", sha256: "0".repeat(64) };
    write("plans/plan.yaml", stringifyDocument({ ...plan(), inputs: { profile: endless, calibration: endless } }));
    const { faults } = readForCheck([join(folder, "plans/plan.yaml")]);
    expect(placesOf(faults)).toEqual(["DOCUMENT_UNREADABLE /dev/zero: "]);
  });

  test("a document that names itself ends", () => {
    const path = write(
      "v.yaml",
      stringifyDocument({ ...verification(), plan: { path: "v.yaml", sha256: "0".repeat(64) } }),
    );
    expect(readForCheck([path]).files).toEqual([path]);
  });
});
