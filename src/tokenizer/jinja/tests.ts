/** What stands behind `is`: Jinja2's own tests. */
import { Arguments } from "./arguments.js";
import { binary } from "./operators.js";
import {
  Callable,
  contains,
  equals,
  Float,
  isDict,
  isUndefined,
  numberOf,
  sequenceOf,
  text,
  Undefined,
  type Value,
} from "./values.js";

type Test = (value: Value, args: Arguments) => boolean;

const whole = (value: Value): number => {
  const number = numberOf(value);
  if (number === null) throw new Error("a number is needed");
  return number;
};
const modulo = (value: Value, by: number): number => ((whole(value) % by) + by) % by;
const compared =
  (operator: string): Test =>
  (value, args) =>
    binary(operator, value, args.need(0, "other")) === true;
const isNumber = (value: Value): boolean => numberOf(value) !== null;
const isSequence = (value: Value): boolean =>
  typeof value === "string" || isDict(value) || sequenceOf(value) !== null || isUndefined(value);
const cased =
  (turned: (value: string) => string): Test =>
  (value) =>
    text(value) === turned(text(value)) && text(value).toLowerCase() !== text(value).toUpperCase();

const equalTo = compared("==");
const [below, atMost, above, atLeast] = ["<", "<=", ">", ">="].map(compared);

const TESTS: Readonly<Record<string, Test>> = {
  defined: (value) => !isUndefined(value),
  undefined: isUndefined,
  none: (value) => value === null,
  boolean: (value) => typeof value === "boolean",
  true: (value) => value === true,
  false: (value) => value === false,
  integer: (value) => typeof value === "number",
  float: (value) => value instanceof Float,
  number: isNumber,
  string: (value) => typeof value === "string",
  mapping: isDict,
  sequence: isSequence,
  iterable: isSequence,
  callable: (value) => value instanceof Callable,
  even: (value) => modulo(value, 2) === 0,
  odd: (value) => modulo(value, 2) === 1,
  divisibleby: (value, args) => modulo(value, args.whole(0, "num")) === 0,
  in: (value, args) => contains(args.need(0, "seq"), value),
  sameas: (value, args) => {
    const other = args.need(0, "other");
    return value === other || (value instanceof Undefined && other instanceof Undefined);
  },
  lower: cased((value) => value.toLowerCase()),
  upper: cased((value) => value.toUpperCase()),
  escaped: () => false,
  test: (value) => typeof value === "string" && Object.hasOwn(TESTS, value),
  ...{ "==": equalTo, eq: equalTo, equalto: equalTo },
  ...{ "!=": (value: Value, args: Arguments) => !equals(value, args.need(0, "other")) },
  ne: (value, args) => !equals(value, args.need(0, "other")),
  ...{ "<": below, lt: below, lessthan: below, "<=": atMost, le: atMost },
  ...{ ">": above, gt: above, greaterthan: above, ">=": atLeast, ge: atLeast },
};

/** @throws Error for a test that Jinja2 does not have */
export function test(name: string, value: Value, args: Arguments = new Arguments([])): boolean {
  if (!Object.hasOwn(TESTS, name)) throw new Error(`there is no test '${name}'`);
  return TESTS[name](value, args);
}
