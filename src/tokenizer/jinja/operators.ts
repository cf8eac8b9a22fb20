/** Python's operators. */
import { percentFormatted } from "./format.js";
import {
  charactersOf,
  compare,
  contains,
  defined,
  equals,
  Float,
  isDict,
  isUndefined,
  keyOf,
  lengthOf,
  numberOf,
  sequenceOf,
  Tuple,
  text,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

/** Items of a list that an operator may make: templates come with models, and a list of 10⁹ is no prompt. */
const MOST_ITEMS = 1 << 20;

/** All but `and` and `or`, which do not always look at their right side. */
export function binary(operator: string, a: Value, b: Value): Value {
  switch (operator) {
    case "==":
      return equals(a, b);
    case "!=":
      return !equals(a, b);
    case "<":
      return compare(a, b) < 0;
    case ">":
      return compare(a, b) > 0;
    case "<=":
      return compare(a, b) <= 0;
    case ">=":
      return compare(a, b) >= 0;
    case "in":
      return contains(b, a);
    case "not in":
      return !contains(b, a);
    case "~":
      return text(a) + text(b);
    default:
      return arithmetic(operator, defined(a), defined(b));
  }
}

function arithmetic(operator: string, a: Value, b: Value): Value {
  if (operator === "%" && typeof a === "string") return percentFormatted(a, b);
  const [x, y] = [numberOf(a), numberOf(b)];
  if (x !== null && y !== null) return ofNumbers(operator, x, y, a instanceof Float || b instanceof Float);
  if (operator === "+") {
    if (typeof a === "string" && typeof b === "string") return a + b;
    if (Array.isArray(a) && Array.isArray(b)) return bounded([...a, ...b]);
    if (a instanceof Tuple && b instanceof Tuple) return new Tuple(bounded([...a.items, ...b.items]));
  }
  if (operator === "*") {
    if (y !== null && !(b instanceof Float)) return repeated(a, y);
    if (x !== null && !(a instanceof Float)) return repeated(b, x);
  }
  throw new Error(`unsupported operand types for ${operator}: '${typeName(a)}' and '${typeName(b)}'`);
}

function repeated(value: Value, times: number): Value {
  const count = Math.max(0, times);
  if (typeof value === "string") return value.repeat(count);
  const items = sequenceOf(value);
  if (items === null) throw new Error(`'${typeName(value)}' cannot be multiplied`);
  if (items.length * count > MOST_ITEMS) throw new Error(`a list of ${items.length * count} items is too long`);
  const all = Array.from({ length: count }, () => items).flat();
  return Array.isArray(value) ? all : new Tuple(all);
}

function bounded(items: Value[]): Value[] {
  if (items.length > MOST_ITEMS) throw new Error(`a list of ${items.length} items is too long`);
  return items;
}

function ofNumbers(operator: string, x: number, y: number, float: boolean): Value {
  const made = (value: number) => (float ? new Float(value) : value);
  const nonZero = () => {
    if (y === 0) throw new Error("division by zero");
  };
  switch (operator) {
    case "+":
      return made(x + y);
    case "-":
      return made(x - y);
    case "*":
      return made(x * y);
    case "/":
      nonZero();
      return new Float(x / y);
    case "//":
      nonZero();
      return made(Math.floor(x / y));
    case "%":
      nonZero();
      return made(x - y * Math.floor(x / y)); // of the divisor's sign
    case "**":
      return !float && y >= 0 ? x ** y : new Float(x ** y);
    default:
      throw new Error(`the operator ${operator} is not known`);
  }
}

export function signed(operator: string, value: Value): Value {
  const number = numberOf(defined(value));
  if (number === null) throw new Error(`'${typeName(value)}' has no sign`);
  const turned = operator === "-" ? -number : number;
  return value instanceof Float ? new Float(turned) : turned;
}

/** `of[key]`, methods aside; what is not there is undefined, but what cannot be looked into is an error only there. */
export function itemOf(of: Value, key: Value): Value {
  const target = defined(of);
  if (isUndefined(key)) return missing(of, key);
  if (isDict(target)) {
    const found = sequenceOf(key) === null && !isDict(key) ? target.get(keyOf(key)) : undefined;
    return found ?? (target.has(key as never) ? null : missing(of, key));
  }
  const at = numberOf(key);
  if (at === null || key instanceof Float || (typeof target !== "string" && sequenceOf(target) === null))
    return missing(of, key);
  const items = typeof target === "string" ? charactersOf(target) : (sequenceOf(target) as readonly Value[]);
  return items[at < 0 ? items.length + at : at] ?? missingItem(items, at, of, key);
}

function missingItem(items: readonly Value[], at: number, of: Value, key: Value): Value {
  return items[at < 0 ? items.length + at : at] === null ? null : missing(of, key);
}

export const missing = (of: Value, key: Value): Undefined =>
  new Undefined(`'${typeName(of)}' has no '${typeof key === "string" ? key : text(key)}'`);

/** `of[start:stop:step]` @param bounds null: left out */
export function sliced(of: Value, [start, stop, step]: readonly (Value | null)[]): Value {
  const target = defined(of);
  const whole = (value: Value | null) => {
    if (value === null) return null;
    const number = numberOf(defined(value));
    if (number === null || value instanceof Float) throw new Error("bounds of a slice are whole numbers");
    return number;
  };
  const length = lengthOf(target);
  const by = whole(step) ?? 1;
  if (by === 0) throw new Error("a slice in steps of nought");
  const clamped = (value: number, low: number, high: number) =>
    Math.min(high, Math.max(low, value < 0 ? value + length : value));
  const [low, high] = by > 0 ? [0, length] : [-1, length - 1];
  const from = clamped(whole(start) ?? (by > 0 ? 0 : length - 1), low, high);
  const end = whole(stop);
  const to = end === null ? (by > 0 ? length : -1) : clamped(end, low, high);
  const items = typeof target === "string" ? charactersOf(target) : sequenceOf(target);
  if (items === null) throw new Error(`'${typeName(target)}' has no slices`);
  const taken: Value[] = [];
  for (let i = from; by > 0 ? i < to : i > to; i += by) taken.push(items[i]);
  if (typeof target === "string") return taken.join("");
  return Array.isArray(target) ? taken : new Tuple(taken);
}
