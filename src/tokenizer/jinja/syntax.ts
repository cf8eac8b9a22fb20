/**
 * A template's syntax, by @huggingface/jinja's lexer and parser. Its parser knows no tests with arguments; Jinja2 has `is`
 * and `|` at one precedence, in any order, so tests come to it as filters whose names begin with "is ".
 *
 * What the parser does not take, no published template that was looked at has: tuples of one, numbers with exponents,
 * recursive loops, templates in several files.
 */
import { type JinjaToken, jinja } from "../untyped.js";

export type Node =
  | { type: "Program"; body: Node[] }
  | { type: "If"; test: Node; body: Node[]; alternate: Node[] }
  | { type: "For"; loopvar: Node; iterable: Node; body: Node[]; defaultBlock: Node[] }
  | { type: "Set"; assignee: Node; value: Node | null; body: Node[] }
  | { type: "Macro"; name: Identifier; args: Node[]; body: Node[] }
  | { type: "CallStatement"; call: Call; callerArgs: Node[] | null; body: Node[] }
  | { type: "FilterStatement"; filter: Identifier | Call; body: Node[] }
  | { type: "Break" | "Continue" | "Comment" }
  | { type: "MemberExpression"; object: Node; property: Node; computed: boolean }
  | { type: "IntegerLiteral" | "FloatLiteral"; value: number }
  | { type: "StringLiteral"; value: string }
  | { type: "ArrayLiteral" | "TupleLiteral"; value: Node[] }
  | { type: "ObjectLiteral"; value: Map<Node, Node> }
  | { type: "BinaryExpression"; operator: { value: string }; left: Node; right: Node }
  | { type: "FilterExpression"; operand: Node; filter: Identifier | Call }
  | { type: "SelectExpression"; lhs: Node; test: Node }
  | { type: "UnaryExpression"; operator: { value: string }; argument: Node }
  | { type: "SliceExpression"; start?: Node; stop?: Node; step?: Node }
  | { type: "KeywordArgumentExpression"; key: Identifier; value: Node }
  | { type: "SpreadExpression" | "KeywordSpreadExpression"; argument: Node }
  | { type: "Ternary"; condition: Node; trueExpr: Node; falseExpr: Node }
  | Identifier
  | Call;

export interface Identifier {
  type: "Identifier";
  value: string;
}
export interface Call {
  type: "CallExpression";
  callee: Node;
  args: Node[];
}

export const TEST_PREFIX = "is ";

/** @throws Error where it is no template */
export function parseTemplate(template: string): Node {
  const tokens = jinja.tokenize(template, { trim_blocks: true, lstrip_blocks: true });
  return jinja.parse(testsAsFilters(tokens.flatMap(emptyItem))) as unknown as Node;
}

/** Words behind which brackets are a list and no item of what stands before. */
const OPERATORS = /^(and|or|not|is|in|if|else|elif|set|for|do|set|call|filter)$/;

/** `a[]` is the item of nothing, which nothing has; the parser knows no such item. */
function emptyItem(token: JinjaToken, i: number, tokens: readonly JinjaToken[]): JinjaToken[] {
  const [before, next] = [tokens[i - 1], tokens[i + 1]];
  const isItem =
    token.type === "OpenSquareBracket" &&
    next?.type === "CloseSquareBracket" &&
    (/^(StringLiteral|Close(Paren|SquareBracket|CurlyBracket))$/.test(before?.type ?? "") ||
      (before?.type === "Identifier" && !OPERATORS.test(before.value)));
  return isItem ? [token, { type: "Identifier", value: NOTHING }] : [token];
}
/** no name that a template can write */
const NOTHING = "[]";

const ENDS_TEST = /^(and|or|not|is|in|if|else|recursive)$/;

function testsAsFilters(tokens: readonly JinjaToken[]): JinjaToken[] {
  const made: JinjaToken[] = [];
  const isWord = (token: JinjaToken | undefined, word: string) => token?.type === "Identifier" && token.value === word;
  /** inside a tag: `is` in plain text is text */
  for (let i = 0; i < tokens.length; i++) {
    const isTest =
      isWord(tokens[i], "is") &&
      i > 0 &&
      /^(Identifier|.*Literal|Close(Paren|SquareBracket|CurlyBracket))$/.test(tokens[i - 1].type);
    if (!isTest || isWord(tokens[i - 1], "|") || tokens[i - 1].type === "Dot") {
      made.push(tokens[i]);
      continue;
    }
    const negated = isWord(tokens[i + 1], "not");
    const name = tokens[i + (negated ? 2 : 1)];
    made.push(
      { type: "Pipe", value: "|" },
      { type: "Identifier", value: `${TEST_PREFIX}${negated ? "not " : ""}${name?.value ?? ""}` },
    );
    i += negated ? 2 : 1;
    // one argument may stand without parentheses
    const next = tokens[i + 1];
    const isBare =
      next !== undefined &&
      (/^(Numeric|String)Literal$/.test(next.type) || (next.type === "Identifier" && !ENDS_TEST.test(next.value)));
    if (!isBare && next?.type !== "OpenSquareBracket") continue;
    const end = isBare ? endOfPath(tokens, i + 1) : endOfBrackets(tokens, i + 1);
    made.push({ type: "OpenParen", value: "(" }, ...tokens.slice(i + 1, end + 1), { type: "CloseParen", value: ")" });
    i = end;
  }
  return made;
}

/** Where `a.b.c` ends. */
function endOfPath(tokens: readonly JinjaToken[], from: number): number {
  let at = from;
  while (tokens[at + 1]?.type === "Dot" && tokens[at + 2]?.type === "Identifier") at += 2;
  return at;
}

function endOfBrackets(tokens: readonly JinjaToken[], from: number): number {
  let depth = 0;
  for (let at = from; at < tokens.length; at++) {
    if (tokens[at].type === "OpenSquareBracket") depth++;
    if (tokens[at].type === "CloseSquareBracket" && --depth === 0) return at;
  }
  return tokens.length - 1;
}
