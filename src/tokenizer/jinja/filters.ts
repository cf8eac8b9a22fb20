/** What stands behind `|`: Jinja2's own filters, but those that make HTML. */
import { Arguments } from "./arguments.js";
import { dump } from "./json.js";
import { capitalized, methodOf, replaced } from "./methods.js";
import { toFloat, toInt } from "./numbers.js";
import { binary, itemOf } from "./operators.js";
import { test } from "./tests.js";
import {
  type Callable,
  charactersOf,
  compare,
  defined,
  equals,
  Float,
  isDict,
  isTrue,
  isUndefined,
  iterate,
  lengthOf,
  numberOf,
  sequenceOf,
  Tuple,
  text,
  Undefined,
  type Value,
} from "./values.js";

export type Filter = (value: Value, args: Arguments) => Value;

const onText =
  (work: (value: string, args: Arguments) => Value): Filter =>
  (value, args) =>
    work(text(value), args);
const method = (value: Value, name: string, args: Arguments): Value =>
  (methodOf(value, name) as Callable).call(args.positional, args.named);

/** `'a.b.0'` of an item, as Jinja2's make_attrgetter */
function attributeOf(value: Value, path: Value): Value {
  if (typeof path !== "string") return itemOf(value, path);
  return path
    .split(".")
    .reduce<Value>((at, part) => (isUndefined(at) ? at : itemOf(at, /^\d+$/.test(part) ? Number(part) : part)), value);
}

/** A key to sort and compare by: texts without regard to capitals unless asked. */
function comparable(args: Arguments, attributePlace: number, casePlace: number): (value: Value) => Value {
  const attribute = args.at(attributePlace, "attribute") ?? null;
  const cased = isTrue(args.at(casePlace, "case_sensitive") ?? false);
  return (item) => {
    const value = attribute === null ? item : attributeOf(item, attribute);
    return typeof value === "string" && !cased ? value.toLowerCase() : value;
  };
}

function sorted(items: readonly Value[], key: (value: Value) => Value, reverse: boolean): Value[] {
  const keyed = items.map((item) => ({ item, key: key(item) }));
  keyed.sort((a, b) => (reverse ? compare(b.key, a.key) : compare(a.key, b.key)));
  return keyed.map(({ item }) => item);
}

const extreme =
  (sign: 1 | -1): Filter =>
  (value, args) => {
    const key = comparable(args, 1, 0);
    const items = iterate(value);
    if (items.length === 0) return new Undefined("an empty sequence has no such item");
    return items.reduce((a, b) => (sign * compare(key(b), key(a)) > 0 ? b : a));
  };

/** Jinja2 looks into nothing that is false: none has no items here. */
const itemsOf = (value: Value): readonly Value[] => (isTrue(value) ? iterate(value) : []);

/** select, reject, selectattr, rejectattr */
const chosen =
  (wanted: boolean, byAttribute: boolean): Filter =>
  (value, args) => {
    const attribute = byAttribute ? args.need(0, "attribute") : null;
    const rest = args.after(byAttribute ? 1 : 0);
    const name = rest.positional.length === 0 ? null : text(rest.positional[0]);
    const holds = (item: Value) => (name === null ? isTrue(item) : test(name, item, rest.after(1)));
    return itemsOf(value).filter((item) => holds(attribute === null ? item : attributeOf(item, attribute)) === wanted);
  };

function mapped(value: Value, args: Arguments): Value {
  const items = itemsOf(value);
  const attribute = args.named.get("attribute");
  if (attribute !== undefined) {
    const otherwise = args.named.get("default");
    return items.map((item) => {
      const found = attributeOf(item, attribute);
      return isUndefined(found) && otherwise !== undefined ? otherwise : found;
    });
  }
  const name = args.text(0, "filter");
  return items.map((item) => filter(name, item, args.after(1)));
}

function indented(value: string, args: Arguments): Value {
  const width = args.at(0, "width") ?? 4;
  const by = typeof width === "string" ? width : " ".repeat(args.whole(0, "width", 4));
  const [first, blank] = [isTrue(args.at(1, "first") ?? false), isTrue(args.at(2, "blank") ?? false)];
  const lines = value.split("\n");
  return lines
    .map((line, i) => ((i === 0 && !first) || (line === "" && !blank && i > 0) ? line : by + line))
    .join("\n");
}

