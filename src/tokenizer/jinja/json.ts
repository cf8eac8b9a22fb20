/** `tojson`, as transformers has it: Python's json.dumps, with letters beyond ASCII as they are. */
import { Float, isDict, type Key, repr, sequenceOf, typeName, type Value } from "./values.js";

export interface DumpOptions {
  ensureAscii: boolean;
  /** null: on one line */
  indent: string | null;
  separators: readonly [item: string, key: string] | null;
  sortKeys: boolean;
}

export function dump(value: Value, { indent, separators, ensureAscii, sortKeys }: DumpOptions): string {
  const [between, colon] = separators ?? [indent === null ? ", " : ",", ": "];
  const word = (text: string) => (ensureAscii ? asciiOnly(JSON.stringify(text)) : JSON.stringify(text));
  const keyText = (key: Key) => word(typeof key === "string" ? key : JSON.stringify(key));
  const wrapped = (open: string, items: readonly string[], close: string, depth: number) => {
    if (items.length === 0) return open + close;
    if (indent === null) return open + items.join(between) + close;
    const line = `\n${indent.repeat(depth + 1)}`;
    return `${open}${line}${items.join(`${between.trimEnd()}${line}`)}\n${indent.repeat(depth)}${close}`;
  };
  const write = (item: Value, depth: number): string => {
    if (item === null) return "null";
    if (typeof item === "boolean" || typeof item === "number") return String(item);
    if (typeof item === "string") return word(item);
    if (item instanceof Float) return repr(item).replace("nan", "NaN").replace("inf", "Infinity");
    const items = sequenceOf(item);
    if (items !== null)
      return wrapped(
        "[",
        items.map((one) => write(one, depth + 1)),
        "]",
        depth,
      );
    if (!isDict(item)) throw new Error(`an object of type ${typeName(item)} is not JSON serializable`);
    const entries = sortKeys ? [...item].sort(([a], [b]) => (String(a) < String(b) ? -1 : 1)) : [...item];
    return wrapped(
      "{",
      entries.map(([key, one]) => `${keyText(key)}${colon}${write(one, depth + 1)}`),
      "}",
      depth,
    );
  };
  return write(value, 0);
}

const asciiOnly = (text: string): string =>
  text.replace(/[^\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`);
