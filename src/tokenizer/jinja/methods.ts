/** Methods of Python's texts, lists and dicts that templates call. Those that change a value are refused, as in transformers' sandbox. */
import { Arguments } from "./arguments.js";
import { formatted } from "./format.js";
import {
  Callable,
  charactersOf,
  type Dict,
  equals,
  isDict,
  iterate,
  keyOf,
  sequenceOf,
  Tuple,
  text,
  typeName,
  type Value,
} from "./values.js";

type Method<T> = (self: T, args: Arguments) => Value;

const escaped = (characters: string): string => characters.replace(/[\\\]^-]/g, "\\$&");
/** What strip() takes off: white space, or any of these characters. */
const strippable = (characters: string | null): string => (characters === null ? "\\s" : escaped(characters));

function strip(value: string, characters: string | null, sides: "both" | "left" | "right"): string {
  if (characters === "") return value;
  const set = `[${strippable(characters)}]+`;
  const left = sides === "right" ? value : value.replace(new RegExp(`^${set}`, "u"), "");
  return sides === "left" ? left : left.replace(new RegExp(`${set}$`, "u"), "");
}
const stripBy =
  (sides: "both" | "left" | "right"): Method<string> =>
  (self, args) => {
    const characters = args.at(0, "chars");
    return strip(self, characters === undefined || characters === null ? null : text(characters), sides);
  };

function split(self: string, separator: Value | undefined, most: number): string[] {
  if (separator === undefined || separator === null) {
    const words = self.trim() === "" ? [] : self.trim().split(/\s+/u);
    if (most < 0 || words.length <= most + 1) return words;
    let rest = self.trimStart();
    const found: string[] = [];
    for (let i = 0; i < most; i++) {
      const [word] = rest.split(/\s/u, 1);
      found.push(word);
      rest = rest.slice(word.length).trimStart();
    }
    return [...found, rest];
  }
  const by = text(separator);
  if (by === "") throw new Error("split by nothing");
  const parts = self.split(by);
  return most < 0 || parts.length <= most + 1 ? parts : [...parts.slice(0, most), parts.slice(most).join(by)];
}

function splitFromRight(self: string, separator: Value | undefined, most: number): string[] {
  if (separator === undefined || separator === null || most < 0) {
    if (most < 0) return split(self, separator, -1);
    const turned = (value: string) => charactersOf(value).reverse().join("");
    return split(turned(self), null, most).map(turned).reverse();
  }
  const by = text(separator);
  const parts = self.split(by);
  const first = parts.length - most;
  return first <= 1 ? parts : [parts.slice(0, first).join(by), ...parts.slice(first)];
}

const isAffix =
  (test: (self: string, part: string) => boolean): Method<string> =>
  (self, args) => {
    const wanted = args.need(0, "prefix");
    return (sequenceOf(wanted) ?? [wanted]).some((part) => test(self, text(part)));
  };

const every =
  (pattern: RegExp): Method<string> =>
  (self) =>
    self !== "" && charactersOf(self).every((character) => pattern.test(character));
const cased =
  (turned: (value: string) => string): Method<string> =>
  (self) =>
    self === turned(self) && self.toLowerCase() !== self.toUpperCase();

export const capitalized = (value: string): string => {
  const [first = "", ...rest] = charactersOf(value);
  return first.toUpperCase() + rest.join("").toLowerCase();
};
/** str.title(): every run of letters begins large. */
const titled = (value: string): string => value.replace(/\p{L}+/gu, capitalized);

const found = (at: number, self: string): number => (at < 0 ? -1 : charactersOf(self.slice(0, at)).length);

export function replaced(self: string, old: string, by: string, count: number): string {
  const parts = old === "" ? ["", ...charactersOf(self), ""] : self.split(old);
  if (count < 0 || parts.length <= count + 1) return parts.join(by);
  return parts.slice(0, count + 1).join(by) + old + parts.slice(count + 1).join(old);
}

function padded(self: string, args: Arguments, side: "left" | "right" | "both"): string {
  const fill = args.text(1, "fillchar", " ");
  const room = Math.max(0, args.whole(0, "width") - charactersOf(self).length);
  if (side === "left") return self + fill.repeat(room);
  if (side === "right") return fill.repeat(room) + self;
  const width = charactersOf(self).length + room;
  const left = (room >> 1) + (room & width & 1);
  return fill.repeat(left) + self + fill.repeat(room - left);
}

/** Of Python's splitlines: more than line feeds end a line. */
const LINE_ENDS = `\r\n|[\n\r\v\f${String.fromCharCode(0x1c, 0x1d, 0x1e, 0x85, 0x2028, 0x2029)}]`;
const LINE_END = new RegExp(LINE_ENDS, "u");
const LAST_LINE_END = new RegExp(`(?:${LINE_ENDS})$`, "u");

