/** Runs a parsed template over Python's values, as Jinja2 does with transformers' settings (no autoescape, loop controls). */
import { Arguments, spareArguments } from "./arguments.js";
import { filter, hasFilter } from "./filters.js";
import { methodOf } from "./methods.js";
import { binary, itemOf, missing, signed, sliced } from "./operators.js";
import type { Call, Identifier, Node } from "./syntax.js";
import { TEST_PREFIX } from "./syntax.js";
import { test } from "./tests.js";
import {
  Attributes,
  Callable,
  defined,
  equals,
  Float,
  isDict,
  isTrue,
  iterate,
  keyOf,
  lengthOf,
  Namespace,
  sequenceOf,
  Tuple,
  text,
  typeName,
  Undefined,
  type Value,
} from "./values.js";

/** Names, those of the scopes around them last. */
class Scope {
  private readonly names = new Map<string, Value>();
  constructor(private readonly around: Scope | null) {}
  get(name: string): Value | undefined {
    return this.names.get(name) ?? (this.names.has(name) ? null : this.around?.get(name));
  }
  set(name: string, value: Value): void {
    this.names.set(name, value);
  }
}

/** How a loop's body ended early; what it had printed stays. */
type Ended = "break" | "continue" | null;

export function renderTemplate(program: Node, names: Readonly<Record<string, Value>>): string {
  const scope = new Scope(null);
  for (const [name, value] of Object.entries(names)) scope.set(name, value);
  return bodyText([program], scope);
}

function bodyText(body: readonly Node[], scope: Scope): string {
  const out: string[] = [];
  run(body, scope, out);
  return out.join("");
}

function run(body: readonly Node[], scope: Scope, out: string[]): Ended {
  for (const node of body) {
    const ended = statement(node, scope, out);
    if (ended !== null) return ended;
  }
  return null;
}

function statement(node: Node, scope: Scope, out: string[]): Ended {
  switch (node.type) {
    case "Program":
      return run(node.body, scope, out);
    case "If":
      return run(isTrue(evaluate(node.test, scope)) ? node.body : node.alternate, scope, out);
    case "For":
      loop(node, scope, out);
      return null;
    case "Set":
      assign(
        node.assignee,
        node.value === null ? bodyText(node.body, new Scope(scope)) : evaluate(node.value, scope),
        scope,
      );
      return null;
    case "Macro":
      scope.set(node.name.value, macro(node.name.value, node.args, node.body, scope));
      return null;
    case "CallStatement": {
      const caller = macro("caller", node.callerArgs ?? [], node.body, scope);
      out.push(text(called(node.call, scope, caller)));
      return null;
    }
    case "FilterStatement":
      out.push(text(filtered(node.filter, bodyText(node.body, new Scope(scope)), scope)));
      return null;
    case "Break":
      return "break";
    case "Continue":
      return "continue";
    case "Comment":
      return null;
    case "StringLiteral":
      out.push(node.value);
      return null;
    default:
      out.push(text(evaluate(node, scope)));
      return null;
  }
}

function assign(to: Node, value: Value, scope: Scope): void {
  if (to.type === "Identifier") scope.set(to.value, value);
  else if (to.type === "TupleLiteral") {
    const items = iterate(value);
    if (items.length !== to.value.length) throw new Error(`${items.length} values for ${to.value.length} names`);
    to.value.forEach((name, i) => assign(name, items[i], scope));
  } else if (to.type === "MemberExpression" && !to.computed && to.property.type === "Identifier") {
    const target = evaluate(to.object, scope);
    if (!(target instanceof Namespace)) throw new Error("only attributes of a namespace can be set");
    target.attributes.set(to.property.value, value);
  } else throw new Error("this cannot be assigned to");
}

