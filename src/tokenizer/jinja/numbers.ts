/** Jinja2's filters int and float over what Python's int() and float() read. */
import { Float, numberOf, type Value } from "./values.js";

const FLOAT = /^[+-]?(?:(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?|inf(?:inity)?|nan)$/i;
const PREFIXES: Readonly<Record<number, string>> = { 16: "0x", 8: "0o", 2: "0b" };
/** Underscores stand between digits alone. */
const withoutUnderscores = (text: string): string => text.replace(/(?<=[\da-z])_(?=[\da-z])/gi, "");

/** null: float() does not read it */
function floatOf(text: string): number | null {
  const plain = withoutUnderscores(text.trim());
  if (!FLOAT.test(plain)) return null;
  const number = Number(plain.replace(/inf(inity)?/i, "Infinity"));
  return number;
}

/** null: int() does not read it in this base */
function wholeOf(text: string, base: number): number | null {
  const [, sign = "", rest = ""] = /^([+-]?)(.*)$/s.exec(withoutUnderscores(text.trim()).toLowerCase()) ?? [];
  const said = Object.entries(PREFIXES).find(
    ([of, prefix]) => rest.startsWith(prefix) && [0, Number(of)].includes(base),
  );
  const radix = said === undefined ? base || 10 : Number(said[0]);
  if (radix < 2 || radix > 36) return null;
  const digits = said === undefined ? rest : rest.slice(2);
  if (!/^[\da-z]+$/.test(digits)) return null;
  if ([...digits].some((digit) => Number.parseInt(digit, 36) >= radix)) return null;
  const size = Number.parseInt(digits, radix);
  return sign === "-" ? -size : size;
}

/** `value|int(otherwise, base)`; the base counts for texts alone. */
export function toInt(value: Value, otherwise: Value, base: number): Value {
  const number = typeof value === "string" ? (wholeOf(value, base) ?? floatOf(value)) : numberOf(value);
  if (number === null || !Number.isFinite(number)) return otherwise;
  const whole = Math.trunc(number);
  return whole === 0 ? 0 : whole;
}

/** `value|float(otherwise)` */
export function toFloat(value: Value, otherwise: Value): Value {
  const number = typeof value === "string" ? floatOf(value) : numberOf(value);
  return number === null ? otherwise : new Float(number);
}