const STRING: Readonly<Record<string, Method<string>>> = {
  upper: (self) => self.toUpperCase(),
  lower: (self) => self.toLowerCase(),
  casefold: (self) => self.toLowerCase(),
  capitalize: capitalized,
  title: titled,
  swapcase: (self) =>
    charactersOf(self)
      .map((one) => (one === one.toLowerCase() ? one.toUpperCase() : one.toLowerCase()))
      .join(""),
  strip: stripBy("both"),
  lstrip: stripBy("left"),
  rstrip: stripBy("right"),
  split: (self, args) => split(self, args.at(0, "sep"), args.whole(1, "maxsplit", -1)),
  rsplit: (self, args) => splitFromRight(self, args.at(0, "sep"), args.whole(1, "maxsplit", -1)),
  splitlines: (self) => (self === "" ? [] : self.replace(LAST_LINE_END, "").split(LINE_END)),
  partition: (self, args) => {
    const by = args.text(0, "sep");
    const at = self.indexOf(by);
    return new Tuple(at < 0 ? [self, "", ""] : [self.slice(0, at), by, self.slice(at + by.length)]);
  },
  rpartition: (self, args) => {
    const by = args.text(0, "sep");
    const at = self.lastIndexOf(by);
    return new Tuple(at < 0 ? ["", "", self] : [self.slice(0, at), by, self.slice(at + by.length)]);
  },
  startswith: isAffix((self, part) => self.startsWith(part)),
  endswith: isAffix((self, part) => self.endsWith(part)),
  removeprefix: (self, args) =>
    self.startsWith(args.text(0, "prefix")) ? self.slice(args.text(0, "prefix").length) : self,
  removesuffix: (self, args) => {
    const suffix = args.text(0, "suffix");
    return suffix !== "" && self.endsWith(suffix) ? self.slice(0, -suffix.length) : self;
  },
  replace: (self, args) => replaced(self, args.text(0, "old"), args.text(1, "new"), args.whole(2, "count", -1)),
  find: (self, args) => found(self.indexOf(args.text(0, "sub")), self),
  rfind: (self, args) => found(self.lastIndexOf(args.text(0, "sub")), self),
  index: (self, args) => {
    const at = found(self.indexOf(args.text(0, "sub")), self);
    if (at < 0) throw new Error("substring not found");
    return at;
  },
  count: (self, args) => {
    const sub = args.text(0, "sub");
    return sub === "" ? charactersOf(self).length + 1 : self.split(sub).length - 1;
  },
  join: (self, args) => iterate(args.need(0, "iterable")).map(text).join(self),
  format: (self, args) => formatted(self, args),
  ljust: (self, args) => padded(self, args, "left"),
  rjust: (self, args) => padded(self, args, "right"),
  center: (self, args) => padded(self, args, "both"),
  zfill: (self, args) => {
    const [, sign, digits] = /^([+-]?)(.*)$/su.exec(self) as RegExpExecArray;
    return sign + digits.padStart(args.whole(0, "width") - sign.length, "0");
  },
  isdigit: every(/^\p{Nd}$/u),
  isdecimal: every(/^\p{Nd}$/u),
  isnumeric: every(/^\p{N}$/u),
  isalpha: every(/^\p{L}$/u),
  isalnum: every(/^[\p{L}\p{N}]$/u),
  isspace: every(/^\s$/u),
  isupper: cased((value) => value.toUpperCase()),
  islower: cased((value) => value.toLowerCase()),
  istitle: cased(titled),
};

const LIST: Readonly<Record<string, Method<readonly Value[]>>> = {
  index: (self, args) => {
    const at = self.findIndex((item) => equals(item, args.need(0, "value")));
    if (at < 0) throw new Error("the value is not in the list");
    return at;
  },
  count: (self, args) => self.filter((item) => equals(item, args.need(0, "value"))).length,
  copy: (self) => [...self],
};

const DICT: Readonly<Record<string, Method<Dict>>> = {
  keys: (self) => [...self.keys()],
  values: (self) => [...self.values()],
  items: (self) => [...self].map(([key, value]) => new Tuple([key, value])),
  get: (self, args) => self.get(keyOf(args.need(0, "key"))) ?? args.at(1, "default") ?? null,
  copy: (self) => new Map(self),
};

const CHANGING = /^(append|clear|extend|insert|pop|popitem|remove|reverse|setdefault|sort|update)$/;

/** A method of a value; undefined: it has none of that name. */
export function methodOf(self: Value, name: string): Callable | undefined {
  const bound = <T>(methods: Readonly<Record<string, Method<T>>>, value: T): Callable | undefined =>
    Object.hasOwn(methods, name)
      ? new Callable(name, (args, named) => methods[name](value, new Arguments(args, named)))
      : undefined;
  if (typeof self === "string") return bound(STRING, self);
  const items = sequenceOf(self);
  if (items === null && !isDict(self)) return undefined;
  if (CHANGING.test(name) && !(self instanceof Tuple))
    return new Callable(name, () => {
      throw new Error(`${typeName(self)}.${name} would change a value, which templates may not`);
    });
  return items !== null ? bound(LIST, items) : bound(DICT, self as Dict);
}
