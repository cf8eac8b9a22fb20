/**
 * Documents in and out: strict YAML, one schema a kind, digests of the bytes.
 * Nothing is ever half written, and nothing hostile is expanded (aliases, depth, size).
 */
import { createHash } from "node:crypto";
import {
  isMap,
  isScalar,
  isSeq,
  LineCounter,
  parseDocument as parseYaml,
  visit,
  type YAMLSeq,
  Document as YamlDocument,
} from "yaml";
import type { z } from "zod";
import { DraftplanError, type ErrorDetail } from "../core/errors.js";
import { writeText } from "../core/output-file.js";
import { readNamedFile, readUserFile } from "../core/user-file.js";
import { utf8Text } from "../core/utf8.js";
import { yamlFailure, yamlFault } from "../core/yaml-words.js";
import { Calibration } from "./calibration.js";
import { Comparison } from "./comparison.js";
import { Export } from "./export.js";
import { Plan } from "./plan.js";
import { Profile } from "./profile.js";
import { TargetComparison } from "./targets/document.js";
import { Verification } from "./verification.js";

const SCHEMAS = {
  "draftplan/profile": Profile,
  "draftplan/calibration": Calibration,
  "draftplan/plan": Plan,
  "draftplan/verification": Verification,
  "draftplan/comparison": Comparison,
  "draftplan/targets": TargetComparison,
  "draftplan/export": Export,
} as const;

export type Kind = keyof typeof SCHEMAS;
export type DocumentOf<K extends Kind> = z.infer<(typeof SCHEMAS)[K]>;
export type AnyDocument = { [K in Kind]: DocumentOf<K> }[Kind];
export const KINDS = Object.keys(SCHEMAS) as Kind[];

/** A document, the digest of its bytes and where it was read. */
export interface Loaded<T> {
  document: T;
  sha256: string;
  path: string;
}

/** One thing wrong with the content of a document. */
export interface DocumentFault {
  /** `["segments", 0, "draft_tokens"]` */
  path: readonly PropertyKey[];
  /** `segments[0].draft_tokens` */
  where: string;
  /** from 1; null where the document does not say where it stands */
  line: number | null;
  what: string;
}

/** DOCUMENT_INVALID with the first faults of all: an error names one, a check lists them. */
export class InvalidDocument extends DraftplanError {
  constructor(
    detail: ErrorDetail,
    readonly kind: Kind,
    readonly faults: readonly DocumentFault[],
  ) {
    super(detail);
  }
}
const MAX_FAULTS = 20;

/** Far above any real document: a profile of 128 layers has some 100 kB and 20,000 values. */
export const MAX_DOCUMENT_BYTES = 8 << 20;
export const MAX_VALUES = 300_000;
const MAX_ALIASES = 64;

export const sha256 = (bytes: string | Uint8Array): string => createHash("sha256").update(bytes).digest("hex");

/** Who names a file: the command line, which may name a pipe, or a document or a folder, which may not. */
export type NamedBy = "user" | "document";

export const readDocumentBytes = (path: string, namedBy: NamedBy): Buffer =>
  (namedBy === "user" ? readUserFile : readNamedFile)(path, MAX_DOCUMENT_BYTES);

/** Reads a document of any kind. @throws FILE_NOT_FOUND, FILE_UNREADABLE, DOCUMENT_SYNTAX, DOCUMENT_KIND, DOCUMENT_VERSION, DOCUMENT_INVALID */
export function readDocument(path: string, namedBy: NamedBy = "user"): Loaded<AnyDocument> {
  const bytes = readDocumentBytes(path, namedBy);
  return { document: parseDocument(utf8Text(bytes, path), path), sha256: sha256(bytes), path };
}

/** Reads a document of one kind. @throws what readDocument throws */
export function readDocumentOf<K extends Kind>(kind: K, path: string, namedBy?: NamedBy): Loaded<DocumentOf<K>> {
  const loaded = readDocument(path, namedBy);
  if (loaded.document.kind !== kind) {
    throw new DraftplanError({
      code: "DOCUMENT_KIND",
      at: `${path}: kind`,
      what: `this is a ${loaded.document.kind}, and a ${kind} is needed here`,
      remedy: `Give a file that begins with: kind: ${kind}`,
    });
  }
  return loaded as Loaded<DocumentOf<K>>;
}

