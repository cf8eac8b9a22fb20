/** `'{} of {n}'.format(…)` and `'%s of %d' % …`, as far as templates use them. */
import type { Arguments } from "./arguments.js";
import { isDict, numberOf, repr, sequenceOf, Tuple, text, typeName, type Value } from "./values.js";

/** str.format: fields by order, by number and by name, attributes and items left out; conversions !r and !s, and specifications of numbers. */
export function formatted(template: string, args: Arguments): string {
  let next = 0;
  return template.replace(/\{\{|\}\}|\{([^{}!:]*)(?:!([rs]))?(?::([^{}]*))?\}/g, (whole, field, conversion, spec) => {
    if (whole === "{{" || whole === "}}") return whole[0];
    const value = /^\d*$/.test(field) ? args.positional[field === "" ? next++ : Number(field)] : args.named.get(field);
    if (value === undefined) throw new Error(`format: there is no '${field}'`);
    if (conversion !== undefined) return conversion === "r" ? repr(value) : text(value);
    return spec === undefined || spec === "" ? text(value) : bySpecification(value, spec);
  });
}

/** `[[fill]align][0][width][.precision][d|f|s]` */
function bySpecification(value: Value, spec: string): string {
  const parts = /^(?:(.)?([<>^]))?(0)?(\d+)?(?:\.(\d+))?([dfs])?$/su.exec(spec);
  if (parts === null) throw new Error(`format: the specification '${spec}' is not known`);
  const [, fill, align, zero, width, precision, kind] = parts;
  const number = numberOf(value);
  if ((kind === "d" || kind === "f") && number === null) throw new Error(`format: ${typeName(value)} is no number`);
  const plain =
    kind === "f" || (precision !== undefined && number !== null)
      ? (number as number).toFixed(Number(precision ?? 6))
      : text(value).slice(0, precision === undefined ? undefined : Number(precision));
  return aligned(
    plain,
    Number(width ?? 0),
    align ?? (number === null ? "<" : ">"),
    fill ?? (zero === undefined ? " " : "0"),
  );
}

function aligned(plain: string, width: number, align: string, fill: string): string {
  if (align === "<") return plain.padEnd(width, fill);
  if (align === ">") return plain.padStart(width, fill);
  const left = Math.max(0, width - plain.length) >> 1;
  return plain.padStart(plain.length + left, fill).padEnd(width, fill);
}

/** `template % values` */
export function percentFormatted(template: string, values: Value): string {
  const given = values instanceof Tuple ? values.items : [values];
  let next = 0;
  const made = template.replace(/%(?:\((\w+)\))?(-?)(0?)(\d*)(?:\.(\d+))?([sdrfi%])/g, (...match) => {
    const [, name, left, zero, width, precision, kind] = match as string[];
    if (kind === "%") return "%";
    const value = name === undefined ? given[next++] : isDict(values) ? values.get(name) : undefined;
    if (value === undefined) throw new Error("not enough arguments for format string");
    const number = numberOf(value);
    if (/[dif]/.test(kind) && number === null) throw new Error(`%${kind} needs a number, not ${typeName(value)}`);
    const plain =
      kind === "s"
        ? text(value)
        : kind === "r"
          ? repr(value)
          : kind === "f"
            ? (number as number).toFixed(Number(precision ?? 6))
            : String(Math.trunc(number as number));
    return left === "" ? plain.padStart(Number(width), zero === "" ? " " : "0") : plain.padEnd(Number(width));
  });
  if (next < given.length && !isDict(values) && (sequenceOf(values) !== null || next === 0))
    throw new Error("not all arguments converted during string formatting");
  return made;
}
