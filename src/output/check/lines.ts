/** On which line of a document a finding's key stands, so that an annotation appears beside it. */
import { isMap, isScalar, isSeq, LineCounter, type Node, parseDocument } from "yaml";
import type { Finding } from "../../check/findings.js";
import { readNamedFile } from "../../core/user-file.js";

/** As large as a document may be. */
const MAX_BYTES = 8 << 20;

/** Lines of one file's findings, from 1; null where none can be told. Never throws: the file may be what is wrong. */
export function findingLines(file: string, findings: readonly Finding[]): (number | null)[] {
  const lines = findings.some(({ where }) => where !== "") ? openLines(file) : () => null;
  return findings.map(({ where, message }) => (where === "" ? lineInMessage(message) : lines(where)));
}

function openLines(file: string): (where: string) => number | null {
  try {
    const counter = new LineCounter();
    const text = readNamedFile(file, MAX_BYTES).toString("utf8");
    const { contents } = parseDocument(text, { lineCounter: counter, uniqueKeys: false, merge: false });
    return (where) => {
      const offset = offsetOf(contents, where);
      return offset === null ? null : counter.linePos(offset).line;
    };
  } catch {
    return () => null;
  }
}

/** The nearest part of the key that is there: a finding may be that the rest is missing. */
function offsetOf(root: Node | null, where: string): number | null {
  let node: unknown = root;
  let offset: number | null = null;
  let keys = where.split(/[.[\]]+/).filter((key) => key !== "");
  while (keys.length > 0) {
    const step = stepInto(node, keys);
    if (step === null) break;
    ({ node, keys } = step);
    offset = step.offset ?? offset;
  }
  return offset;
}

interface Step {
  node: unknown;
  offset: number | null;
  keys: string[];
}

function stepInto(node: unknown, keys: readonly string[]): Step | null {
  if (isSeq(node)) {
    const item = node.items[Number(keys[0])];
    return item === undefined ? null : { node: item, offset: startOf(item), keys: keys.slice(1) };
  }
  if (!isMap(node)) return null;
  // the name of a block, `0.mlp`, is one key with a dot in it
  for (const length of [2, 1]) {
    const name = keys.slice(0, length).join(".");
    const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === name);
    if (pair !== undefined) return { node: pair.value, offset: startOf(pair.key), keys: keys.slice(length) };
  }
  return null;
}

const startOf = (node: unknown): number | null =>
  typeof node === "object" && node !== null && "range" in node && Array.isArray(node.range)
    ? (node.range[0] as number)
    : null;

/** `line 12: …`, or the YAML parser's own words `… at line 12, column 3` */
function lineInMessage(message: string): number | null {
  const found = /(?:^|\bat )line (\d{1,7})\b/.exec(message);
  return found === null ? null : Number(found[1]);
}