/** Text -> checked document. `file` only names it in errors. */
export function parseDocument(text: string, file: string): AnyDocument {
  const lines = new LineCounter();
  let yaml: ReturnType<typeof parseYaml>;
  let data: unknown;
  try {
    // The library compares every key of a map with every other: a map of a million keys would take hours.
    // What it would warn of (a map as a key) is refused below; on stderr it would print the document's own text.
    const options = { uniqueKeys: false, merge: false, prettyErrors: true, logLevel: "error" } as const;
    yaml = parseYaml(text, { ...options, lineCounter: lines });
    const [error] = yaml.errors;
    if (error !== undefined) throw new Unreadable(yamlFault(error.code, lines.linePos(error.pos[0]).line));
    inspectNodes(yaml, lines);
    data = yaml.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    throw syntaxError(file, cause instanceof Unreadable ? cause.message : yamlFailure(cause));
  }
  return validate(data, file, (path) => lineOf(yaml, path, lines));
}

/** In words of draftplan's own. */
class Unreadable extends Error {}

/** Refuses repeated keys, and more values than validation should be asked to complain about. */
function inspectNodes(yaml: ReturnType<typeof parseYaml>, lines: LineCounter): void {
  let values = 0;
  visit(yaml, {
    Scalar() {
      if (++values > MAX_VALUES) throw new Unreadable(`it holds more than ${MAX_VALUES} values, and no document does`);
    },
    Map(_, map) {
      const seen = new Set<unknown>();
      for (const { key } of map.items) {
        if (!isScalar(key)) continue;
        if (seen.has(key.value)) {
          const line = key.range ? ` at line ${lines.linePos(key.range[0]).line}` : "";
          throw new Unreadable(`the key '${String(key.value).slice(0, 60)}' stands twice in one map${line}`);
        }
        seen.add(key.value);
      }
    },
  });
}

const syntaxError = (file: string, what: string) =>
  new DraftplanError({
    code: "DOCUMENT_SYNTAX",
    at: file,
    what: `not readable as YAML: ${what}`,
    remedy: "Mend the line named, or make the document again.",
  });

function validate(data: unknown, file: string, line: (path: PropertyKey[]) => number | null): AnyDocument {
  const head = (typeof data === "object" && data !== null ? data : {}) as { kind?: unknown; version?: unknown };
  if (!KINDS.includes(head.kind as Kind)) {
    throw new DraftplanError({
      code: "DOCUMENT_KIND",
      at: `${file}: kind`,
      what:
        head.kind === undefined
          ? "the key is missing"
          : `'${String(head.kind).slice(0, 60)}' is not a kind of document`,
      remedy: `Use one of: ${KINDS.join(", ")}.`,
    });
  }
  if (head.version !== 1) {
    throw new DraftplanError({
      code: "DOCUMENT_VERSION",
      at: `${file}: version`,
      what: `version ${JSON.stringify(head.version) ?? "is missing"}; this draftplan reads version 1`,
      remedy: "Make the document again with this draftplan, or use the draftplan that wrote it.",
    });
  }
  const result = SCHEMAS[head.kind as Kind].safeParse(data);
  if (result.success) return result.data;
  const faults = result.error.issues.slice(0, MAX_FAULTS).map((issue): DocumentFault => {
    const path = issue.code === "unrecognized_keys" ? [...issue.path, issue.keys[0]] : issue.path;
    return { path, where: pathName(path), line: line(path), what: describeIssue(issue) };
  });
  const [first] = faults;
  const more = result.error.issues.length - 1;
  const detail: ErrorDetail = {
    code: "DOCUMENT_INVALID",
    at: `${file}${first.line === null ? "" : `:${first.line}`}: ${first.where}`,
    what: first.what + (more > 0 ? ` (and ${more} more)` : ""),
    remedy:
      result.error.issues[0].code === "unrecognized_keys"
        ? "Remove the key, or correct its spelling."
        : "Correct the value, or make the document again.",
  };
  throw new InvalidDocument(detail, head.kind as Kind, faults);
}

