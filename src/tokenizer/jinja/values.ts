/**
 * What a chat template computes with: Python's values, since templates were written for Jinja2 on Python and print what it
 * prints. None is null, True and False are booleans, whole numbers are numbers, texts are strings, lists are arrays, dicts
 * are Maps; the rest has a class here.
 */

/** A float: 2.0 is printed as such, and is no whole number. */
export class Float {
  constructor(readonly value: number) {}
}

export class Tuple {
  constructor(readonly items: readonly Value[]) {}
}

/** What no variable, attribute or item has: prints nothing, is empty and false, and any use beyond that is an error. */
export class Undefined {
  /** @param what for errors: `'name' is undefined` */
  constructor(readonly what: string) {}
}

/** `namespace()`: the one thing that templates may assign to attributes of. */
export class Namespace {
  readonly attributes = new Map<string, Value>();
}

/** Read-only attributes, of `loop`. */
export class Attributes {
  constructor(readonly attributes: ReadonlyMap<string, Value>) {}
}

/** A macro, a method or a function of the environment. */
export class Callable {
  constructor(
    readonly name: string,
    readonly call: (args: readonly Value[], named: ReadonlyMap<string, Value>) => Value,
  ) {}
}

export type Key = string | number | boolean | null;
export type Dict = Map<Key, Value>;
export type Value =
  | null
  | boolean
  | number
  | string
  | Value[]
  | Dict
  | Float
  | Tuple
  | Undefined
  | Namespace
  | Attributes
  | Callable;

export const isUndefined = (value: Value): value is Undefined => value instanceof Undefined;
export const isDict = (value: Value): value is Dict => value instanceof Map;

export function typeName(value: Value): string {
  if (value === null) return "NoneType";
  if (typeof value === "boolean") return "bool";
  if (typeof value === "number") return "int";
  if (typeof value === "string") return "str";
  if (Array.isArray(value)) return "list";
  if (isDict(value)) return "dict";
  if (value instanceof Float) return "float";
  if (value instanceof Tuple) return "tuple";
  if (value instanceof Undefined) return "Undefined";
  if (value instanceof Callable) return "function";
  return value instanceof Namespace ? "Namespace" : "LoopContext";
}

/** @throws Error where the value is undefined */
export function defined(value: Value): Exclude<Value, Undefined> {
  if (value instanceof Undefined) throw new Error(value.what);
  return value;
}

/** Python's numbers, True and False among them; null: it is none. */
export function numberOf(value: Value): number | null {
  if (typeof value === "number") return value;
  if (typeof value === "boolean") return value ? 1 : 0;
  return value instanceof Float ? value.value : null;
}

/** Characters as Python counts them: code points. */
export const charactersOf = (text: string): string[] => Array.from(text);

export function isTrue(value: Value): boolean {
  if (value === null || value instanceof Undefined) return false;
  const number = numberOf(value);
  if (number !== null) return number !== 0;
  if (typeof value === "string" || Array.isArray(value)) return value.length > 0;
  if (isDict(value)) return value.size > 0;
  return value instanceof Tuple ? value.items.length > 0 : true;
}

/** repr(float): the shortest digits, with an exponent below 1e-4 and from 1e16 on. */
function floatText(value: number): string {
  if (Number.isNaN(value)) return "nan";
  if (!Number.isFinite(value)) return value > 0 ? "inf" : "-inf";
  if (value === 0) return Object.is(value, -0) ? "-0.0" : "0.0";
  const size = Math.abs(value);
  if (size >= 1e-4 && size < 1e16) {
    const plain = String(value);
    const text = plain.includes("e") ? value.toFixed(20).replace(/0+$/, "") : plain;
    return text.includes(".") ? text : `${text}.0`;
  }
  const [digits, exponent] = value.toExponential().split("e");
  const power = Math.abs(Number(exponent));
  return `${digits}e${exponent.startsWith("-") ? "-" : "+"}${String(power).padStart(2, "0")}`;
}

/** str(): what a template prints. */
export function text(value: Value): string {
  if (typeof value === "string") return value;
  return value instanceof Undefined ? "" : repr(value);
}

export function repr(value: Value): string {
  if (value === null) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  if (typeof value === "number") return String(value);
  if (typeof value === "string") return quoted(value);
  if (value instanceof Float) return floatText(value.value);
  if (Array.isArray(value)) return `[${value.map(repr).join(", ")}]`;
  if (value instanceof Tuple)
    return value.items.length === 1 ? `(${repr(value.items[0])},)` : `(${value.items.map(repr).join(", ")})`;
  if (isDict(value)) return `{${[...value].map(([key, item]) => `${repr(key)}: ${repr(item)}`).join(", ")}}`;
  return value instanceof Undefined ? "Undefined" : `<${typeName(value)}>`;
}

const ESCAPED: Readonly<Record<string, string>> = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t" };

