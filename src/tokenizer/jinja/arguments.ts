/** Arguments of filters, tests and methods, by place or by name. */
import type { Node } from "./syntax.js";
import { defined, numberOf, Tuple, text, typeName, type Value } from "./values.js";

export class Arguments {
  constructor(
    readonly positional: readonly Value[],
    readonly named: ReadonlyMap<string, Value> = new Map(),
  ) {}

  /** undefined: it was not given */
  at(place: number, name: string): Value | undefined {
    return this.positional[place] ?? (place < this.positional.length ? null : this.named.get(name));
  }
  has(place: number, name: string): boolean {
    return place < this.positional.length || this.named.has(name);
  }
  need(place: number, name: string): Value {
    const value = this.at(place, name);
    if (value === undefined) throw new Error(`the argument '${name}' is missing`);
    return value;
  }
  text(place: number, name: string, otherwise?: string): string {
    const value = this.at(place, name);
    if (value === undefined && otherwise !== undefined) return otherwise;
    return text(defined(this.need(place, name)));
  }
  whole(place: number, name: string, otherwise?: number): number {
    const value = this.at(place, name);
    if (value === undefined && otherwise !== undefined) return otherwise;
    const number = numberOf(defined(this.need(place, name)));
    if (number === null || !Number.isInteger(number))
      throw new Error(`the argument '${name}' is no whole number, but ${typeName(this.need(place, name))}`);
    return number;
  }
  /** those behind the first `count` */
  after(count: number): Arguments {
    return new Arguments(this.positional.slice(count), this.named);
  }
}

/**
 * What a macro is given beside its parameters, by the names that its body has for it: a body that does not name `varargs`,
 * `kwargs` or `caller` takes none.
 * @throws where there is something that it does not take
 */
export function spareArguments(
  name: string,
  body: readonly Node[],
  positional: readonly Value[],
  named: ReadonlyMap<string, Value>,
): Map<string, Value> {
  if (positional.length > 0 && !names(body, "varargs")) throw new Error(`macro '${name}' takes fewer arguments`);
  const rest = new Map(named);
  const spare = new Map<string, Value>([["varargs", new Tuple([...positional])]]);
  const caller = rest.get("caller");
  if (caller !== undefined && names(body, "caller")) {
    spare.set("caller", caller);
    rest.delete("caller");
  }
  const [other] = rest.keys();
  if (other !== undefined && !names(body, "kwargs")) throw new Error(`macro '${name}' takes no argument '${other}'`);
  return spare.set("kwargs", rest);
}

/** Whether some node within these is the identifier. */
function names(nodes: unknown, identifier: string): boolean {
  if (typeof nodes !== "object" || nodes === null) return false;
  if (nodes instanceof Map) return [...nodes].some((pair) => names(pair, identifier));
  if ("type" in nodes && nodes.type === "Identifier" && "value" in nodes) return nodes.value === identifier;
  return Object.values(nodes).some((inner) => names(inner, identifier));
}