/** Python rounds halves to even. */
function rounded(value: Value, args: Arguments): Value {
  const scale = 10 ** args.whole(0, "precision", 0);
  const scaled = (numberOf(defined(value)) ?? Number.NaN) * scale;
  const way = args.text(1, "method", "common");
  const even = 2 * Math.round(scaled / 2);
  const common = Math.abs(scaled % 1) === 0.5 ? even : Math.round(scaled);
  return new Float((way === "ceil" ? Math.ceil(scaled) : way === "floor" ? Math.floor(scaled) : common) / scale);
}

function slices(value: Value, args: Arguments): Value {
  const items = iterate(value);
  const count = args.whole(0, "slices");
  const [each, longer] = [Math.floor(items.length / count), items.length % count];
  const fill = args.at(1, "fill_with") ?? null;
  return Array.from({ length: count }, (_, i) => {
    const from = i * each + Math.min(i, longer);
    const slice = items.slice(from, from + each + (i < longer ? 1 : 0));
    return fill !== null && i >= longer ? [...slice, fill] : [...slice];
  });
}

function batches(value: Value, args: Arguments): Value {
  const items = iterate(value);
  const size = args.whole(0, "linecount");
  const fill = args.at(1, "fill_with") ?? null;
  const made = Array.from({ length: Math.ceil(items.length / size) }, (_, i) => items.slice(i * size, (i + 1) * size));
  return made.map((batch) =>
    fill === null ? [...batch] : [...batch, ...new Array<Value>(size - batch.length).fill(fill)],
  );
}

function grouped(value: Value, args: Arguments): Value {
  const attribute = args.need(0, "attribute");
  const key = (item: Value) => {
    const found = attributeOf(item, attribute);
    return isUndefined(found) ? (args.at(1, "default") ?? found) : found;
  };
  const groups: { key: Value; items: Value[] }[] = [];
  for (const item of sorted(iterate(value), key, false)) {
    const last = groups.at(-1);
    if (last !== undefined && equals(last.key, key(item))) last.items.push(item);
    else groups.push({ key: key(item), items: [item] });
  }
  return groups.map(({ key: of, items }) => new Tuple([of, items]));
}

function unique(value: Value, args: Arguments): Value {
  const key = comparable(args, 1, 0);
  const seen: Value[] = [];
  return iterate(value).filter((item) => {
    const of = key(item);
    if (seen.some((one) => equals(one, of))) return false;
    seen.push(of);
    return true;
  });
}

function dictsorted(value: Value, args: Arguments): Value {
  if (!isDict(value)) throw new Error("dictsort needs a dict");
  const [byValue, reverse] = [args.text(1, "by", "key") === "value", isTrue(args.at(2, "reverse") ?? false)];
  const cased = isTrue(args.at(0, "case_sensitive") ?? false);
  const folded = (item: Value) => (typeof item === "string" && !cased ? item.toLowerCase() : item);
  const pairs = [...value].map((pair) => new Tuple(pair));
  return sorted(pairs, (pair) => folded((pair as Tuple).items[byValue ? 1 : 0]), reverse);
}

const HTML: Readonly<Record<string, string>> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", "'": "&#39;", '"': "&#34;" };

function toJson(value: Value, args: Arguments): Value {
  const indent = args.at(1, "indent") ?? null;
  const separators = args.at(2, "separators") ?? null;
  const pair = separators === null ? null : (iterate(separators).map(text) as [string, string]);
  return dump(defined(value), {
    ensureAscii: isTrue(args.at(0, "ensure_ascii") ?? false),
    indent: indent === null ? null : typeof indent === "string" ? indent : " ".repeat(args.whole(1, "indent")),
    separators: pair,
    sortKeys: isTrue(args.at(3, "sort_keys") ?? false),
  });
}

/** @param places first and last come from a list, a text, or the keys of a dict */
const endOf =
  (at: 0 | -1): Filter =>
  (value) =>
    iterate(value).at(at) ?? (lengthOf(value) > 0 ? null : new Undefined("an empty sequence has no such item"));

const length: Filter = (value) => lengthOf(value);
const otherwise: Filter = (value, args) =>
  isUndefined(value) || (isTrue(args.at(1, "boolean") ?? false) && !isTrue(value))
    ? (args.at(0, "default_value") ?? "")
    : value;
