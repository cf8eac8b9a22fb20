/** Arguments of filters, tests and methods, by place or by name. */
import { defined, numberOf, text, typeName, type Value } from "./values.js";

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