function loop(node: Extract<Node, { type: "For" }>, scope: Scope, out: string[]): void {
  const { iterable } = node;
  const all = iterate(evaluate(iterable.type === "SelectExpression" ? iterable.lhs : iterable, scope));
  const within = (item: Value): Scope => {
    const inner = new Scope(scope);
    assign(node.loopvar, item, inner);
    return inner;
  };
  const items =
    iterable.type === "SelectExpression" ? all.filter((item) => isTrue(evaluate(iterable.test, within(item)))) : all;
  let changed: Value | null = null;
  for (const [i, item] of items.entries()) {
    const inner = within(item);
    const hasChanged = (args: readonly Value[]) => {
      const now = new Tuple(args);
      const differs = changed === null || !equals(changed, now);
      changed = now;
      return differs;
    };
    inner.set("loop", loopFacts(items, i, hasChanged));
    if (run(node.body, inner, out) === "break") break;
  }
  if (items.length === 0) run(node.defaultBlock, new Scope(scope), out);
}

function loopFacts(items: readonly Value[], i: number, changed: (args: readonly Value[]) => boolean): Attributes {
  const outside = new Undefined("there is no such item");
  const facts: Record<string, Value> = {
    ...{ index: i + 1, index0: i, revindex: items.length - i, revindex0: items.length - i - 1, length: items.length },
    ...{ first: i === 0, last: i === items.length - 1, depth: 1, depth0: 0 },
    ...{ previtem: i === 0 ? outside : items[i - 1], nextitem: i + 1 < items.length ? items[i + 1] : outside },
    cycle: new Callable("cycle", (args) => args[i % args.length]),
    changed: new Callable("changed", changed),
  };
  return new Attributes(new Map(Object.entries(facts)));
}

function macro(name: string, parameters: readonly Node[], body: readonly Node[], scope: Scope): Callable {
  return new Callable(name, (args, named) => {
    const inner = new Scope(scope);
    const rest = new Map(named);
    parameters.forEach((parameter, i) => {
      const key =
        parameter.type === "KeywordArgumentExpression" ? parameter.key.value : (parameter as Identifier).value;
      const otherwise =
        parameter.type === "KeywordArgumentExpression"
          ? () => evaluate(parameter.value, inner)
          : () => new Undefined(`parameter '${key}' was not provided`);
      inner.set(key, i < args.length ? args[i] : (rest.get(key) ?? otherwise()));
      if (i >= args.length) rest.delete(key);
    });
    const spare = spareArguments(name, body, args.slice(parameters.length), rest);
    for (const [key, value] of spare) inner.set(key, value);
    return bodyText(body, inner);
  });
}

function evaluate(node: Node, scope: Scope): Value {
  switch (node.type) {
    case "Identifier":
      return (
        scope.get(node.value) ?? (scope.get(node.value) === null ? null : new Undefined(`'${node.value}' is undefined`))
      );
    case "StringLiteral":
    case "IntegerLiteral":
      return node.value;
    case "FloatLiteral":
      return new Float(node.value);
    case "ArrayLiteral":
      return node.value.map((item) => evaluate(item, scope));
    case "TupleLiteral":
      return new Tuple(node.value.map((item) => evaluate(item, scope)));
    case "ObjectLiteral":
      return new Map([...node.value].map(([key, item]) => [keyOf(evaluate(key, scope)), evaluate(item, scope)]));
    case "Ternary":
      return evaluate(isTrue(evaluate(node.condition, scope)) ? node.trueExpr : node.falseExpr, scope);
    case "SelectExpression":
      return isTrue(evaluate(node.test, scope))
        ? evaluate(node.lhs, scope)
        : new Undefined("the inline if has no else");
    case "UnaryExpression": {
      const value = evaluate(node.argument, scope);
      return node.operator.value === "not" ? !isTrue(value) : signed(node.operator.value, value);
    }
    case "BinaryExpression": {
      const left = evaluate(node.left, scope);
      if (node.operator.value === "and") return isTrue(left) ? evaluate(node.right, scope) : left;
      if (node.operator.value === "or") return isTrue(left) ? left : evaluate(node.right, scope);
      return binary(node.operator.value, left, evaluate(node.right, scope));
    }
    case "FilterExpression":
      return filtered(node.filter, evaluate(node.operand, scope), scope);
    case "MemberExpression":
      return member(node, scope);
    case "CallExpression":
      return called(node, scope, null);
    default:
      throw new Error(`a ${node.type} is no value`);
  }
}