const escaped = onText((value) => value.replace(/[&<>'"]/g, (one) => HTML[one]));

const FILTERS: Readonly<Record<string, Filter>> = {
  abs: (value) => {
    const size = Math.abs(numberOf(defined(value)) ?? Number.NaN);
    return value instanceof Float ? new Float(size) : size;
  },
  attr: (value, args) =>
    methodOf(value, args.text(0, "name")) ?? new Undefined(`no attribute '${args.text(0, "name")}'`),
  batch: batches,
  capitalize: onText(capitalized),
  center: onText((value, args) => method(value, "center", new Arguments([args.at(0, "width") ?? 80]))),
  ...{ count: length, length },
  ...{ d: otherwise, default: otherwise },
  dictsort: dictsorted,
  ...{ e: escaped, escape: escaped },
  first: endOf(0),
  float: (value, args) => toFloat(value, args.at(0, "default") ?? new Float(0)),
  format: onText((value, args) =>
    binary("%", value, args.named.size > 0 ? new Map(args.named) : new Tuple(args.positional)),
  ),
  groupby: grouped,
  indent: onText(indented),
  int: (value, args) => toInt(value, args.at(0, "default") ?? 0, args.whole(1, "base", 10)),
  items: (value) => (isUndefined(value) ? [] : method(value, "items", new Arguments([]))),
  join: (value, args) => {
    const attribute = args.at(1, "attribute") ?? null;
    const items = iterate(value).map((item) => (attribute === null ? item : attributeOf(item, attribute)));
    return items.map(text).join(args.text(0, "d", ""));
  },
  last: endOf(-1),
  list: (value) => [...iterate(value)],
  lower: onText((value) => value.toLowerCase()),
  map: mapped,
  max: extreme(1),
  min: extreme(-1),
  reject: chosen(false, false),
  rejectattr: chosen(false, true),
  replace: onText((value, args) =>
    replaced(value, args.text(0, "old"), args.text(1, "new"), args.whole(2, "count", -1)),
  ),
  reverse: (value) =>
    typeof value === "string" ? charactersOf(value).reverse().join("") : [...iterate(value)].reverse(),
  round: rounded,
  safe: (value) => value,
  select: chosen(true, false),
  selectattr: chosen(true, true),
  slice: slices,
  sort: (value, args) => sorted(iterate(value), comparable(args, 2, 1), isTrue(args.at(0, "reverse") ?? false)),
  string: (value) => text(value),
  striptags: onText((value) =>
    value
      .replace(/<!--.*?-->|<[^>]*>/gs, "")
      .trim()
      .split(/\s+/u)
      .join(" "),
  ),
  sum: (value, args) => {
    const attribute = args.at(0, "attribute") ?? null;
    const items = iterate(value).map((item) => (attribute === null ? item : attributeOf(item, attribute)));
    return items.reduce((a, b) => binary("+", a, b), args.at(1, "start") ?? 0);
  },
  title: onText((value) => value.replace(/[^-\s({[<]+/gu, (word) => capitalized(word))),
  tojson: toJson,
  trim: onText((value, args) => method(value, "strip", args)),
  truncate: onText((value, args) => {
    const [most, end] = [args.whole(0, "length", 255), args.text(2, "end", "...")];
    const characters = charactersOf(value);
    if (characters.length <= most + args.whole(3, "leeway", 5)) return value;
    const cut = characters.slice(0, most - charactersOf(end).length).join("");
    const whole =
      isTrue(args.at(1, "killwords") ?? false) || !cut.includes(" ") ? cut : cut.slice(0, cut.lastIndexOf(" "));
    return whole + end;
  }),
  unique,
  upper: onText((value) => value.toUpperCase()),
  urlencode: (value) => {
    const encoded = (one: Value, safe: string) =>
      encodeURIComponent(text(one))
        .replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)
        .replaceAll("%2F", safe);
    if (!isDict(value) && sequenceOf(value) === null) return encoded(value, "/");
    const pairs = isDict(value) ? [...value] : iterate(value).map((pair) => iterate(pair));
    return pairs.map(([key, item]) => `${encoded(key, "%2F")}=${encoded(item, "%2F")}`).join("&");
  },
  wordcount: onText((value) => (value.match(/\w+/gu) ?? []).length),
};

/** @throws Error for a filter that is not here, and where it cannot be applied */
export function filter(name: string, value: Value, args: Arguments): Value {
  if (!Object.hasOwn(FILTERS, name)) throw new Error(`there is no filter '${name}'`);
  return FILTERS[name](value, args);
}

export const hasFilter = (name: string): boolean => Object.hasOwn(FILTERS, name);
