/** Documents for a check: the files and folders given, and every document that those name. Each file is read once. */
import { type Dirent, readdirSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type Checked, type Opened, type OpenInput, toChecked } from "../../check/documents.js";
import { type Finding, finding } from "../../check/findings.js";
import { invalidDocumentFindings } from "../../check/invalid-document.js";
import { DraftplanError } from "../../core/errors.js";
import { besideDocument } from "../../core/folders.js";
import { utf8Text } from "../../core/utf8.js";
import { type AnyDocument, parseDocument, readDocumentBytes, sha256 } from "../../schema/document.js";

export interface ReadSet {
  /** every document, those that others name included */
  files: string[];
  /** the valid ones among them */
  documents: Checked[];
  /** the ones that the user gave or that lie in a folder given */
  given: Checked[];
  /** why the others are not valid */
  faults: Finding[];
  open: OpenInput;
}

/** How a file came to be read: what is no document is passed over in a folder only. */
type Origin = "given" | "folder" | "named";

/** @throws FILE_NOT_FOUND, FILE_UNREADABLE for a path of the command line */
export function readForCheck(paths: readonly string[]): ReadSet {
  const library = new Library();
  const found: Finding[] = [];
  for (const path of paths) {
    if (!isFolder(path)) {
      library.add(path, "given");
      continue;
    }
    const { files, unreadable } = yamlFilesBelow(path);
    found.push(...unreadable);
    const documents = files.filter((file) => library.add(file, "folder"));
    if (documents.length === 0 && unreadable.length === 0)
      found.push(finding("NOTHING_TO_CHECK", path, "", "no YAML file below this folder is a document of draftplan's"));
  }
  const given = library.valid();
  library.addNamed();
  return {
    files: library.files,
    documents: library.valid(),
    given,
    faults: [...found, ...library.faults],
    open: (path, from) => library.open(path, from),
  };
}

/** One document by itself, with what it names: the baseline. @throws FILE_NOT_FOUND, FILE_UNREADABLE */
export function readBaseline(path: string): { opened: Opened; open: OpenInput } {
  const library = new Library();
  library.add(path, "given");
  return { opened: library.open(resolve(path), path), open: (named, from) => library.open(named, from) };
}

class Library {
  /** in the order they were found */
  readonly files: string[] = [];
  readonly faults: Finding[] = [];
  /** by absolute path; null: YAML of others */
  private readonly known = new Map<string, Opened | null>();

  valid(): Checked[] {
    return [...this.known.values()].flatMap((opened) => (opened?.state === "read" ? [opened.checked] : []));
  }

  /** @returns false for YAML that is not draftplan's */
  add(file: string, origin: Origin): boolean {
    const place = resolve(file);
    let opened = this.known.get(place);
    // a file passed over in a folder may be named elsewhere, and is looked at again then
    if (opened === undefined || (opened === null && origin !== "folder")) {
      opened = readOne(file, origin);
      this.known.set(place, opened);
      if (opened !== null && opened.state !== "missing") this.files.push(file);
      if (opened?.state === "faulty") this.faults.push(...opened.findings);
    }
    return opened !== null;
  }

  /** Everything that the documents read so far name, and what that names in turn. */
  addNamed(): void {
    // a Map's iterator comes to what is added on the way
    for (const opened of this.known.values()) {
      if (opened?.state !== "read") continue;
      for (const path of namedBy(opened.checked.document)) this.add(besideDocument(opened.checked.file, path), "named");
    }
  }

  open(path: string, from: string): Opened {
    const file = besideDocument(from, path);
    this.add(file, "named");
    return this.known.get(resolve(file)) ?? { state: "missing", file };
  }
}

function namedBy(document: AnyDocument): string[] {
  switch (document.kind) {
    case "draftplan/plan":
    case "draftplan/comparison":
      return inputPaths(document.inputs);
    case "draftplan/verification":
      return [document.plan.path, ...inputPaths(document.inputs)];
    case "draftplan/export":
      return [document.plan.path];
    case "draftplan/profile":
    case "draftplan/calibration":
    case "draftplan/targets":
      return [];
  }
}

const inputPaths = (inputs: { profile: { path: string }; calibration: { path: string } } | undefined): string[] =>
  inputs === undefined ? [] : [inputs.profile.path, inputs.calibration.path];

function readOne(file: string, origin: Origin): Opened | null {
  try {
    const bytes = readDocumentBytes(file, origin === "given" ? "user" : "document");
    // whatever it is encoded in: a plan in UTF-16 is a faulty plan, and not YAML of others
    if (origin === "folder" && !MENTIONS_KIND.test(bytes.toString("latin1").replaceAll("\0", ""))) return null;
    const text = utf8Text(bytes, file);
    return { state: "read", checked: toChecked(file, parseDocument(text, file), sha256(bytes)) };
  } catch (error) {
    if (origin === "named" && isMissing(error)) return { state: "missing", file };
    const failure = error instanceof DraftplanError ? error : unreadable(file, messageOf(error));
    if (origin === "given" && (failure.code === "FILE_NOT_FOUND" || failure.code === "FILE_UNREADABLE")) throw failure;
    if (origin === "folder" && failure.code === "DOCUMENT_KIND" && !/^'draftplan\//.test(failure.what)) return null;
    // a link in a folder that leads nowhere
    const shown = failure.code === "FILE_NOT_FOUND" ? unreadable(file, failure.what) : failure;
    return { state: "faulty", file, findings: invalidDocumentFindings(file, shown) };
  }
}

/** Somewhere in the text, at any depth: the parser has the last word. */
const MENTIONS_KIND = /kind["']?\s*:\s*["']?draftplan\//;

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

const isMissing = (error: unknown): boolean =>
  error instanceof DraftplanError
    ? error.code === "FILE_NOT_FOUND"
    : error instanceof Error && "code" in error && ["ENOENT", "ENOTDIR"].includes(error.code as string);

const unreadable = (file: string, why: string) =>
  new DraftplanError({
    code: "FILE_UNREADABLE",
    at: file,
    what: `the file could not be read (${why})`,
    remedy: "Check the file and its permissions.",
  });

/** Installed packages bring documents of their own, and hidden folders are tools'. */
const isPassedOver = (name: string): boolean => name === "node_modules" || name.startsWith(".");

/** Files named *.yaml and *.yml, in the order of their names; links to folders are not followed. */
export function yamlFilesBelow(folder: string): { files: string[]; unreadable: Finding[] } {
  let entries: Dirent[];
  try {
    entries = readdirSync(folder, { withFileTypes: true });
  } catch (error) {
    const message = `the folder could not be read (${messageOf(error)})`;
    return { files: [], unreadable: [finding("DOCUMENT_UNREADABLE", folder, "", message)] };
  }
  const files: string[] = [];
  const problems: Finding[] = [];
  for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) {
      if (isPassedOver(entry.name)) continue;
      const below = yamlFilesBelow(path);
      files.push(...below.files);
      problems.push(...below.unreadable);
    } else if (/\.ya?ml$/i.test(entry.name) && !isFolder(path)) files.push(path);
  }
  return { files, unreadable: problems };
}

/** Also through a link. Of what cannot be looked at, reading says why. */
function isFolder(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return false;
  }
}