const describeIssue = (issue: z.core.$ZodIssue): string => {
  if (issue.code === "unrecognized_keys")
    return issue.keys[0] === "<<" ? "YAML's merge keys (<<) are not read; write the keys out" : "unknown key";
  if (issue.code === "invalid_type" && issue.input === undefined && /received undefined/.test(issue.message))
    return "the key is missing";
  // "Too small: expected number to be >=1": the library's first words say nothing more
  return issue.message.replace(/^(Invalid (input|option)|Too (small|big)): /, "").replace(", received ", ", found ");
};

const pathName = (path: PropertyKey[]): string =>
  path.reduce<string>(
    (name, key) => (typeof key === "number" ? `${name}[${key}]` : name === "" ? String(key) : `${name}.${String(key)}`),
    "",
  ) || "document";

/** The line where the nearest existing part of the path stands. */
function lineOf(yaml: ReturnType<typeof parseYaml>, path: PropertyKey[], lines: LineCounter): number | null {
  for (let length = path.length; length > 0; length--) {
    const node = yaml.getIn(path.slice(0, length), true);
    if (typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)) {
      return lines.linePos(node.range[0] as number).line;
    }
  }
  return null;
}

/**
 * Document -> YAML text: short lists and records of scalars on one line, keys in the schema's order, so that what is read
 * and written again is the same text.
 */
export function stringifyDocument(document: AnyDocument): string {
  const schema: z.ZodType<AnyDocument> | undefined = SCHEMAS[document.kind]; // undefined: not a document, printed as it is
  const ordered = schema?.safeParse(document);
  const yaml = new YamlDocument(ordered?.success ? ordered.data : document, { aliasDuplicateObjects: false });
  visit(yaml, {
    Scalar(_key, node) {
      // as a block scalar a text such as "-\né" is written in a form the library does not read back
      if (typeof node.value === "string" && /[\n\r]/.test(node.value)) node.type = "QUOTE_DOUBLE";
    },
    Collection(key, node, path) {
      if (path.length <= 2 && key !== "key" && !isSeq(node)) return; // the document's own keys stay one a line
      const leaf = node.items.every(
        (item) =>
          isScalar(item) || (typeof item === "object" && item !== null && "value" in item && isScalar(item.value)),
      );
      const small =
        isMap(node) &&
        node.items.length <= 12 &&
        node.items.every(
          (pair) =>
            isScalar(pair.value) ||
            (isSeq(pair.value) && pair.value.items.length <= 20 && pair.value.items.every(isScalar)),
        );
      if (leaf || small) node.flow = true;
      if (isSeq(node) && isLongIntegerList(node)) node.toString = (context) => wrapped(node, context?.indent ?? "");
    },
  });
  return yaml.toString({ lineWidth: LINE_WIDTH, flowCollectionPadding: false });
}

const LINE_WIDTH = 120;

/** Token ids. The library would give each a line of its own. */
const isLongIntegerList = ({ items }: YAMLSeq): boolean =>
  items.length > 20 && items.every((item) => isScalar(item) && Number.isInteger(item.value));

/** A flow sequence of whole numbers, in lines filled up to LINE_WIDTH. */
function wrapped({ items }: YAMLSeq, indent: string): string {
  const lines: string[] = [];
  let line = "[";
  items.forEach((item, i) => {
    const text = `${isScalar(item) ? item.value : ""}${i === items.length - 1 ? "]" : ","}`;
    if (indent.length + line.length + 1 + text.length > LINE_WIDTH) {
      lines.push(line);
      line = "";
    }
    line += line === "[" ? text : ` ${text}`;
  });
  return [...lines, line].join(`\n${indent}`);
}

/** Writes a document so that a reader sees all of it or nothing; returns its digest. @throws FILE_UNWRITABLE */
export function writeDocument(path: string, document: AnyDocument): string {
  SCHEMAS[document.kind].parse(document); // what a reader would refuse is not written: that is a bug, and throws
  const text = stringifyDocument(document);
  writeText(path, text);
  return sha256(text);
}