/** In single quotes, unless it has those and no double ones. */
function quoted(value: string): string {
  const quote = value.includes("'") && !value.includes('"') ? '"' : "'";
  const hidden = (character: string) => {
    const code = character.codePointAt(0) as number;
    if (code < 256) return `\\x${code.toString(16).padStart(2, "0")}`;
    return code < 65536 ? `\\u${code.toString(16).padStart(4, "0")}` : `\\U${code.toString(16).padStart(8, "0")}`;
  };
  const inner = charactersOf(value).map((character) => {
    if (character === quote) return `\\${character}`;
    // what Python does not hold to be printable: controls, separators but the space, and unassigned
    return ESCAPED[character] ?? (/[\p{C}\p{Z}]/u.test(character) && character !== " " ? hidden(character) : character);
  });
  return `${quote}${inner.join("")}${quote}`;
}

const same = (a: readonly Value[], b: readonly Value[]): boolean =>
  a.length === b.length && a.every((item, i) => equals(item, b[i]));

/** == */
export function equals(a: Value, b: Value): boolean {
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null || y !== null) return x === y;
  if (a instanceof Undefined || b instanceof Undefined) return a instanceof Undefined && b instanceof Undefined;
  if (Array.isArray(a) && Array.isArray(b)) return same(a, b);
  if (a instanceof Tuple && b instanceof Tuple) return same(a.items, b.items);
  if (isDict(a) && isDict(b))
    return a.size === b.size && [...a].every(([key, item]) => b.has(key) && equals(item, b.get(key) as Value));
  return a === b;
}

/** Below, at or above 0 as a is. @throws Error where Python has no order for them */
export function compare(a: Value, b: Value): number {
  const [x, y] = [numberOf(defined(a)), numberOf(defined(b))];
  if (x !== null && y !== null) return x - y;
  if (typeof a === "string" && typeof b === "string") {
    const [left, right] = [charactersOf(a), charactersOf(b)];
    for (let i = 0; i < Math.min(left.length, right.length); i++)
      if (left[i] !== right[i]) return (left[i].codePointAt(0) as number) - (right[i].codePointAt(0) as number);
    return left.length - right.length;
  }
  const [left, right] = [sequenceOf(a), sequenceOf(b)];
  if (left === null || right === null || typeName(a) !== typeName(b))
    throw new Error(`${typeName(a)} and ${typeName(b)} have no order`);
  for (let i = 0; i < Math.min(left.length, right.length); i++)
    if (!equals(left[i], right[i])) return compare(left[i], right[i]);
  return left.length - right.length;
}

/** A list or a tuple; null: it is neither. */
export const sequenceOf = (value: Value): readonly Value[] | null =>
  Array.isArray(value) ? value : value instanceof Tuple ? value.items : null;

/** What a loop goes over: of a dict its keys, of a text its characters, of nothing defined nothing. */
export function iterate(value: Value): readonly Value[] {
  if (value instanceof Undefined) return [];
  if (typeof value === "string") return charactersOf(value);
  if (isDict(value)) return [...value.keys()];
  const items = sequenceOf(value);
  if (items === null) throw new Error(`'${typeName(value)}' is not iterable`);
  return items;
}

export function lengthOf(value: Value): number {
  if (value instanceof Undefined) return 0;
  if (typeof value === "string") return charactersOf(value).length;
  if (isDict(value)) return value.size;
  const items = sequenceOf(value);
  if (items === null) throw new Error(`'${typeName(value)}' has no length`);
  return items.length;
}

/** `needle in haystack` */
export function contains(haystack: Value, needle: Value): boolean {
  if (typeof haystack === "string") {
    if (typeof needle !== "string")
      throw new Error(`'in <string>' needs text as its left side, not ${typeName(needle)}`);
    return haystack.includes(needle);
  }
  if (isDict(haystack)) return !isUndefined(needle) && haystack.has(keyOf(needle));
  return iterate(haystack).some((item) => equals(item, needle));
}

/** A key of a dict: 1, 1.0 and True are one. @throws Error for what Python cannot hash */
export function keyOf(value: Value): Key {
  const number = numberOf(value);
  if (number !== null) return typeof value === "boolean" ? Number(value) : number;
  if (typeof value === "string" || value === null) return value;
  if (value instanceof Undefined) throw new Error(value.what);
  throw new Error(`'${typeName(value)}' cannot be a key here`);
}

/** JSON values as a template sees them. Whole numbers stay whole; anything else that JSON has no word for is refused. */
export function fromJson(value: unknown): Value {
  if (value === null || typeof value === "string" || typeof value === "boolean") return value;
  if (typeof value === "number") return Number.isInteger(value) ? value : new Float(value);
  if (Array.isArray(value)) return value.map(fromJson);
  if (typeof value === "object")
    return new Map(
      Object.entries(value as object).flatMap(([key, item]) => (item === undefined ? [] : [[key, fromJson(item)]])),
    );
  throw new Error(`a template cannot be given a ${typeof value}`);
}