/** `of.name` looks for a method first, `of['name']` for an item. */
function member({ object, property, computed }: Extract<Node, { type: "MemberExpression" }>, scope: Scope): Value {
  const of = defined(evaluate(object, scope));
  if (property.type === "SliceExpression") {
    const bounds = [property.start, property.stop, property.step];
    return sliced(
      of,
      bounds.map((bound) => (bound === undefined ? null : evaluate(bound, scope))),
    );
  }
  if (!computed && property.type === "Identifier") {
    const name = property.value;
    if (of instanceof Namespace || of instanceof Attributes) return attribute(of, name);
    const method = methodOf(of, name);
    return method ?? (isDict(of) ? itemOf(of, name) : missing(of, name));
  }
  const key = evaluate(property, scope);
  const found = of instanceof Namespace ? attribute(of, text(key)) : itemOf(of, key);
  return found instanceof Undefined && typeof key === "string" ? (methodOf(of, key) ?? found) : found;
}

const attribute = (of: Namespace | Attributes, name: string): Value =>
  of.attributes.get(name) ?? (of.attributes.has(name) ? null : missing(of, name));

function argumentsOf(nodes: readonly Node[], scope: Scope): Arguments {
  const positional: Value[] = [];
  const named = new Map<string, Value>();
  for (const node of nodes) {
    if (node.type === "KeywordArgumentExpression") named.set(node.key.value, evaluate(node.value, scope));
    else if (node.type === "SpreadExpression") positional.push(...iterate(evaluate(node.argument, scope)));
    else if (node.type === "KeywordSpreadExpression") {
      const more = evaluate(node.argument, scope);
      if (!isDict(more)) throw new Error("** needs a dict");
      for (const [key, value] of more) named.set(String(key), value);
    } else positional.push(evaluate(node, scope));
  }
  return new Arguments(positional, named);
}

function called({ callee, args }: Call, scope: Scope, caller: Callable | null): Value {
  const target = evaluate(callee, scope);
  if (!(target instanceof Callable)) throw new Error(`'${typeName(defined(target))}' cannot be called`);
  const { positional, named } = argumentsOf(args, scope);
  return target.call(positional, caller === null ? named : new Map([...named, ["caller", caller]]));
}

/** A filter, or a test that syntax.ts made one. */
function filtered(by: Identifier | Call, value: Value, scope: Scope): Value {
  const name = by.type === "Identifier" ? by.value : (by.callee as Identifier).value;
  const args = by.type === "Identifier" ? new Arguments([]) : argumentsOf(by.args, scope);
  if (!name.startsWith(TEST_PREFIX)) return filter(name, value, args);
  const tested = name.slice(TEST_PREFIX.length);
  const isNegated = tested.startsWith("not ");
  const named = isNegated ? tested.slice(4) : tested;
  const isFilter = typeof value === "string" && hasFilter(value);
  return (named === "filter" ? isFilter : test(named, value, args)) !== isNegated;
}

/** Functions that every template has: dict, namespace, joiner, cycler left to those that have them. */
export const FUNCTIONS: Readonly<Record<string, Callable>> = {
  dict: new Callable("dict", (args, named) => {
    const given = args.length === 0 ? [] : isDict(args[0]) ? [...args[0]] : pairs(args[0]);
    return new Map([...given, ...named]);
  }),
  namespace: new Callable("namespace", (args, named) => {
    const made = new Namespace();
    const given = args.length === 0 ? [] : isDict(args[0]) ? [...args[0]] : pairs(args[0]);
    for (const [key, value] of [...given, ...named]) made.attributes.set(String(key), value);
    return made;
  }),
};

const pairs = (value: Value): (readonly [string | number | boolean | null, Value])[] =>
  iterate(value).map((pair) => {
    const items = sequenceOf(pair);
    if (items === null || lengthOf(pair) !== 2) throw new Error("dict() needs pairs");
    return [keyOf(items[0]), items[1]] as const;
  });
